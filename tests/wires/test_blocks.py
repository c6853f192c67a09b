"""Blocks: each begins, grows and ends, and nothing is open beside text or thinking."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenstream import Reasoning, Step, ToolCall
from tokenstream.errors import InvalidOption
from tokenstream.wires.blocks import BlockEncoder

from .strategies import BATCHES


class Tags(BlockEncoder):
    """Blocks as tags, so that one sees what is open."""

    wire = "tags"

    def __init__(self):
        super().__init__()
        self.texts_begun = 0

    def text_begins(self):
        self.texts_begun += 1
        return b"<text>", (f"{self.texts_begun}:", ";")

    def text_ends(self):
        return b"</text>"

    def reasoning_begins(self):
        return b"<think>"

    def reasoning_piece(self, part):
        return json.dumps([part.text, part.signature]).encode()

    def reasoning_ends(self):
        return b"</think>"

    def call_begins(self, call):
        return f"<{call.id} {call.name}>".encode()

    def call_piece(self, call, arguments):
        return f"{call.id}={arguments};".encode()

    def call_ends(self, call):
        return f"</{call.id}>".encode()

    def done(self):
        return self.close_blocks()


def frames(*parts):
    encoder = Tags()
    made = [encoder.text(it) if isinstance(it, str) else encoder.part(it) for it in parts]
    return b"".join([*made, encoder.done()]).decode()


def test_nothing_opens_nothing():
    assert frames() == frames(Step()) == ""


def test_text_is_one_block_up_to_another_part():
    assert frames("a", "b", Reasoning("c"), "d") == (
        '<text>1:"a";1:"b";</text><think>["c", null]</think><text>2:"d";</text>'
    )


def test_thinking_is_one_block_with_its_signature():
    assert frames(Reasoning("a"), Reasoning("", "s"), "b") == (
        '<think>["a", null]["", "s"]</think><text>1:"b";</text>'
    )


def test_a_call_ends_before_anything_else_begins():
    assert frames("a", ToolCall(0, "x", "f", "1"), ToolCall(0, arguments="2"), "b") == (
        '<text>1:"a";</text><x f>x=1;x=2;</x><text>2:"b";</text>'
    )
    assert frames(ToolCall(0, "x", "f"), Reasoning("a")) == '<x f></x><think>["a", null]</think>'


def test_calls_may_be_open_beside_each_other():
    parts = (
        ToolCall(0, "x", "f"),
        ToolCall(1, "y", "g", "1"),
        ToolCall(0, arguments="2"),
        ToolCall(1, arguments="3"),
    )
    assert frames(*parts) == "<x f><y g>y=1;x=2;y=3;</x></y>"


def test_an_empty_piece_of_a_call_is_not_sent():
    assert frames(ToolCall(0, "x", "f"), ToolCall(0), ToolCall(0, arguments="1")) == "<x f>x=1;</x>"


def test_a_call_begins_when_its_name_is_there_or_it_ends():
    late = ToolCall(0, "x", arguments="1"), ToolCall(0, arguments="2"), ToolCall(0, name="f")
    assert frames(*late, ToolCall(0, arguments="3")) == "<x f>x=12;x=3;</x>"
    assert frames(*late[:2], "a") == '<x None>x=12;</x><text>1:"a";</text>'


def test_a_round_ends_all_that_is_open_and_counts_from_0_again():
    parts = (ToolCall(0, "x", "f"), Step(), ToolCall(0, None, "g", "1"), Step(), "a", Step())
    assert re.sub("call_[0-9a-f]{32}", "made", frames(*parts)) == (
        '<x f></x><made g>made=1;</made><text>1:"a";</text>'
    )


def test_a_call_without_an_id_keeps_the_one_that_is_made():
    made = frames(ToolCall(0, None, "f"), ToolCall(0, "late", arguments="1"))
    (call_id,) = set(re.findall("call_[0-9a-f]{32}", made))
    assert made == f"<{call_id} f>{call_id}=1;</{call_id}>"


def test_a_fragment_after_its_call_has_ended_is_an_error_that_says_what_to_do():
    encoder = Tags()
    encoder.part(ToolCall(0, "x", "f"))
    encoder.text("a")
    with pytest.raises(InvalidOption, match=r"ToolCall\(index=0\).*yield all of a call before"):
        encoder.part(ToolCall(0, arguments="1"))
    assert encoder.close_blocks() == b"</text>"  # what failed has ended nothing


def test_what_is_closed_once_is_closed():
    encoder = Tags()
    encoder.text("a")
    assert (encoder.close_blocks(), encoder.close_blocks()) == (b"</text>", b"")


@given(BATCHES)
def test_many_tokens_are_framed_as_each_is(batches):
    one, many = Tags(), Tags()
    for batch in batches:
        if tokens := [token for token in batch if token]:
            assert many.texts(tokens) == b"".join(map(one.text, tokens))


PARTS = st.one_of(
    st.sampled_from(["a", Step(), Reasoning("b"), Reasoning("", "s")]),
    st.builds(
        ToolCall,
        st.integers(0, 2),
        st.none() | st.sampled_from("xyz"),
        st.sampled_from([None, "f"]),
    ),
)


@given(st.lists(PARTS, max_size=15))
def test_every_block_that_begins_ends_once_and_none_is_inside_of_another(parts):
    encoder, made = Tags(), ""
    for part in parts:
        try:
            made += (encoder.text(part) if isinstance(part, str) else encoder.part(part)).decode()
        except InvalidOption:
            break
    made += encoder.done().decode()
    tags = re.findall(r"<(/?)(\w+)", made)
    open_now: list[str] = []
    for closes, tag in tags:
        if closes:
            open_now.remove(tag)
        else:
            open_now.append(tag)
            # Only calls are open beside each other.
            assert len(open_now) == 1 or not {"text", "think"} & {*open_now}
    assert open_now == []
