"""The wire "openai-chat": what OpenAI's clients enforce."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given

from tokenstream import OpenAIChat, Reasoning, ToolCall, Usage
from tokenstream.errors import InvalidOption
from tokenstream.machine import Machine

from .strategies import BATCHES, TEXTS, decoded


def chunks(frames: bytes) -> list[dict]:
    assert frames.isascii()
    *events, done = decoded(frames)
    assert done.data == "[DONE]"
    return [json.loads(event.data) for event in events]


def stream(wire: OpenAIChat, *parts: object) -> list[dict]:
    machine = Machine(wire)
    return chunks(b"".join(machine.part(part) for part in parts) + machine.finish())


def deltas(*parts: object) -> list[dict]:
    return [chunk["choices"][0]["delta"] for chunk in stream(OpenAIChat(), *parts)]


@given(TEXTS.filter(bool))
def test_a_token_arrives_as_it_is(text):
    assert deltas(text) == [{"role": "assistant", "content": None}, {"content": text}, {}]


@given(TEXTS, TEXTS, TEXTS)
def test_nothing_breaks_out_of_its_event(one, two, three):
    three += "."
    role, thought, call, end = deltas(Reasoning(one + "."), ToolCall(0, one, two, three))
    assert (role["role"], end) == ("assistant", {})
    assert thought == {"reasoning_content": one + "."}
    (fragment,) = call["tool_calls"]
    assert fragment["function"] == {"name": two, "arguments": three}
    assert fragment["id"] == one or not one


@given(TEXTS, TEXTS)
def test_model_and_id_can_hold_anything(model, chat_id):
    for chunk in stream(OpenAIChat(model=model, id=chat_id), "x"):
        assert chunk["model"] == model
        assert chunk["id"] == chat_id or not chat_id


@given(TEXTS)
def test_an_error_then_done(message):
    (chunk,) = chunks(OpenAIChat().begin().error(message))
    assert chunk == {
        "error": {"message": message, "type": "server_error", "param": None, "code": None}
    }


def test_every_chunk_has_one_head():
    before = int(time.time())
    read = stream(OpenAIChat(model="m", include_usage=True), "a", Usage(1, 2), "b")
    heads = {(it["id"], it["object"], it["created"], it["model"]) for it in read}
    ((chat_id, kind, created, model),) = heads
    assert chat_id.startswith("chatcmpl-")
    assert (kind, model) == ("chat.completion.chunk", "m")
    assert before <= created <= time.time()
    assert all("error" not in it for it in read)


def test_streams_of_one_wire_have_ids_of_their_own():
    wire = OpenAIChat()
    assert stream(wire, "a")[0]["id"] != stream(wire, "a")[0]["id"]


def test_a_call_without_an_id_gets_one_once():
    calls = [
        delta["tool_calls"][0]
        for delta in deltas(ToolCall(0, name="f"), ToolCall(0, arguments="{}"))
        if "tool_calls" in delta
    ]
    assert calls[0]["id"].startswith("call_")
    assert calls[1] == {"index": 0, "function": {"arguments": "{}"}}


def test_usage_is_the_last_chunk_with_no_choice():
    wire = OpenAIChat(include_usage=True)
    last = stream(wire, Usage(3, 4, {"prompt_tokens_details": {"cached_tokens": 1}}), "a")[-1]
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 1},
    }


@pytest.mark.parametrize(
    "options", [{"model": None}, {"model": b"m"}, {"id": 5}, {"created": "1,\n\n"}], ids=str
)
def test_an_option_of_another_type_is_named(options):
    (name,) = options
    with pytest.raises(InvalidOption, match=rf"OpenAIChat\({name}=.*: {name} must be an? "):
        OpenAIChat(**options)


def test_it_is_not_for_event_source():
    assert not OpenAIChat().event_source


@given(BATCHES)
def test_many_tokens_are_framed_as_each_is(batches):
    wire = OpenAIChat(id="c", created=1)
    one, many = wire.begin(), wire.begin()
    for batch in batches:
        if tokens := [token for token in batch if token]:
            assert many.texts(tokens) == b"".join(map(one.text, tokens))
