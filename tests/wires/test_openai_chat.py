"""The wire "openai-chat": what OpenAI's clients enforce."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given

from tokenstream import Finish, OpenAIChat, Reasoning, Step, ToolCall, Usage, Wire
from tokenstream.errors import InvalidOption
from tokenstream.machine import Machine
from tokenstream.wires import collect, read_request

from .strategies import TEXTS, decoded


def chunks(frames: bytes) -> list[dict]:
    assert frames.isascii()
    *events, done = decoded(frames)
    assert done.data == "[DONE]"
    return [json.loads(event.data) for event in events]


def stream(wire: Wire, *parts: object) -> list[dict]:
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


def calls(*parts: object) -> list[dict]:
    return [call for delta in deltas(*parts) for call in delta.get("tool_calls", [])]


def test_a_call_whose_id_comes_late_keeps_the_one_that_was_sent():
    first, second = calls(ToolCall(0, None, "f"), ToolCall(0, "late", arguments="{}"))
    assert first["id"].startswith("call_")
    assert second == {"index": 0, "function": {"arguments": "{}"}}


def test_a_name_that_comes_late_is_sent_once():
    parts = (ToolCall(0, "a"), ToolCall(0, name="f", arguments="{"), ToolCall(0, "a", "f", "}"))
    assert [call["function"] for call in calls(*parts)] == [
        {"name": "", "arguments": ""},
        {"name": "f", "arguments": "{"},
        {"arguments": "}"},
    ]


def test_a_call_without_arguments_has_an_empty_object_streamed_and_whole():
    parts = (ToolCall(0, "a", "f"), ToolCall(1, "b", "g", "{}"))
    assert [call["function"]["arguments"] for call in calls(*parts)] == ["", "{}", "{}"]
    message = collect(parts)["choices"][0]["message"]
    assert [call["function"]["arguments"] for call in message["tool_calls"]] == ["{}", "{}"]


CALL = ToolCall(0, "a", "f", "{}")


@pytest.mark.parametrize(
    "parts, reason",
    [
        ((), "stop"),
        ((CALL,), "tool_calls"),
        ((CALL, "a"), "tool_calls"),
        ((CALL, Step(), "a"), "stop"),
        ((CALL, Step(), CALL), "tool_calls"),
        ((CALL, Finish("stop")), "stop"),
        (("a", Finish("length")), "length"),
    ],
    ids=str,
)
def test_the_reason_is_the_same_streamed_and_whole(parts, reason):
    assert stream(OpenAIChat(), *parts)[-1]["choices"][0]["finish_reason"] == reason
    assert collect(parts)["choices"][0]["finish_reason"] == reason


def test_calls_of_two_rounds_have_indexes_of_their_own():
    assert [call["index"] for call in calls(CALL, Step(), CALL)] == [0, 1]


def test_a_reply_with_no_text_has_null_for_it_streamed_and_whole():
    assert deltas(CALL)[0] == {"role": "assistant", "content": None}
    assert collect([CALL])["choices"][0]["message"]["content"] is None


def test_a_request():
    body = {
        "messages": [{"role": "user", "content": "hi"}],
        "model": "m",
        "max_tokens": 5,
        "max_completion_tokens": 7,
        "n": 1,
        "stream_options": {"include_usage": True},
        "response_format": {"type": "json_object"},
    }
    ask = read_request("openai-chat", body)
    assert (ask.max_tokens, ask.stream, ask.model) == (7, False, "m")
    assert ask.params == {
        "stream_options": {"include_usage": True},
        "response_format": {"type": "json_object"},
    }
    wire = OpenAIChat(id="c", created=1)
    assert wire.answering(ask) == OpenAIChat("m", True, "c", 1, relay=False)


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
