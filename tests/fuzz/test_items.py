"""A source may yield anything: it is a part, or the stream fails by a name, and no reader hangs."""

from __future__ import annotations

import array
import dataclasses
import enum
import logging
from typing import Any, get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tokenstream import (
    Data,
    Finish,
    OpenAIChat,
    Reasoning,
    Source,
    Step,
    TokenStream,
    ToolCall,
    ToolResult,
    Usage,
    WireName,
    sse,
)
from tokenstream.errors import UnknownPart, UsageError
from tokenstream.machine import Machine
from tokenstream.shown import shown, type_name
from tokenstream.wires import find_wire

from ..pairings import PAIRINGS, result_of
from ..wires.strategies import decoded, ending
from .strategies import HOSTILE, MANY, SOME, one_of

# Things that raise, lie, or are large.


def raising(*names: str) -> type:
    def raises(*_: object) -> Any:
        raise ZeroDivisionError("secret")

    return type("Raising", (), dict.fromkeys(names, raises) | {"__hash__": object.__hash__})


class NoClass:
    @property
    def __class__(self):
        raise ZeroDivisionError("secret")


class SaysStr:
    __class__ = str


class SaysBytes:
    __class__ = bytes
    __index__ = lambda self: 1 << 62  # noqa: E731 - bytes(...) would make so many


class SaysReasoning:
    __class__ = Reasoning


class Huge:
    def __repr__(self):
        return "secret" * 1_000_000


class Loud(str):
    __slots__ = ()

    def __str__(self):
        raise ZeroDivisionError("secret")

    __repr__ = __eq__ = __len__ = __iter__ = __format__ = replace = encode = __str__
    __hash__ = str.__hash__


class LoudBytes(bytes):
    def __iter__(self):
        raise ZeroDivisionError("secret")

    __repr__ = __eq__ = __len__ = __iter__
    __hash__ = bytes.__hash__


class Color(str, enum.Enum):  # noqa: UP042 - whose str() is not its text
    RED = "red"


class LoudDict(dict):
    def items(self):
        raise ZeroDivisionError("secret")

    __iter__ = __repr__ = items


class LoudInt(int):
    def __repr__(self):
        return "1\n\nevent: error\n\n"

    __str__ = __format__ = lambda self, *_: repr(self)


def deep() -> list[object]:
    inside: list[object] = []
    for _ in range(100_000):
        inside = [inside]
    return inside


def round_about() -> list[object]:
    ring: list[object] = []
    ring.append(ring)
    return ring


STRANGE = [
    *(raising(f"__{name}__")() for name in ("repr", "eq", "iter", "len", "str", "bool", "bytes")),
    *(NoClass(), SaysStr(), SaysBytes(), SaysReasoning(), Huge(), type("X" * 100_000, (), {})()),
    *(LoudDict(a=1), LoudInt(5), 10**5000, float("nan"), ["x" * 1_000_000], "x" * 300_000),
    *(deep(), round_about(), ..., NotImplemented, Reasoning, str, ValueError("x"), range(3)),
    *(StopIteration(), lambda: "x", iter("x"), complex(1)),
]

