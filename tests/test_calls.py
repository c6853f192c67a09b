"""Fragments become calls: each belongs to one, whatever its server numbers it."""

from __future__ import annotations

import enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenstream import ToolCall
from tokenstream.calls import Calls
from tokenstream.errors import InvalidOption


def whole(*fragments):
    calls = Calls()
    for fragment in fragments:
        calls.next_round() if fragment is None else calls.add(fragment)
    return [call.whole() for call in calls.all]


def test_fragments_of_an_index_are_one_call():
    assert whole(
        ToolCall(0, "a", "f", '{"x"'), ToolCall(0, arguments=":1"), ToolCall(0, arguments="}")
    ) == [ToolCall(0, "a", "f", '{"x":1}')]


def test_two_calls_may_come_in_turns():
    assert whole(
        ToolCall(0, "a", "f"),
        ToolCall(1, "b", "g"),
        ToolCall(0, arguments="1"),
        ToolCall(1, arguments="2"),
    ) == [ToolCall(0, "a", "f", "1"), ToolCall(1, "b", "g", "2")]


def test_they_are_numbered_as_they_begin():
    assert [it.index for it in whole(ToolCall(7, "a", "f"), ToolCall(3, "b", "g"))] == [0, 1]


def test_an_id_of_its_own_is_another_call():
    # Servers that send each call whole give all of them index 0.
    assert whole(
        ToolCall(0, "a", "f", "1"), ToolCall(0, "b", "f", "2"), ToolCall(0, arguments="3")
    ) == [ToolCall(0, "a", "f", "1"), ToolCall(1, "b", "f", "23")]


def test_an_id_and_a_name_that_are_repeated_are_the_same_call():
    assert whole(ToolCall(0, "a", "f", "1"), ToolCall(0, "a", "f", "2")) == [
        ToolCall(0, "a", "f", "12")
    ]


def test_an_id_and_a_name_may_come_later():
    fragments = (ToolCall(0, arguments="1"), ToolCall(0, "", "f"), ToolCall(0, "a", ""))
    assert whole(*fragments) == [ToolCall(0, "a", "f", "1")]


def test_a_round_counts_from_0_again():
    assert whole(ToolCall(0, "a", "f", "1"), None, ToolCall(0, None, "g", "2")) == [
        ToolCall(0, "a", "f", "1"),
        ToolCall(1, None, "g", "2"),
    ]


def test_a_round_has_calls_or_has_none():
    calls = Calls()
    assert not calls.are_open
    calls.add(ToolCall(0, "a", "f"))
    assert calls.are_open
    calls.next_round()
    assert not calls.are_open


def test_an_id_that_was_made_stays():
    calls = Calls()
    call = calls.add(ToolCall(0, None, "f"))
    made = call.made_id()
    assert made.startswith("call_")
    # The real one comes too late: what was made has been sent.
    assert calls.add(ToolCall(0, "late", arguments="1")) is call
    assert (call.made_id(), call.arguments) == (made, "1")


def test_ids_that_are_made_differ_and_one_that_came_is_kept():
    calls = Calls()
    first, second = calls.add(ToolCall(0)), calls.add(ToolCall(1))
    assert first.made_id() != second.made_id()
    assert calls.add(ToolCall(2, "own")).made_id() == "own"


def test_the_pieces_are_the_arguments_in_their_order():
    calls = Calls()
    calls.add(ToolCall(0, "a", "f"))
    assert calls.add(ToolCall(0, arguments="x")).pieces == ["", "x"]


class Tool(enum.StrEnum):
    SUM = "sum"


def test_of_a_subclass_its_text():
    (call,) = whole(ToolCall(0, "a", Tool.SUM))
    assert type(call.name) is str
    assert call.name == "sum"


@pytest.mark.parametrize(
    "part, field",
    [
        (ToolCall("0"), "index must be an int"),
        (ToolCall(1.0), "index must be an int"),
        (ToolCall(None), "index must be an int"),
        (ToolCall(0, 5), "id must be a str"),
        (ToolCall(0, "a", b"f"), "name must be a str"),
        (ToolCall(0, "a", "f", {"x": 1}), "arguments must be a str"),
    ],
    ids=str,
)
def test_a_field_of_another_type_is_named_and_nothing_is_added(part, field):
    calls = Calls()
    with pytest.raises(InvalidOption, match=field):
        calls.add(part)
    assert calls.all == []


FRAGMENTS = st.builds(
    ToolCall,
    st.integers(0, 2),
    st.sampled_from([None, "", "a", "b"]),
    st.sampled_from([None, "", "f", "g"]),
    st.text("xyz", max_size=3),
)


@given(st.lists(st.none() | FRAGMENTS, max_size=20))
def test_no_piece_is_lost_or_moved(fragments):
    calls, told = Calls(), {}
    for fragment in fragments:
        if fragment is None:
            calls.next_round()
            continue
        call = calls.add(fragment)
        assert call.pieces[-1] == fragment.arguments
        told[call.number] = told.get(call.number, "") + fragment.arguments
    assert [call.number for call in calls.all] == list(range(len(calls.all)))
    assert {call.number: call.arguments for call in calls.all} == told
