"""Any bytes at any split: the same events, a bounded memory, a linear cost, one named error."""

from __future__ import annotations

import sys
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tokenstream.errors import EventTooLarge
from tokenstream.sse import Decoder

from .strategies import MANY, SPLITS, pieces

PIECES = [
    *(b"data: ", b"data:", b"data", b"event: ", b"event", b"id: ", b"id", b"retry: ", b":", b" "),
    *(b"\n", b"\n", b"\r", b"\r\n", b"\n\n", b"\0", b"\xff", b"\xe2\x82", b"\xef\xbb\xbf", b"\xef"),
    *("é\u2028😀".encode(), b"x", b"9", b"x" * 30, b"9" * 20, b"9" * 5000, b"[DONE]"),
]
LINES = st.tuples(
    st.sampled_from([b"data: ", b"data:", b"event: ", b"id: ", b"retry: ", b": "]),
    st.sampled_from([b"", b"a", b"9", b"\0", b"\xe2\x82", "é\u2028😀".encode(), b"x" * 30]),
    st.sampled_from([b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n"]),
).map(b"".join)
STREAMS = st.lists(LINES | st.sampled_from(PIECES) | st.binary(max_size=6), max_size=40).map(
    b"".join
)
BOUNDS = st.integers(1, 100) | st.just(8 << 20)


def read(decoder: Decoder, chunks: list[bytes]):
    """Return all that a reader can see of it."""
    events = []
    try:
        for chunk in chunks:
            events += decoder.feed(chunk)
        ended = None
    except EventTooLarge as error:
        events += error.events
        ended = str(error)
    return events, ended, decoder.last_event_id, decoder.retry


@MANY
@given(STREAMS, SPLITS, BOUNDS)
@example(b"data: a\n\ndata: 0123456789\n\n", [9], 12)
@example(b"data: a\r\ndata: b\r\n\r\n", [], 100)
@example(b"\xef\xbb\xbfdata: a\r\n\r\n", [1, 2, 3, 12], 100)
@example(b"id: 0123456789\nevent: 0123456789\ndata: 0123456789\n\n", [], 33)
@example(b"retry: " + b"9" * 5000 + b"\ndata: a\n\n", [1000], 8 << 20)
def test_any_bytes_are_read_the_same_at_any_split(data, cuts, bound):
    whole = read(Decoder(bound), [data])
    assert read(Decoder(bound), pieces(data, cuts)) == whole
    assert read(Decoder(bound), pieces(data, list(range(len(data))))) == whole


# Memory.

SLACK = 700
"""Bytes that objects take of themselves."""


def held(thing: object) -> int:
    """Bytes that a decoder keeps, the texts that it has handed over aside."""
    if isinstance(thing, Decoder):
        return sum(held(it) for name, it in vars(thing).items() if name != "last_event_id")
    inside = sum(map(held, thing)) if isinstance(thing, list | tuple) else 0
    return sys.getsizeof(thing) + inside


@MANY
@given(STREAMS, SPLITS, st.integers(1, 100))
@example(b"".join(name + b": " + b"x" * 900 + b"\n" for name in (b"id", b"event")), [909], 1000)
def test_no_more_is_held_than_the_bound(data, cuts, bound):
    decoder = Decoder(bound)
    for chunk in pieces(data, cuts):
        try:
            decoder.feed(chunk)
        except EventTooLarge:
            assert held(decoder) <= SLACK
            return
        assert held(decoder) <= SLACK + bound * 1.25  # what a bytearray takes in advance
        assert len(decoder.last_event_id) <= bound


ENDLESS = {
    "a line": (b"", b"data: x"),
    "a comment": (b": ", b"x"),
    "a name": (b"", b"x"),
    "an id": (b"id: ", b"x"),
    "a type": (b"event: ", b"x"),
    "digits": (b"retry: ", b"9"),
    "data": (b"", b"data: x\n"),
    "lines of nothing": (b"", b"data\n"),
    "comments": (b"", b":\r"),
    "ids": (b"", b"id: 0123456789\n"),
    "types": (b"", b"event: 0123456789\r\n"),
    "blank lines": (b"", b"\n"),
    "returns": (b"", b"\r"),
    "nothing": (b"data: x", b""),
    "marks": (b"", b"\xef\xbb\xbf"),
}
GROW = {"a line", "a comment", "a name", "an id", "a type", "digits", "data", "lines of nothing",
        "marks"}  # fmt: skip


@pytest.mark.parametrize("size", [1, 7, 500])
@pytest.mark.parametrize("name", ENDLESS)
def test_what_never_ends(name, size):
    bound = 2000
    decoder = Decoder(bound)
    start, again = ENDLESS[name]
    data = start + again * (10_000 // max(1, len(again)))
    chunks = [data[at : at + size] for at in range(0, len(data), size)] + [b""] * 5000
    try:
        for chunk in chunks:
            decoder.feed(chunk)
            assert held(decoder) <= SLACK + bound * 1.25
    except EventTooLarge:
        assert name in GROW
        assert held(decoder) <= SLACK
    else:
        assert name not in GROW


def test_a_chunk_over_the_bound_is_not_kept():
    decoder = Decoder(1000)
    with pytest.raises(EventTooLarge):
        decoder.feed(b"x" * 1_000_000)
    assert held(decoder) <= SLACK


# Cost.


def calls(chunks: list[bytes]) -> int:
    """How many functions the decoder calls, C's included."""
    count = 0

    def note(frame, event, _):
        nonlocal count
        count += event in ("call", "c_call")

    feed = Decoder().feed
    sys.setprofile(note)
    try:
        for chunk in chunks:
            feed(chunk)
    finally:
        sys.setprofile(None)
    return count


def allocated(chunks: list[bytes]) -> int:
    """How many bytes are allocated, for all the chunks: a copy of what is held counts each time."""
    feed, total = Decoder().feed, 0
    tracemalloc.start()
    try:
        for chunk in chunks:
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            feed(chunk)
            total += tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    return total


SHAPES = {
    "a line, byte by byte": lambda n: [b"data: ", *[b"x"] * n, b"\n\n"],
    "a comment, byte by byte": lambda n: [b": ", *[b"x"] * n, b"\n\n"],
    "an id, byte by byte": lambda n: [b"id: ", *[b"x"] * n, b"\n\n"],
    "lines of one event, each by itself": lambda n: [*[b"data: x\n"] * n, b"\n"],
    "lines of one event, at once": lambda n: [b"data: x\n" * n + b"\n"],
    "a line, at once": lambda n: [b"data: " + b"x" * n + b"\n\n"],
    "events": lambda n: [b"data: x\n\n" * n],
    "returns": lambda n: [b"\r" * n],
    "digits": lambda n: [b"retry: " + b"9" * n + b"\n\n"],
    "empty": lambda n: [b""] * n,
}


@pytest.mark.parametrize("work", [calls, allocated])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_four_times_the_bytes_cost_four_times_the_work(shape, work):
    shape(10)
    once, four_times = work(shape(4000)), work(shape(16_000))
    assert four_times <= 5 * once + 1000
