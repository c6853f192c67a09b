"""A whole reply has what a stream of its wire has: its parts, its errors, one document."""

from __future__ import annotations

import json

import pytest

from tokenstream import (
    AGUI,
    AISDK,
    Anthropic,
    Data,
    OpenAIChat,
    OpenAICompletions,
    OpenAIResponses,
    Reasoning,
    TokenStream,
    ToolCall,
    ToolResult,
    Usage,
)
from tokenstream.errors import InvalidOption, UnknownPart, UnsupportedPart
from tokenstream.machine import Machine
from tokenstream.wires import Json
from tokenstream.wires.whole import Whole

from ..cases import SourceBroke

CHAT = Whole(OpenAIChat(model="m", id="c", created=1))


def whole(wire, *parts):
    machine = Machine(wire)
    assert [machine.part(part) for part in parts] == [b""] * len(parts)
    return json.loads(machine.finish())


def test_a_reply_is_one_document_at_its_end():
    assert whole(CHAT, "a", "", Reasoning("hm"), b"\xe2\x82", b"\xac", Usage(1, 2)) == {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "a€",
                    "refusal": None,
                    "reasoning_content": "hm",
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }


def test_nothing_goes_out_before_the_end():
    assert Machine(CHAT).keep_alive() == b""


@pytest.mark.parametrize(
    "wire, part",
    [
        (OpenAIChat(), ToolResult("a", 1)),
        (OpenAIChat(), Data("n", 1)),
        (OpenAICompletions(), ToolCall(0, "a", "f")),
    ],
    ids=str,
)
def test_what_a_stream_refuses_is_refused_by_the_wires_name(wire, part):
    with pytest.raises(UnsupportedPart, match=f"wire '{wire.name}' has no place for"):
        Machine(Whole(wire)).part(part)


@pytest.mark.parametrize("wire", [Anthropic(), AISDK(), AGUI(), OpenAIResponses()], ids=str)
def test_more_of_a_call_that_text_has_ended_is_refused(wire):
    machine = Machine(Whole(wire))
    machine.part(ToolCall(0, "c", "f", '{"a"'))
    machine.part("text")
    with pytest.raises(InvalidOption, match="when its call had ended"):
        machine.part(ToolCall(0, arguments=":1}"))


def test_what_a_stream_leaves_out_is_logged_once(caplog):
    caplog.set_level("INFO", "tokenstream")
    machine = Machine(Whole(OpenAICompletions()))
    machine.part(Reasoning("a"))
    machine.part(Reasoning("b"))
    assert [record.getMessage() for record in caplog.records] == [
        "wire 'openai-completions' has no place for Reasoning: it is left out"
    ]
    assert "a" not in json.loads(machine.finish())["choices"][0]["text"]


def test_what_is_no_part():
    with pytest.raises(UnknownPart):
        Machine(CHAT).part(None)


def test_a_failure_sends_nothing():
    machine = Machine(CHAT)
    machine.part("a")
    assert machine.fail(SourceBroke()) == b""


def test_an_error_is_told_as_its_wire_tells_it():
    assert CHAT.refusal(400, "no", "f") == CHAT.of.refusal(400, "no", "f")


def test_its_bytes_are_counted():
    stream = TokenStream(["a"], CHAT)
    body = b"".join(stream)
    assert stream.result.bytes_sent == len(body)


def test_a_wire_without_a_document_says_so():
    with pytest.raises(InvalidOption, match="wire 'json' has no reply but a stream"):
        Machine(Whole(Json())).finish()