TEXT = HOSTILE | one_of([Loud("loud\n\nid: x"), Color.RED, "", "\ud83d", "\ude00"])
BYTES = (
    st.binary(max_size=8)
    | st.binary(max_size=8).map(bytearray)
    | st.binary(max_size=8).map(memoryview)
    | st.binary(max_size=8).map(lambda data: memoryview(data)[::-2])
    | st.lists(st.integers(0, 9), max_size=3).map(lambda items: memoryview(array.array("I", items)))
    | st.just(memoryview(b"abcdef").cast("B", (2, 3)))
    | one_of([LoudBytes(b"a\n\nid: x"), b"\xe2\x82", b"\xf0\x9f", b"\xff" * 100_000])
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | one_of(STRANGE)
ANY = st.recursive(
    LEAVES | TEXT | BYTES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(HOSTILE, inner, max_size=2),
    max_leaves=5,
)
TEXTUAL = (str, bytes, bytearray, memoryview)
KINDS = (Reasoning, ToolCall, ToolResult, Source, Step, Usage, Finish, Data, sse.Event)


@st.composite
def parts(draw: Any) -> object:
    """A part with anything in its fields, or what was raised for that."""
    kind = draw(st.sampled_from(KINDS))
    fields = {field.name: draw(TEXT | ANY) for field in dataclasses.fields(kind)}
    try:
        return kind(**fields)
    except Exception as error:  # InvalidOption, or what a field raised when it was looked at
        return error


class Item:
    """What is yielded, with a `repr` for Hypothesis."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Item({type_name(self.value)}: {shown(self.value)})"


@st.composite
def items(draw: Any, values: st.SearchStrategy[object]) -> Item:
    return Item(draw(values))


ITEMS = items(TEXT | BYTES | ANY | parts())


WIRES = [*map(find_wire, get_args(WireName)), OpenAIChat(include_usage=True)]


def ends(wire: Any, frames: bytes) -> str:
    """Return how a reader sees it end, by the bytes alone."""
    *_, end = decoded(frames)
    (*_, failed) = decoded(Machine(wire).fail(ValueError()))
    (*_, done) = decoded(Machine(wire).finish())
    if failed.data != "[DONE]":
        completed = ending(end) == ending(done)
        broke = ending(end) == ending(failed)
        return "failed" if broke else "completed" if completed else "cut"
    *_, before, _ = decoded(frames)
    assert end.data == "[DONE]"
    return "failed" if '"generation failed"' in before.data else "completed"


def insist_on_few_words(error: BaseException) -> None:
    if isinstance(error, UsageError):
        assert len(str(error)) < 500


@MANY
@given(ITEMS, st.sampled_from(WIRES))
@example(Item(Usage(1, 2, {"details": object()})), WIRES[-1])
@example(Item(memoryview(b"")), WIRES[0])
def test_any_item_is_a_part_or_an_error_with_a_name(boxed, wire):
    item = boxed.value
    machine = Machine(wire)
    frames = machine.part("a")
    try:
        frames += machine.part(item)
        frames += machine.finish()
    except Exception as error:
        insist_on_few_words(error)
        frames += machine.fail(error)
        assert ends(wire, frames) == "failed"
        assert b"secret" not in frames
    else:
        assert issubclass(type(item), TEXTUAL + KINDS)
        assert ends(wire, frames) == "completed"
    # What `Result` is made of is there, whatever it was.
    gathered = machine.gathered
    assert "".join(gathered.texts + gathered.reasoning).startswith("a")
    assert [call.number for call in gathered.calls.all] == list(range(len(gathered.calls.all)))


@MANY
@given(items(ANY.filter(lambda it: not issubclass(type(it), TEXTUAL))))
def test_what_is_no_part_is_named_so(boxed):
    with pytest.raises(UnknownPart) as raised:
        Machine(WIRES[0]).part(boxed.value)
    insist_on_few_words(raised.value)


class Longest(logging.Handler):
    """Keeps the length of the longest line of a log, its tracebacks included."""

    def __init__(self) -> None:
        super().__init__()
        self.length = 0

    def emit(self, record: logging.LogRecord) -> None:
        lines = logging.Formatter().format(record).splitlines()
        self.length = max([self.length, *map(len, lines)])


@pytest.mark.parametrize("pairing", PAIRINGS, ids=lambda pairing: pairing.name)
@SOME
@given(ITEMS, st.sampled_from(WIRES))
def test_no_item_hangs_a_reader_or_fills_a_log(pairing, boxed, wire):
    log, longest = logging.getLogger("tokenstream"), Longest()
    log.addHandler(longest)
    try:
        stream: TokenStream = pairing.make("a", boxed.value, wire=wire)
        frames = pairing.read(stream)
    finally:
        log.removeHandler(longest)
    assert result_of(stream).outcome == ends(wire, frames)
    assert longest.length < 1000
