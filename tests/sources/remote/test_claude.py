"""A chat in OpenAI's shape as Anthropic's messages."""

from __future__ import annotations

import pytest

from tests.needs import need_module

need_module("httpx")

from tokenstream.sources.remote.claude import anthropic_body
from tokenstream.wires import read_request


def text(words):
    return {"type": "text", "text": words}


def test_a_conversation_with_tools():
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    other = {"id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}}
    body = anthropic_body(
        [
            {"role": "system", "content": "Be kind."},
            {"role": "developer", "content": [text("Be brief.")]},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": None, "tool_calls": [call, other]},
            {"role": "tool", "tool_call_id": "c1", "content": "sun"},
            {"role": "tool", "tool_call_id": "c2", "content": [text("rain")]},
            {"role": "user", "content": [text("So?"), text("")]},
            {"role": "assistant", "content": "Well"},
        ],
        {},
    )
    assert body["system"] == [text("Be kind."), text("Be brief.")]
    assert body["messages"] == [
        {"role": "user", "content": [text("Hi")]},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
                {"type": "tool_use", "id": "c2", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": [text("sun")]},
                {"type": "tool_result", "tool_use_id": "c2", "content": [text("rain")]},
                text("So?"),
            ],
        },
        {"role": "assistant", "content": [text("Well")]},
    ]
    assert body["max_tokens"] == 4096


@pytest.mark.parametrize(
    "part, block",
    [
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"},
            },
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://h/i.png", "detail": "low"}},
            {"type": "image", "source": {"type": "url", "url": "https://h/i.png"}},
        ),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA", "x": 1}},
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "AA"},
            },
        ),
        ({"type": "refusal", "refusal": "No."}, text("No.")),
        ({"type": "thinking", "thinking": "a"}, {"type": "thinking", "thinking": "a"}),
    ],
)
def test_content(part, block):
    body = anthropic_body([{"role": "user", "content": [part]}], {})
    assert body["messages"] == [{"role": "user", "content": [block]}]


def test_signed_thinking_comes_first_and_errors_are_told():
    signed = {"type": "thinking", "thinking": "t", "signature": "s"}
    sealed = {"type": "redacted_thinking", "data": "d"}
    bare = {"type": "thinking", "thinking": "u", "signature": ""}
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = anthropic_body(
        [
            {"role": "user", "content": "Hi"},
            {
                "role": "assistant",
                "content": "So",
                "reasoning_content": "tu",
                "thinking_blocks": [signed, sealed, bare],
                "tool_calls": [call],
            },
            {"role": "tool", "tool_call_id": "c", "content": "boom", "is_error": True},
        ],
        {},
    )
    tool_use = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
    result = {
        "type": "tool_result",
        "tool_use_id": "c",
        "content": [text("boom")],
        "is_error": True,
    }
    assert [it["content"] for it in body["messages"][1:]] == [
        [signed, sealed, text("So"), tool_use],
        [result],
    ]


@pytest.mark.parametrize("wire", ["anthropic", "ai-sdk", "openai-responses"])
def test_what_a_wire_makes_of_signed_thinking_keeps_its_signature(wire):
    body = anthropic_body(read_request(wire, SIGNED[wire]).messages, {})
    assert body["messages"][1] == {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "t", "signature": "s"}, text("a")],
    }


def part(kind, **fields):
    return {"type": kind, **fields}


SIGNED = {
    "anthropic": {
        "model": "m",
        "max_tokens": 9,
        "messages": [
            {"role": "user", "content": "q"},
            {
                "role": "assistant",
                "content": [part("thinking", thinking="t", signature="s"), text("a")],
            },
            {"role": "user", "content": "q"},
        ],
    },
    "ai-sdk": {
        "id": "c",
        "messages": [
            {"id": "1", "role": "user", "parts": [text("q")]},
            {
                "id": "2",
                "role": "assistant",
                "parts": [
                    part(
                        "reasoning",
                        text="t",
                        providerMetadata={"anthropic": {"signature": "s"}},
                    ),
                    text("a"),
                ],
            },
            {"id": "3", "role": "user", "parts": [text("q")]},
        ],
    },
    "openai-responses": {
        "model": "m",
        "input": [
            part("message", role="user", content="q"),
            part(
                "reasoning",
                id="r",
                summary=[part("summary_text", text="t")],
                encrypted_content="s",
            ),
            part("message", role="assistant", content="a"),
            part("message", role="user", content="q"),
        ],
    },
}


def test_arguments_that_are_no_json():
    call = {"id": "c", "function": {"name": "f", "arguments": "{"}}
    body = anthropic_body([{"role": "assistant", "tool_calls": [call]}], {})
    assert body["messages"][0]["content"][0]["input"] == {"arguments": "{"}


TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"x": 1}}}
OURS = {"name": "f", "description": "d", "input_schema": {"x": 1}}
BASH = [{"type": "bash"}]


@pytest.mark.parametrize(
    "params, fields",
    [
        ({"max_tokens": 7}, {"max_tokens": 7}),
        ({"max_completion_tokens": 8}, {"max_tokens": 8}),
        ({"max_tokens": 7, "max_completion_tokens": 8}, {"max_tokens": 8}),
        ({"stop": "a"}, {"stop_sequences": ["a"]}),
        ({"stop": ["a", "b"]}, {"stop_sequences": ["a", "b"]}),
        ({"tools": [TOOL]}, {"tools": [OURS]}),
        ({"tools": [{"type": "bash"}]}, {"tools": [{"type": "bash"}]}),
        ({"tool_choice": "auto"}, {"tool_choice": {"type": "auto"}}),
        ({"tool_choice": "required"}, {"tool_choice": {"type": "any"}}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            {"tool_choice": {"type": "tool", "name": "f"}},
        ),
        (
            {"parallel_tool_calls": False, "tools": BASH},
            {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}, "tools": BASH},
        ),
        ({"parallel_tool_calls": False}, {}),
        ({"stream_options": {}}, {}),
        ({"thinking": {"type": "enabled"}}, {"thinking": {"type": "enabled"}}),
    ],
    ids=str,
)  # fmt: skip
def test_params(params, fields):
    body = anthropic_body([{"role": "user", "content": "Hi"}], params)
    want = {"messages": [{"role": "user", "content": [text("Hi")]}], "max_tokens": 4096, **fields}
    wanted_more = (
        {"tools": [{"type": "bash"}]} if "parallel_tool_calls" in params and fields else {}
    )
    assert body == want | wanted_more


def test_the_callers_messages_are_left_as_they_are():
    messages = [{"role": "user", "content": [text("a")]}, {"role": "user", "content": "b"}]
    before = [dict(it) for it in messages]
    anthropic_body(messages, {})
    assert messages == before
    assert messages[0]["content"] == [text("a")]
