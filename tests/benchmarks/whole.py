"""A benchmark that holds ours beside what is written by hand, run to its end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import TARGETS

from ..needs import need_checkout

__all__ = ["check_whole_run"]


def check_whole_run(name: str, cases: set[str], folder: Path) -> None:
    """Run benchmarks/<name>.py at its smallest; each target has its row, each case its figures."""
    file = folder / f"{name}.json"
    # As a file: it must not be taken for the framework of the same name.
    command = [f"benchmarks/{name}.py", "--tiny", "--rounds", "1", "--json", str(file)]
    done = subprocess.run(
        [sys.executable, *command], cwd=need_checkout(), capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(file.read_text())
    keys = [row["key"] for row in result["rows"]]
    assert len(keys) == len(set(keys))
    assert {key for key in TARGETS if key.startswith(f"{name}.")} <= set(keys)
    assert set(result["raw"]) == cases
    assert all(round_["whole"] > 0 for [round_] in result["raw"].values())
    assert "ours-no-keep-alive / hand" in done.stdout
