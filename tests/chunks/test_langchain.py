"""LangChain's real message types, as models yield them and as LangGraph does."""

from __future__ import annotations

from tests.needs import need_module
from tokenstream import Finish, Reasoning, Source, Step, ToolCall, ToolResult, Usage
from tokenstream.chunks import Chunks

from .reading import check, read

messages = need_module("langchain_core.messages")
Chunk = messages.AIMessageChunk


def parts_of(*items):
    chunks = Chunks()
    return [part for item in items for part in chunks.parts(item)]


def usage(before, after, **details):
    return {
        "input_tokens": before,
        "output_tokens": after,
        "total_tokens": before + after,
        **details,
    }


def piece(arguments, *, index=0, call_id=None, name=None):
    return Chunk(
        content="",
        tool_call_chunks=[
            {"index": index, "id": call_id, "name": name, "args": arguments},
        ],
    )


REPLY = [
    Chunk(content="", usage_metadata=usage(5, 0, input_token_details={"cache_read": 3})),
    Chunk(content="", additional_kwargs={"reasoning_content": "They "}),
    Chunk(content=[{"type": "thinking", "thinking": "greet.", "index": 0}]),
    Chunk(content="Hel"),
    Chunk(content=[{"type": "text", "text": "lo", "index": 1}]),
    piece("", call_id="call_a", name="weather"),
    piece('{"city":'),
    piece('"Rome"}'),
    piece("{}", index=1, call_id="call_b", name="time"),
    Chunk(content="", response_metadata={"finish_reason": "tool_calls"}),
    Chunk(
        content="",
        usage_metadata=usage(0, 7, output_token_details={"reasoning": 2}),
        chunk_position="last",
    ),
]


def test_a_reply():
    check(read(REPLY), details={"cached_tokens": 3, "reasoning_tokens": 2})


def test_a_real_model_of_langchain():
    fake = need_module("langchain_core.language_models.fake_chat_models")
    model = fake.GenericFakeChatModel(messages=iter([messages.AIMessage(content="Hello world")]))
    told = read(lambda: model.stream("hi"))
    check(told, text="Hello world", reasoning="", calls=[], finish=None, usage=None)


def test_what_langgraph_streams_as_messages():
    metadata = {"langgraph_node": "agent"}
    whole = messages.AIMessage(
        content="", tool_calls=[{"name": "weather", "args": {"city": "Rome"}, "id": "call_a"}]
    )
    result = messages.ToolMessage("sunny", tool_call_id="call_a")
    assert parts_of((whole, metadata), (result, metadata), (Chunk(content="It is."), metadata)) == [
        ToolCall(0, "call_a", "weather", '{"city":"Rome"}'),
        ToolResult("call_a", "sunny"),
        Step(),
        "It is.",
    ]


def test_a_tool_that_failed():
    failed = messages.ToolMessage("no", tool_call_id="a", status="error")
    assert parts_of(failed) == [ToolResult("a", "no", is_error=True)]


def test_blocks():
    blocks = [
        "a",
        {"type": "text", "text": "b", "annotations": [{"type": "citation", "url": "https://c/"}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "thinking", "thinking": "", "signature": "sig"},
        {"type": "refusal", "refusal": "No."},
        {"type": "tool_use", "id": "x"},
        {"type": "image_url", "image_url": {"url": "data:"}},
    ]
    assert parts_of(Chunk(content=blocks)) == [
        "a",
        "b",
        Source("https://c/"),
        Reasoning("hm"),
        Reasoning("", "sig"),
        "No.",
    ]


def test_what_users_say_is_no_part():
    assert parts_of(messages.HumanMessage("hi"), messages.SystemMessage("be good")) == []


def test_a_count_that_comes_first_is_not_the_first_part():
    first = Chunk(content="", usage_metadata=usage(5, 0))
    assert parts_of(first) == []
    assert parts_of(first, Chunk(content="a"), Chunk(content="", usage_metadata=usage(0, 2))) == [
        "a",
        Usage(5, 2),
    ]


def test_reasons_of_other_providers():
    assert parts_of(Chunk(content="", response_metadata={"stop_reason": "end_turn"})) == [
        Finish("stop")
    ]
