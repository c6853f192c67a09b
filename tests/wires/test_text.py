"""The wire "text": any text but CR arrives, and `data: [DONE]` is the end and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tokenstream import Text, sse

from .strategies import BATCHES, TEXTS, decoded, normal

PLAIN = TEXTS.map(lambda text: text.encode("utf-8", "replace").decode())


@given(st.lists(PLAIN))
@example(["\r", "\n"])
@example(["a\r", "", "\nb"])
@example(["[DONE]"])
@example(["\r", "\n[DONE]"])
@example(["[DONE]\n[DONE]\r\n[DONE]"])
def test_the_text_arrives_at_any_split_into_tokens(tokens):
    encoder = Text().begin()
    frames = b"".join(encoder.text(token) for token in tokens if token)
    events = decoded(frames)
    assert "".join(event.data for event in events) == normal("".join(tokens))
    assert all(event == sse.Event(event.data) for event in events)
    # Not even for a reader that goes by lines, as many that are written by hand do.
    assert b"data: [DONE]" not in frames.split(b"\n")


@given(TEXTS.filter(bool))
def test_a_token_is_an_event(text):
    events = decoded(Text().begin().text(text))
    if "[DONE]" in normal(text).split("\n"):
        assert "".join(event.data for event in events) == normal(text)
    else:
        assert events == [sse.Event(normal(text))]


@given(TEXTS)
def test_an_error_is_one_event_and_no_done(message):
    assert decoded(Text().begin().error(message)) == [sse.Event(normal(message), event="error")]


@pytest.mark.parametrize("text", [" a", "  ", "\ta", " \n "])
def test_leading_space_survives(text):
    assert decoded(Text().begin().text(text)) == [sse.Event(text)]


def test_the_end():
    assert Text().begin().done() == b"data: [DONE]\n\n"


def test_a_cr_is_remembered_for_its_stream_only():
    wire = Text()
    one, two = wire.begin(), wire.begin()
    one.text("a\r")
    assert two.text("\nb") == b"data: \ndata: b\n\n"
    assert one.text("\nb") == b"data: b\n\n"


@given(BATCHES)
@example([["a", "[DONE]"], ["b", "[DONE]\n"]])
@example([["a\r"], ["b", "c"], ["\nd"]])
@example([["a\r"], ["\nb", "c"], ["a", "\ud800"]])
def test_many_tokens_are_framed_as_each_is(batches):
    wire = Text()
    one, many = wire.begin(), wire.begin()
    for batch in batches:
        if tokens := [token for token in batch if token]:
            assert many.texts(tokens) == b"".join(map(one.text, tokens))
