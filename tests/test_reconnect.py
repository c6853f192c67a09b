"""Readers that come back never start a source, and stop."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenstream import Html, Json, OpenAIChat, Text, sse
from tokenstream.errors import InvalidOption
from tokenstream.headers import HEADERS
from tokenstream.reconnect import Request, answer, new_run_id, run_id_for

EVENTS = "text/event-stream"
browser_wires = pytest.mark.parametrize("wire", [Json(), Text()], ids=lambda wire: wire.name)


# The option.


def test_a_misspelt_choice_is_an_error_and_does_not_mean_rerun():
    for use in (answer, run_id_for):
        with pytest.raises(InvalidOption, match="'re-run': give 'refuse' or 'rerun'"):
            use(Request("GET", EVENTS), Json(), "re-run")


# Ids.


@pytest.mark.parametrize("wire", [Json(), Text(), Html()], ids=lambda wire: wire.name)
def test_an_event_source_gets_ids(wire):
    assert run_id_for(Request("GET", EVENTS), wire)


@pytest.mark.parametrize(
    "request_, wire, on_reconnect",
    [
        (Request("POST", EVENTS), Json(), "refuse"),
        (Request("GET", "*/*"), Json(), "refuse"),
        (Request("GET"), Json(), "refuse"),
        (Request("GET", EVENTS), OpenAIChat(), "refuse"),
        (Request("GET", EVENTS), Json(), "rerun"),
        (Request("HEAD", EVENTS), Json(), "refuse"),
    ],
)
def test_others_get_none(request_, wire, on_reconnect):
    assert run_id_for(request_, wire, on_reconnect) is None


def test_ids_are_unguessable_and_fit_into_a_field():
    ids = {new_run_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22,64}", run) for run in ids)


@pytest.mark.parametrize(
    "accept, accepts",
    [
        ("text/event-stream", True),
        ("TEXT/Event-Stream", True),
        ("text/html, text/event-stream;q=0.5, */*", True),
        (" text/event-stream ; charset=utf-8", True),
        ("text/event-stream;q=0", False),
        ("text/event-stream; q=0.00", False),
        ("text/event-stream; q=0.01", True),
        ("text/*", False),
        ("*/*", False),
        ("text/event-streams", False),
        ("", False),
        (",;,", False),
    ],
)
def test_accepts_events(accept, accepts):
    assert Request("GET", accept).accepts_events is accepts


@given(st.text())
def test_no_accept_header_breaks_it(accept):
    assert Request("GET", accept).accepts_events in (True, False)


# Answers.


@browser_wires
def test_a_lost_stream_is_told_once_and_its_id_stops_the_next(wire):
    run = new_run_id()
    first = answer(Request("GET", EVENTS, run), wire)
    assert first.status == 200
    assert first.headers == HEADERS
    (event,) = sse.Decoder().feed(first.body)
    assert event.event == "error"
    assert "connection lost, cannot resume" in event.data
    assert event.id == f"{run}.end"
    second = answer(Request("GET", EVENTS, event.id), wire)
    assert (second.status, second.body) == (204, b"")
    assert "Content-Type" not in second.headers
    assert "no-cache" in second.headers["Cache-Control"]


def test_htmx_is_told_to_close_and_never_204():
    run = new_run_id()
    first = answer(Request("GET", EVENTS, run), Html())
    lost, close = sse.Decoder().feed(first.body)
    assert (first.status, lost.event, lost.id) == (200, "error", f"{run}.end")
    assert lost.data == "connection lost, cannot resume"
    assert (close.event, close.data) == ("close", "closed")
    second = answer(Request("GET", EVENTS, f"{run}.end"), Html())
    assert (second.status, second.headers) == (200, HEADERS)
    assert sse.Decoder().feed(second.body) == [sse.Event("closed", event="close")]


@browser_wires
def test_it_needs_no_accept_header(wire):
    # The id alone says that this reader has been here.
    assert answer(Request("GET", "", "run"), wire).status == 200
    assert answer(Request("GET", "", "run.end"), wire).status == 204


@browser_wires
def test_a_first_request_gets_its_stream(wire):
    assert answer(Request("GET", EVENTS), wire) is None
    assert answer(Request("GET"), wire) is None
    assert answer(Request("POST", EVENTS), wire) is None


@pytest.mark.parametrize(
    "request_, wire, on_reconnect",
    [
        (Request("POST", EVENTS, "run"), Json(), "refuse"),
        (Request("GET", EVENTS, "run"), OpenAIChat(), "refuse"),
        (Request("GET", EVENTS, "run"), Json(), "rerun"),
        (Request("GET", EVENTS, "run.end"), Json(), "rerun"),
    ],
)
def test_where_there_are_no_ids_an_id_means_nothing(request_, wire, on_reconnect):
    assert answer(request_, wire, on_reconnect) is None


@given(st.text(min_size=1))
def test_a_foreign_id_is_never_echoed(last_event_id):
    reply = answer(Request("GET", EVENTS, last_event_id), Json())
    if last_event_id.endswith(".end"):
        assert reply.status == 204
        return
    (event,) = sse.Decoder().feed(reply.body)
    run = event.id.removesuffix(".end")
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", run)
    assert run == last_event_id or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", last_event_id)


@pytest.mark.parametrize("wire", [Json(), Text(), OpenAIChat()], ids=lambda wire: wire.name)
@pytest.mark.parametrize("last_event_id", ["", "run", "run.end"])
@pytest.mark.parametrize("on_reconnect", ["refuse", "rerun"])
def test_head_gets_the_headers_and_no_stream(wire, last_event_id, on_reconnect):
    reply = answer(Request("HEAD", EVENTS, last_event_id), wire, on_reconnect)
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers == HEADERS
