"""A whole reply: its parts in their order, what belongs together joined."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenstream import Data, Finish, Reasoning, Source, Step, ToolCall, ToolResult, Usage
from tokenstream.machine import Machine
from tokenstream.wires import Json
from tokenstream.wires.reply import Reply

CALL = ToolCall(0, "a", "f", "{}")
RESULT = ToolResult("a", 1)


def reply(*parts):
    made = Reply()
    for part in parts:
        made.add(part)
    return made


def test_a_reply_of_nothing():
    nothing = reply()
    assert (nothing.blocks, nothing.text, nothing.reasoning, nothing.tool_calls) == ([], "", "", [])
    assert (nothing.usage, nothing.reason) == (None, "stop")


def test_text_is_joined_up_to_another_part():
    assert reply("a", "b", Step(), "c").blocks == ["ab", Step(), "c"]


def test_a_source_or_data_in_a_sentence_parts_no_text():
    made = reply("a", Source("u"), Data("n", 1), "b", Step(), Source("v"), "c")
    assert made.blocks == ["ab", Source("u"), Data("n", 1), Step(), Source("v"), "c"]


def test_what_is_empty_parts_nothing():
    assert reply("", "a", "", Reasoning(""), "b", "").blocks == ["ab"]
    assert reply(Reasoning("a"), "", Reasoning("b")).blocks == [Reasoning("ab")]


def test_a_signature_ends_its_thinking():
    assert reply(
        Reasoning("a"), Reasoning("b"), Reasoning("", "s"), Reasoning("c"), Reasoning("d", "t")
    ).blocks == [Reasoning("ab", "s"), Reasoning("cd", "t")]


def test_a_call_is_where_it_began():
    made = reply("a", ToolCall(0, "a", "f"), "b", ToolCall(0, arguments="{}"), RESULT)
    assert made.blocks == ["a", CALL, "b", RESULT]
    assert made.tool_calls == [CALL]
    assert made.text == "ab"


def test_calls_of_two_rounds_are_told_apart():
    made = reply(CALL, RESULT, Step(), ToolCall(0, None, "g"))
    assert made.tool_calls == [CALL, ToolCall(1, None, "g")]


def test_the_others_stay_as_they_came():
    parts = [Source("u"), Data("n", 1), RESULT, Step()]
    assert reply(*parts).blocks == parts


def test_the_last_count_and_reason_hold():
    made = reply(Usage(1, 1), Finish("length"), "a", Usage(2, 3), Finish("content_filter"))
    assert (made.usage, made.reason, made.blocks) == (Usage(2, 3), "content_filter", ["a"])


@pytest.mark.parametrize(
    "parts, reason",
    [
        (("a",), "stop"),
        ((CALL,), "tool_calls"),
        ((CALL, ""), "tool_calls"),
        ((CALL, "a", Source("u")), "tool_calls"),
        ((CALL, RESULT), "stop"),
        ((CALL, RESULT, "a"), "stop"),
        ((CALL, Step(), "a"), "stop"),
        ((CALL, Step(), CALL), "tool_calls"),
        ((CALL, Finish("stop")), "stop"),
    ],
    ids=str,
)
def test_a_reason_that_was_not_given(parts, reason):
    assert reply(*parts).reason == reason


WORDS = st.text("ab", max_size=3)
PARTS = st.one_of(
    WORDS,
    st.builds(Reasoning, WORDS, st.sampled_from([None, None, "s"])),
    st.builds(ToolCall, st.integers(0, 1), st.sampled_from([None, "a", "b"]), WORDS, WORDS),
    st.just(Step()),
)


@given(st.lists(PARTS, max_size=20))
def test_it_says_what_a_result_says(parts):
    made, machine = reply(*parts), Machine(Json())
    for part in parts:
        machine.part(part)
    gathered = machine.gathered
    assert made.text == "".join(gathered.texts)
    assert made.reasoning == "".join(gathered.reasoning)
    assert made.tool_calls == [call.whole() for call in gathered.calls.all]
    assert made.text == "".join(it for it in made.blocks if isinstance(it, str))
