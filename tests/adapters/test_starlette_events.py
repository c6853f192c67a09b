"""The bytes of an `EventSourceResponse`, beside those of sse-starlette itself."""

from __future__ import annotations

import enum
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tokenstream import Data, Finish, Reasoning, Step, Usage, errors, sse
from tokenstream.machine import Machine
from tokenstream_starlette import JSONServerSentEvent, ServerSentEvent
from tokenstream_starlette.events import EventSource

from ..needs import need_module

need_module("sse_starlette")
from sse_starlette import JSONServerSentEvent as TheirJSON
from sse_starlette import ServerSentEvent as Theirs
from sse_starlette.event import ensure_bytes

SEPARATORS = st.sampled_from(["\r\n", "\n", "\r"])

# Line ends, and what looks like a field, more often than chance would have it.
TEXT = st.text(
    st.one_of(st.sampled_from("\r\n: \x85\u2028\ufeff"), st.characters(exclude_categories=["Cs"])),
    max_size=12,
)
LINE = TEXT.map(lambda text: text.replace("\0", ""))  # NUL: see below
DATA = st.one_of(TEXT, st.integers(), st.booleans(), st.lists(st.integers()), st.floats())
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "data": st.none() | DATA,
        "event": st.none() | LINE,
        "id": st.none() | LINE,
        "retry": st.none() | st.integers(),
        "comment": st.none() | TEXT,
    },
)


def pair(kind: str, fields: dict[str, Any], sep: str | None) -> tuple[object, object]:
    """Return an item of ours, and theirs."""
    if kind == "event":
        return ServerSentEvent(**fields, sep=sep), Theirs(**fields, sep=sep)
    if kind == "theirs":
        return Theirs(**fields, sep=sep), Theirs(**fields, sep=sep)
    return fields, fields


PAIRS = st.one_of(
    st.builds(pair, st.sampled_from(["event", "theirs", "dict"]), FIELDS, st.none() | SEPARATORS),
    st.one_of(DATA, st.binary(), st.binary().map(memoryview), st.none(), st.just(object)).map(
        lambda item: (item, item)
    ),
)


def ours(items: list[Any], sep: str = "\r\n") -> bytes:
    machine = Machine(EventSource(sep))
    return b"".join(map(machine.part, items)) + machine.finish()


@given(st.lists(PAIRS, max_size=5), SEPARATORS)
@example(
    [({"data": "", "event": ""}, {"data": "", "event": ""}), ("", ""), ("a\r\n\n", "a\r\n\n")], "\r"
)
def test_both_write_the_same_bytes(pairs, sep):
    expected = b"".join(ensure_bytes(theirs, sep) for _, theirs in pairs)
    assert ours([item for item, _ in pairs], sep) == expected


@given(st.lists(TEXT, min_size=1), SEPARATORS)
def test_texts_that_are_framed_together_are_the_same(texts, sep):
    machine = Machine(EventSource(sep))
    first = machine.part("begins")
    expected = b"".join(ensure_bytes(text, sep) for text in ["begins", *texts])
    assert first + machine.texts(texts) == expected


VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda values: st.lists(values) | st.dictionaries(TEXT, values),
)


@given(VALUES | st.none(), SEPARATORS)
def test_json_is_the_same_value(value, sep):
    mine, theirs = (
        sse.Decoder().feed(kind(value, event="e", id="1", retry=2, sep=sep).encode())
        for kind in (JSONServerSentEvent, TheirJSON)
    )
    assert len(mine) == len(theirs) == (value is not None)
    for event, their_event in zip(mine, theirs, strict=True):
        assert json.loads(event.data) == json.loads(their_event.data)
        assert (event.event, event.id, event.retry) == ("e", "1", 2)


def test_both_refuse_the_same():
    for kind in (JSONServerSentEvent, TheirJSON):
        with pytest.raises(ValueError, match="not JSON compliant"):
            kind(float("nan"))
    for kind in (ServerSentEvent, Theirs):
        with pytest.raises(TypeError, match="retry argument must be int"):
            kind("a", retry="3000").encode()
    for encode in (ensure_bytes, lambda item, sep: ours([item], sep)):
        with pytest.raises(TypeError, match="unexpected keyword argument 'dta'"):
            encode({"dta": "a"}, "\n")


# What is not the same, and why.


def test_json_is_ascii():
    # U+0085, U+2028 and U+2029 end a line for Python's readers, and a lone surrogate is no UTF-8.
    assert (
        JSONServerSentEvent("\x85é\ud800", sep="\n").encode()
        == b'data: "\\u0085\\u00e9\\ud800"\n\n'
    )
    assert TheirJSON("\x85", sep="\n").encode() == b'data: "\xc2\x85"\n\n'


