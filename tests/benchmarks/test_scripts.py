"""Each script can be started, in both ways, and asgi.py runs to its end: nothing is timed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ..needs import need_checkout, need_module

ROOT = need_checkout()
for module in ("granian", "hypercorn", "litestar", "matplotlib", "psutil", "sse_starlette"):
    need_module(module)

from benchmarks.__main__ import SCRIPTS
from benchmarks.apps.asgi_scenes import SCENES


def run(*command: str, seconds: float = 50.0) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_as_a_module_and_as_a_file(name: str):
    for command in (["-m", f"benchmarks.{name}"], [f"benchmarks/{name}.py"]):
        assert f"python -m benchmarks.{name}" in run(*command, "--help")


def test_asgi_from_one_end_to_the_other(tmp_path: Path):
    file = tmp_path / "asgi.json"
    printed = run("-m", "benchmarks.asgi", "--tiny", "--rounds", "1", "--json", str(file))
    result = json.loads(file.read_text())
    keys = [row["key"] for row in result["rows"]]
    assert len(keys) == len(set(keys))
    for scene in SCENES:
        assert scene.title in printed
        assert {ratio.key for ratio in scene.ratios} <= set(keys)
        for case in scene.cases:
            [figures] = result["raw"][scene.name][case]
            assert figures["whole"] > 0
            assert figures["wall"] > 0
    assert "asgi.fairness" in keys
