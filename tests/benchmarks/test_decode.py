"""decode.py to its end, and what it refuses to measure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .test_scripts import run  # first: it skips where a package is missing

from benchmarks import decode  # isort: skip


def test_from_one_end_to_the_other(tmp_path: Path):
    file = tmp_path / "decode.json"
    run("-m", "benchmarks.decode", "--tiny", "--rounds", "1", "--json", str(file))
    result = json.loads(file.read_text())
    keys = [row["key"] for row in result["rows"]]
    assert len(keys) == len(set(keys))
    for stream in decode.streams(0.001):
        assert decode.key(stream.name, "tokenstream") in result["raw"]
        assert decode.key(stream.name, "httpx-sse") in keys


def test_a_decoder_that_loses_an_event_is_not_measured():
    stream = next(decode.streams(0.001))
    with pytest.raises(ValueError, match=f"{stream.events - 1} events, not {stream.events}"):
        decode.cpu_seconds(lambda pieces: decode.ours(pieces)[1:], stream)


def test_pieces_are_the_whole():
    for stream in decode.streams(0.001):
        assert stream.size == len(f"data: {stream.data}\n\n".encode()) * stream.events
