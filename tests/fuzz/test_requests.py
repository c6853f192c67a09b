"""What a request and the app's own fields may hold: never an event or a header more."""

from __future__ import annotations

import re
from typing import get_args

from hypothesis import example, given
from hypothesis import strategies as st

from tokenstream import WireName, sse
from tokenstream.asgi import request_of
from tokenstream.errors import InvalidOption
from tokenstream.headers import HEADERS, merged
from tokenstream.reconnect import Request, answer, run_id_for
from tokenstream.wires import find_wire

from ..wires.strategies import decoded, normal
from .strategies import HOSTILE, MANY, one_of

RUN = re.compile(r"[A-Za-z0-9_-]{1,64}")
WIRES = st.sampled_from(get_args(WireName)).map(find_wire)
METHODS = st.sampled_from(["GET", "GET", "HEAD", "POST", "", "get", "G\r\nT"])
ON_RECONNECT = st.sampled_from(["refuse", "refuse", "rerun"])
NASTY = [
    "text/event-stream",
    ";",
    ",",
    "q=0",
    "q=",
    "=",
    ".end",
    "run",
    "\r\n",
    "\n\n",
    "data: x",
    "\0",
]
HEADER = (
    st.text(st.characters(max_codepoint=255), max_size=40)
    | st.lists(st.sampled_from(NASTY), max_size=8).map("".join)
    | one_of(["x" * 65_536, "x" * 65_536 + ".end", "," * 65_536, ";q=0" * 16_384])
    | HOSTILE
)


@MANY
@given(METHODS, HEADER, HEADER, WIRES, ON_RECONNECT)
@example("GET", "", "x" * 65, find_wire("json"), "refuse")
@example("GET", "", "run\n", find_wire("text"), "refuse")
def test_any_header_gets_a_known_answer(method, accept, last_event_id, wire, on_reconnect):
    request = Request(method, accept, last_event_id)
    run = run_id_for(request, wire, on_reconnect)
    assert run is None or RUN.fullmatch(run)
    reply = answer(request, wire, on_reconnect)
    if reply is None:
        return
    assert reply.status in (200, 204)
    assert not re.search("[\r\n\0]", "".join([*reply.headers, *reply.headers.values()]))
    # Whatever the header's length: what is not an id of ours is not sent back.
    assert len(reply.body) < 300
    assert reply.status == 200 or not wire.closing
    told = reply.body.removesuffix(wire.closing)
    if wire.closing and reply.body:
        assert told != reply.body
    if told:
        (event,) = decoded(told)
        assert event.event == "error"
        assert event.id.endswith(".end")
        assert RUN.fullmatch(event.id.removesuffix(".end"))


@MANY
@given(st.binary(max_size=60), st.binary(max_size=60), WIRES)
def test_any_bytes_of_a_header_are_read(accept, last_event_id, wire):
    headers = [(b"Accept", accept), (b"Last-Event-ID", last_event_id)]
    request = request_of({"method": "GET", "headers": headers})
    assert request.accepts_events in (True, False)
    reply = answer(request, wire)
    assert reply is None or reply.status in (200, 204)


def insist_on_few_words(error: Exception) -> None:
    assert len(str(error)) < 300


ANY = st.none() | st.integers() | st.binary(max_size=5) | HOSTILE


@MANY
@given(ANY, ANY, ANY, st.none() | st.integers() | st.booleans() | st.floats() | HOSTILE)
@example("x", None, None, 10**5000)
def test_an_event_is_refused_or_is_one_event(data, event, event_id, retry):
    try:
        frame = sse.encode(sse.Event(data, event, event_id, retry))
    except InvalidOption as error:
        insist_on_few_words(error)
        return
    (read,) = decoded(frame)
    assert read.data == normal(data)
    assert read.event == (normal(event) if event else None)
    assert read.id == (None if event_id is None else normal(event_id))
    assert read.retry == retry
    assert not any(bad in field for field in (event or "", event_id or "") for bad in "\r\n\0")


@MANY
@given(HOSTILE)
def test_a_comment_is_nothing_but_comments(text):
    frame = sse.comment(text)
    assert decoded(frame) == []
    *lines, end, rest = frame.split(b"\n")
    assert (end, rest) == (b"", b"")
    assert all(line.startswith(b": ") for line in lines)
    assert b"\r" not in frame


NAMES = st.sampled_from(["X-Own", "content-type", "CONNECTION"]) | HEADER


@MANY
@given(st.dictionaries(NAMES, HEADER | st.binary(max_size=5) | st.integers(), max_size=3))
@example({"X-Own": "a\r\nSet-Cookie: b"})
@example({"X-Own\n": "a"})
def test_a_header_is_refused_or_is_one_header(own):
    try:
        headers = merged(HEADERS, own)
    except InvalidOption as error:
        insist_on_few_words(error)
        return
    lines = [f"{name}: {value}" for name, value in headers.items()]
    assert all(re.fullmatch(r"[^\s:]+: [^\r\n\0]*", line) for line in lines)
    assert len({name.lower() for name in headers}) == len(headers) or len(own) > 1
