"""benchmarks/django.py runs to its end: nothing is timed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ..needs import need_checkout, need_module

ROOT = need_checkout()
for module in ("django", "gunicorn", "psutil", "uvicorn"):
    need_module(module)

from benchmarks.harness import TARGETS

PATHS = {
    "django.asgi.hot": ["hand-async", "ours-async"],
    "django.asgi.paced": ["hand-async", "ours-async"],
    "django.asgi.sync-hot": ["hand", "ours"],
    "django.gthread.hot": ["hand", "ours", "ours-no-keep-alive", "ours-async"],
    "django.gthread.paced": ["hand", "ours", "ours-no-keep-alive"],
}


def test_from_one_end_to_the_other(tmp_path: Path):
    file = tmp_path / "django.json"
    # As a file: it must not be taken for Django.
    command = ["benchmarks/django.py", "--tiny", "--rounds", "1", "--json", str(file)]
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(file.read_text())
    keys = [row["key"] for row in result["rows"]]
    assert len(keys) == len(set(keys))
    assert {key for key in TARGETS if key.startswith("django.")} <= set(keys)
    assert set(result["raw"]) == {f"{key} {path}" for key in PATHS for path in PATHS[key]}
    assert all(round_["whole"] > 0 for [round_] in result["raw"].values())
    assert "ours-no-keep-alive / hand" in done.stdout
