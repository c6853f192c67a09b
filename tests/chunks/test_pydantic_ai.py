"""Pydantic AI: a real agent with its test model, and its real events."""

from __future__ import annotations

from tests.needs import need_module
from tokenstream import Reasoning, Source, Step, ToolCall, ToolResult
from tokenstream.chunks import Chunks

from .reading import aread

pydantic_ai = need_module("pydantic_ai")
messages = need_module("pydantic_ai.messages")
function = need_module("pydantic_ai.models.function")


def agent():
    async def answer(told, info):
        if len(told) == 1:
            yield {0: function.DeltaThinkingPart(content="They ask.")}
            yield {1: function.DeltaToolCall(name="weather", tool_call_id="call_a")}
            yield {1: function.DeltaToolCall(json_args='{"city":')}
            yield {1: function.DeltaToolCall(json_args='"Rome"}')}
        else:
            yield "It is "
            yield "sunny."

    made = pydantic_ai.Agent(function.FunctionModel(stream_function=answer))

    @made.tool_plain
    def weather(city: str) -> str:
        return f"sunny in {city}"

    return made


def check(told):
    result, frames = told
    if result.error is not None:
        raise result.error
    assert (result.text, result.reasoning) == ("It is sunny.", "They ask.")
    (call,) = result.tool_calls
    assert (call.id, call.name, call.arguments) == ("call_a", "weather", '{"city":"Rome"}')
    order = [
        line[8:].split(b'"')[0] for line in frames.split(b"\n\n") if line.startswith(b'data: {"')
    ]
    assert order.count(b"tool_result") == 1
    assert order.index(b"tool_result") < order.index(b"step") < order.index(b"token")
    assert b"sunny in Rome" in frames


def test_run_stream_events():
    told = aread(lambda: agent().run_stream_events("how is it in Rome?"))
    check(told)
    assert told[0].usage is not None
    assert told[0].usage.input_tokens > 0


def test_the_nodes_of_iter():
    async def source():
        ours = agent()
        async with ours.iter("how is it in Rome?") as run:
            async for node in run:
                if ours.is_model_request_node(node) or ours.is_call_tools_node(node):
                    async with node.stream(run.ctx) as events:
                        async for event in events:
                            yield event

    check(aread(source))


def test_text_deltas_are_text():
    async def source():
        async with agent().run_stream("how is it in Rome?") as run:
            async for text in run.stream_text(delta=True, debounce_by=None):
                yield text

    result, _ = aread(source)
    assert result.text == "It is sunny."


def parts_of(*events):
    chunks = Chunks()
    return [part for event in events for part in chunks.parts(event)]


def test_a_signature():
    delta = messages.ThinkingPartDelta(signature_delta="sig")
    assert parts_of(messages.PartDeltaEvent(index=0, delta=delta)) == [Reasoning("", "sig")]


def test_arguments_that_come_as_an_object():
    part = messages.ToolCallPart("f", {"a": 1}, "id")
    assert parts_of(messages.PartStartEvent(index=0, part=part)) == [
        ToolCall(0, "id", "f", '{"a":1}')
    ]


def test_a_tool_that_is_to_be_called_again():
    part = messages.ToolReturnPart("f", "wrong", "id", outcome="retried")
    event = messages.FunctionToolResultEvent(part)
    text = messages.PartStartEvent(index=0, part=messages.TextPart("a"))
    assert parts_of(event, text) == [ToolResult("id", "wrong", is_error=True), Step(), "a"]


def test_citations():
    event = messages.PartDeltaEvent(index=0, delta=messages.TextPartDelta("a"))
    assert parts_of(event) == ["a"]
    dumped = {"event_kind": "part_delta", "index": 0, "delta": {
        "part_delta_kind": "text", "content_delta": "a",
        "citations_delta": [{"url": "https://c/", "title": "C"}]}}  # fmt: skip
    assert parts_of(dumped) == ["a", Source("https://c/", "C")]
