"""framing.py to its end, and what it refuses to measure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .test_scripts import run  # first: it skips where a package is missing

from benchmarks import framing  # isort: skip


def test_from_one_end_to_the_other(tmp_path: Path):
    file = tmp_path / "framing.json"
    run("-m", "benchmarks.framing", "--tiny", "--rounds", "1", "--json", str(file))
    result = json.loads(file.read_text())
    keys = [row["key"] for row in result["rows"]]
    assert len(keys) == len(set(keys))
    assert {case.key for case in framing.CASES} <= set(keys)
    assert all(figures[0]["ns"] > 0 for figures in result["raw"].values())


def test_an_encoder_that_loses_a_token_is_not_measured():
    broken = framing.Case("text", "broken", lambda given: [b"data: x\n\n"] * len(given), str)
    with pytest.raises(ValueError, match=r"text\.broken framed"):
        framing.check(broken, framing.tokens(3))


def test_every_encoder_is_whole():
    for case in framing.CASES:
        framing.check(case, framing.tokens(100))
