"""What a wire that writes nothing of its own does with parts."""

from __future__ import annotations

import pytest

from tokenstream import (
    Data,
    Finish,
    Reasoning,
    Source,
    Step,
    ToolCall,
    ToolResult,
    Usage,
    Wire,
    sse,
)
from tokenstream.errors import UnknownPart, UnsupportedPart
from tokenstream.wires.base import Encoder, json_ascii


class Bare(Encoder):
    wire = "bare"


@pytest.mark.parametrize("part", [Reasoning("x"), Source("u"), Step(), Usage(1, 2), Finish("stop")])
def test_what_only_accompanies_is_left_out(part):
    assert Bare().part(part) == b""


@pytest.mark.parametrize(
    "part",
    [ToolCall(0), ToolResult("i", 1), Data("n", 1), sse.Event("x")],
    ids=lambda p: type(p).__name__,
)
def test_what_changes_the_meaning_is_refused_by_both_names(part):
    kind = type(part).__name__
    with pytest.raises(
        UnsupportedPart, match=f"wire 'bare' has no place for {kind}: choose a wire"
    ):
        Bare().part(part)


@pytest.mark.parametrize("part", [None, 1, [], object(), ValueError(), Reasoning])
def test_what_is_no_part(part):
    with pytest.raises(UnknownPart, match="which is no part of a stream: yield str, bytes, or"):
        Bare().part(part)


def test_what_every_wire_must_write():
    for needed in (Wire().begin, lambda: Bare().text("x"), lambda: Bare().error("x")):
        with pytest.raises(NotImplementedError):
            needed()


def test_json_ascii():
    assert json_ascii({"a": "é\u2028\ud800"}) == r'{"a":"\u00e9\u2028\ud800"}'
    with pytest.raises(ValueError, match="JSON"):
        json_ascii(float("nan"))


def test_many_tokens_are_each_framed_where_a_wire_knows_no_better():
    class Plain(Encoder):
        def text(self, text):
            return text.encode() + b";"

    assert Plain().texts(["a", "b", "c"]) == b"a;b;c;"
