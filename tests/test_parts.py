"""Parts are frozen and small; a wrong one says what is right."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenstream import (
    Data,
    Finish,
    Interruptible,
    Reasoning,
    Source,
    Step,
    ToolCall,
    ToolResult,
    Usage,
)
from tokenstream.errors import InvalidOption
from tokenstream.parts import TextPieces, unknown_part

PARTS = [
    Reasoning("x"),
    ToolCall(0),
    ToolResult("i", 1),
    Source("u"),
    Step(),
    Usage(1, 2),
    Finish("stop"),
    Data("n", 1),
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
def test_parts_are_frozen_and_small(part):
    assert not hasattr(part, "__dict__")
    with pytest.raises((dataclasses.FrozenInstanceError, TypeError, AttributeError)):
        part.text = "other"


def test_defaults():
    assert (Reasoning("x").signature, Source("u").title) == (None, None)
    assert ToolCall(3) == ToolCall(index=3, id=None, name=None, arguments="")
    assert ToolResult("i", 1).is_error is False
    assert Usage(1, 2).details == {}
    assert Usage(1, 2).details is not Usage(1, 2).details


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls", "content_filter"])
def test_finish_reasons(reason):
    assert Finish(reason).reason == reason


@pytest.mark.parametrize("reason", ["eos", "", None, "STOP"])
def test_a_wrong_finish_reason_lists_the_right_ones(reason):
    with pytest.raises(InvalidOption, match="one of stop, length, tool_calls, content_filter"):
        Finish(reason)


def test_an_unknown_part_names_itself_and_what_to_yield():
    message = str(unknown_part({"key": "x" * 1000}))
    assert "yielded dict ({'key': 'xxx" in message
    assert "yield str, bytes, or a part from tokenstream" in message
    assert len(message) < 300


@given(st.text(st.characters(exclude_categories=["Cs"])), st.lists(st.integers(0, 1000)))
def test_bytes_become_the_text_at_any_split(text, cuts):
    data = text.encode()
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    decoder = TextPieces()
    read = [decoder.feed(data[a:b]) for a, b in itertools.pairwise(places)]
    assert "".join(read) + decoder.end() == text


def test_a_character_that_never_ends():
    pieces = TextPieces()
    assert pieces.feed(b"a\xe2\x82") == "a"
    assert pieces.end() == "\ufffd"
    assert TextPieces().end() == ""


def test_interruptible_is_seen_by_its_method():
    class Mine:
        def interrupt(self):
            pass

    assert isinstance(Mine(), Interruptible)
    assert not isinstance(iter([]), Interruptible)
