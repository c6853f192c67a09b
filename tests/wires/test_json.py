"""The wire "json": what arrives is what was meant, whatever is in it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenstream import Data, Json, Reasoning, Source, ToolCall, ToolResult, sse

from .strategies import BATCHES, TEXTS, decoded

DONE = sse.Event("[DONE]")


def values(frames: bytes) -> list[object]:
    assert frames.isascii()
    return [json.loads(event.data) for event in decoded(frames)]


@given(TEXTS.filter(bool))
def test_a_token_arrives_as_it_is(text):
    assert values(Json().begin().text(text)) == [{"token": text}]


@given(TEXTS, TEXTS, TEXTS)
def test_no_part_breaks_out_of_its_event(one, two, three):
    encoder = Json().begin()
    frames = b"".join(
        [
            encoder.reasoning(Reasoning(one, two)),
            encoder.tool_call(ToolCall(0, one, two, three)),
            encoder.tool_result(ToolResult(one, {two: three})),
            encoder.source(Source(one, two)),
            encoder.data(Data(one, [two, three])),
        ]
    )
    assert values(frames) == [
        {"reasoning": one, "signature": two},
        {"tool_call": {"index": 0, "id": one, "name": two, "arguments": three}},
        {"tool_result": {"id": one, "output": {two: three}, "is_error": False}},
        {"source": {"url": one, "title": two}},
        {"data": {"name": one, "value": [two, three]}},
    ]


@given(TEXTS)
def test_an_error_is_one_event_and_no_done(message):
    (event,) = decoded(Json().begin().error(message))
    assert event.event == "error"
    assert json.loads(event.data) == {"error": message}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
        | TEXTS,
        lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
        max_leaves=10,
    )
)  # fmt: skip
def test_data_takes_what_json_takes(value):
    assert values(Json().begin().data(Data("n", value))) == [
        {"data": {"name": "n", "value": value}}
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}, b"x"])
def test_data_refuses_what_is_not_json(value):
    with pytest.raises((TypeError, ValueError), match="JSON"):
        Json().begin().data(Data("n", value))


def test_the_end():
    assert decoded(Json().begin().done()) == [DONE]


def test_it_is_for_event_source_and_its_encoders_share_nothing():
    wire = Json()
    assert wire.event_source
    assert wire.begin() is not wire.begin()
    assert wire == Json()


@given(BATCHES)
def test_many_tokens_are_framed_as_each_is(batches):
    wire = Json()
    one, many = wire.begin(), wire.begin()
    for batch in batches:
        if tokens := [token for token in batch if token]:
            assert many.texts(tokens) == b"".join(map(one.text, tokens))