def test_a_lone_surrogate_does_not_end_the_stream():
    assert ours(["\ud800", "\ud83d\ude00"], "\n") == "data: \ufffd\n\ndata: \U0001f600\n\n".encode()
    with pytest.raises(UnicodeEncodeError):
        ensure_bytes("\ud800", "\n")


def test_an_id_with_nul_in_it_is_not_ignored():
    # "If the field value does not contain U+0000 NULL": a browser would keep the last one.
    assert ours([{"id": "a\0\r\nb", "event": "\0"}], "\n") == b"id: ab\nevent: \n\n"
    assert ensure_bytes({"id": "a\0"}, "\n") == b"id: a\0\n\n"


def test_an_id_may_be_a_number():
    assert ours([{"id": 7}], "\n") == b"id: 7\n\n"
    with pytest.raises(TypeError):
        ensure_bytes({"id": 7}, "\n")


def test_a_separator_is_one_of_three():
    with pytest.raises(ValueError, match="sep must be one of"):
        ServerSentEvent("a", sep="\ndata: x\n")
    assert Theirs("a", sep="\ndata: x\n").encode() == b"data: a\ndata: x\n\ndata: x\n"


def test_a_bytearray_is_bytes_too():
    assert ours([bytearray(b"data: a\n\n")]) == b"data: a\n\n"
    assert ensure_bytes(bytearray(b"a"), "\n") == b"data: bytearray(b'a')\n\n"


def test_an_enum_of_texts_is_its_text():
    class Color(str, enum.Enum):  # noqa: UP042
        RED = "red"

    assert ours([Color.RED], "\n") == b"data: red\n\n"
    assert ensure_bytes(Color.RED, "\n") == b"data: Color.RED\n\n"


# What only ours knows.


def test_our_own_parts_have_their_say():
    machine = Machine(EventSource("\n"))
    silent = [Usage(1, 2), Finish("stop"), Step(), Reasoning("hm")]
    assert b"".join(map(machine.part, silent)) == b""
    assert machine.gathered.usage == Usage(1, 2)
    event = sse.Event("a\nb", event="e", id="1", retry=2)
    assert machine.part(event) == b"id: 1\nevent: e\ndata: a\ndata: b\nretry: 2\n\n"
    with pytest.raises(errors.UnsupportedPart, match="'event-source' has no place for Data"):
        machine.part(Data("n", 1))


@pytest.mark.parametrize("sep", ["\r\n", "\n", "\r"])
def test_a_failure_is_an_event_and_success_is_nothing(sep):
    machine = Machine(EventSource(sep))
    expected = f"event: error{sep}data: generation failed{sep}{sep}".encode()
    assert machine.fail(ValueError("secret")) == expected
    assert Machine(EventSource(sep)).finish() == b""


# Pings.

WITH_ID = {
    "dict": {"data": "a", "id": "1"},
    "event": ServerSentEvent("a", id="1"),
    "theirs": Theirs("a", id="1"),
    "sse.Event": sse.Event("a", id="1"),
}


@pytest.mark.parametrize("sep", ["\r\n", "\n", "\r"])
@pytest.mark.parametrize("item", WITH_ID.values(), ids=WITH_ID)
def test_a_ping_is_a_comment_with_no_blank_line_once_there_are_ids(sep, item):
    machine = Machine(EventSource(sep))
    machine.part({"data": "a"})
    assert machine.keep_alive() == f": ping{sep}{sep}".encode()
    machine.part(item)
    assert machine.keep_alive() == f": ping{sep}".encode()


@pytest.mark.parametrize(
    "ping",
    ["ping", b": raw\n\n", {"event": "ping"}, ServerSentEvent(comment="x"), Theirs(comment="x")],
    ids=["text", "bytes", "dict", "event", "theirs"],
)
def test_the_apps_own_ping_is_any_item(ping):
    machine = Machine(EventSource("\n", lambda: ping))
    machine.part({"id": "1"})
    assert machine.keep_alive() == ensure_bytes(
        Theirs(comment="x") if isinstance(ping, ServerSentEvent) else ping, "\n"
    )


def test_a_ping_that_cant_be_made_does_not_end_the_stream(caplog):
    def ping() -> object:
        raise LookupError("secret")

    machine = Machine(EventSource("\n", ping))
    assert machine.keep_alive() == b": ping\n\n"
    assert "ping_message_factory raised" in caplog.text
