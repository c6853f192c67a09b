"""idle.py to its end: what it counts is counted, what it times is only there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .test_scripts import run  # first: it skips where a package is missing

from benchmarks import idle  # isort: skip
from benchmarks.harness import Rounds  # isort: skip


def test_from_one_end_to_the_other(tmp_path: Path):
    file = tmp_path / "idle.json"
    run("-m", "benchmarks.idle", "--tiny", "--rounds", "1", "--json", str(file))
    rows = {row["key"]: row for row in json.loads(file.read_text())["rows"]}
    assert "idle.memory.starlette" in rows
    assert rows["idle.keep-alive"]["median"] > 0
    # Counted, not timed: the targets hold on any machine.
    assert 0 < rows["idle.tasks"]["median"] <= 2
    assert rows["idle.tasks"]["met"]
    assert rows["idle.threads"]["median"] == 0


def test_streams_without_comments_are_not_measured():
    idle.check("tokenstream", [3, 4, 3], at_least=4)
    with pytest.raises(ValueError, match="a stream got 2 comments in 4 intervals"):
        idle.check("tokenstream", [3, 2, 3], at_least=4)


def test_the_scale_of_a_short_run():
    measured = Rounds()
    measured.add("tokenstream", {"cpu": 0.1, "wall": 2.0})
    idle.per_cent(measured, idle.Size(first=0, step=0, kept_alive=1000, keep_alive=3.0))
    [figures] = measured.figures["tokenstream"]
    assert figures["%"] == pytest.approx(5.0)  # 5 times the streams, a fifth of the comments
    assert figures["us a comment"] == pytest.approx(100.0)
