"""What the protocols share: an end that is missed, reasons, sources, an upstream's error."""

from __future__ import annotations

import logging

import pytest

from tokenstream import Finish, Source
from tokenstream.chunks.protocol import Protocol, failing, upstream_error
from tokenstream.errors import UpstreamError


class Made(Protocol):
    terminal = "the end"


def test_only_a_reply_that_began_and_promised_an_end_is_cut():
    for protocol, is_open, is_cut in [(Made, True, True), (Made, False, False)]:
        made = protocol()
        made.is_open = is_open
        if is_cut:
            with pytest.raises(UpstreamError, match="the end"):
                made.end()
        else:
            made.end()
    promises_none = Protocol()
    promises_none.is_open = True
    promises_none.end()


def test_a_stop_after_calls_is_one_for_calls():
    made = Made()
    assert made.stopped("STOP") == [Finish("stop")]
    made.has_calls = True
    assert made.stopped("STOP") == [Finish("tool_calls")]
    assert made.stopped("max_tokens") == [Finish("length")]


def test_a_source_comes_once():
    made = Made()
    assert [made.source("https://a/", ""), made.source("https://a/", "A"), made.source("", "")] == [
        [Source("https://a/")],
        [],
        [],
    ]


def test_a_hostile_upstream_fills_no_log(caplog):
    made = Made()
    with caplog.at_level(logging.INFO, "tokenstream"):
        for number in range(1000):
            made.finished(f"word {number}" * 1000)
    assert len(caplog.records) == 20
    assert all(len(record.getMessage()) < 200 for record in caplog.records)


def test_an_upstreams_error():
    error = upstream_error({"message": "busy", "type": "overloaded_error", "code": 5})
    assert (str(error), error.kind, error.status) == ("busy", "overloaded_error", None)
    assert str(upstream_error("boom")) == "boom"
    assert str(upstream_error({})) == "the upstream failed"


def test_parts_before_a_failure():
    given = failing(["a"], UpstreamError("x"))
    assert next(given) == "a"
    with pytest.raises(UpstreamError):
        next(given)
