"""OpenAI's real clients, Python's and Node's, read the wire "openai-responses"."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.needs import need_module
from tokenstream import OpenAIResponses
from tokenstream.wires import ChatRequest

from ..wires.strategies import decoded
from .cutting import Cutter
from .node_client import run_node
from .scenarios import CALLS, HOSTILE, SCENARIOS, SECRET
from .serving import ChatServer

openai = need_module("openai")

WIRE = OpenAIResponses(id="resp_1", created=1)
QUESTION = {"role": "user", "content": "hi"}

WEATHER = ["function_call", "call_a", "weather", '{"city": "Rome"}', "completed"]
TIME = ["function_call", "call_b", "time", '{"zone":"CET"}', "completed"]

# What each scenario comes to, whichever client reads it, and however.
EXPECTED: dict[str, list[list[Any]]] = {
    "text": [["message", "Hello world", [], "completed"]],
    "reasoning": [
        ["reasoning", "They greet.", "sig-1", "completed"],
        ["message", "Hello", [], "completed"],
    ],
    "calls": [["message", "Let me look.", [], "completed"], WEATHER, TIME],
    "interleaved": [WEATHER, TIME],
    "steps": [
        WEATHER,
        TIME,
        ["function_call_output", "call_a", '{"sun":true}', "completed"],
        ["function_call_output", "call_b", "no such zone", "incomplete"],
        ["message", "It is sunny.", [["https://example.org/rome", "Rome"]], "completed"],
    ],
    "usage": [["message", "Hello", [], "incomplete"]],
    "silent": [["message", "Hello", [], "completed"]],
    "hostile": [["message", "".join(HOSTILE), [], "completed"]],
    "nothing": [],
}
FAILING = ["fails-before", "fails-after"]


def interleaved() -> Iterator[object]:
    first, *rest, second = CALLS
    yield from (first, second, *rest)


SOURCES = {**SCENARIOS, "interleaved": interleaved}
assert {*EXPECTED, *FAILING} == {*SOURCES}


def answer(ask: ChatRequest) -> object:
    return SOURCES[ask.request["path"].split("/")[1]]()


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with ChatServer(WIRE, answer) as server:
        yield server


def told(item: dict[str, Any]) -> list[Any]:
    """What an item says, its id and what is the same in all of its kind left out."""
    match item["type"]:
        case "message":
            (part,) = item["content"]
            said = [part["text"], [[it["url"], it["title"]] for it in part["annotations"]]]
        case "reasoning":
            (part,) = item["summary"]
            said = [part["text"], item["encrypted_content"]]
        case "function_call":
            said = [item["call_id"], item["name"], item["arguments"]]
        case "function_call_output":
            said = [item["call_id"], item["output"]]
        case kind:
            raise AssertionError(kind)
    return [item["type"], *said, item["status"]]


def check(scenario: str, response: dict[str, Any]) -> None:
    assert list(map(told, response["output"])) == EXPECTED[scenario]
    assert (response["id"], response["model"], response["created_at"]) == ("resp_1", "m", 1)
    assert response["status"] == ("incomplete" if scenario == "usage" else "completed")
    if scenario == "usage":
        assert response["incomplete_details"] == {"reason": "max_output_tokens"}
        counts = response["usage"]
        assert [counts[f"{kind}_tokens"] for kind in ("input", "output", "total")] == [5, 2, 7]


# Python's: in each way that the client has, each with and without its own check of types.

Read = Callable[[str, list[Any]], Any]


def reading(way: str, *, is_async: bool, strict: bool) -> Read:
    kind = openai.AsyncOpenAI if is_async else openai.OpenAI
    options = {"api_key": "k", "max_retries": 0, "timeout": 20}

    def read(url: str, turn: list[Any]) -> Any:
        ask = {"model": "m", "input": turn}
        if is_async:
            return asyncio.run(in_task(url, ask))
        with kind(base_url=url, **options, _strict_response_validation=strict) as client:
            if way == "whole":
                return client.responses.create(**ask)
            if way == "raw":
                return list(client.responses.create(**ask, stream=True))[-1].response
            with client.responses.stream(**ask) as stream:
                return stream.get_final_response()

    async def in_task(url: str, ask: dict[str, Any]) -> Any:
        async with kind(base_url=url, **options, _strict_response_validation=strict) as client:
            if way == "whole":
                return await client.responses.create(**ask)
            if way == "raw":
                events = await client.responses.create(**ask, stream=True)
                return [event async for event in events][-1].response
            async with client.responses.stream(**ask) as stream:
                return await stream.get_final_response()

    return read


WAYS = [
    pytest.param(way, is_async, strict, id=f"{way}-{is_async=}-{strict=}")
    for way in ("helper", "raw", "whole")
    for is_async in (False, True)
    for strict in (False, True)
]
every_way = pytest.mark.parametrize("way, is_async, strict", WAYS)


@every_way
@pytest.mark.parametrize("scenario", EXPECTED)
def test_python_reads_it(server, scenario, way, is_async, strict):
    read = reading(way, is_async=is_async, strict=strict)
    url = f"{server.url}/{scenario}/v1"
    if (scenario, way) == ("usage", "helper"):
        # That it was cut short is an error to this helper, whoever serves it.
        with pytest.raises(RuntimeError, match="Didn't receive a `response"):
            read(url, [QUESTION])
        return
    check(scenario, read(url, [QUESTION]).to_dict())


@every_way
def test_python_raises_what_failed_before(server, way, is_async, strict):
    with pytest.raises(openai.RateLimitError, match="the model is overloaded") as raised:
        reading(way, is_async=is_async, strict=strict)(f"{server.url}/fails-before/v1", [QUESTION])
    assert raised.value.response.headers["retry-after"] == "7"
    assert raised.value.type == "rate_limit_error"


@every_way
def test_python_raises_what_failed_after(server, way, is_async, strict):
    with pytest.raises(openai.APIError, match="generation failed") as raised:
        reading(way, is_async=is_async, strict=strict)(f"{server.url}/fails-after/v1", [QUESTION])
    assert (type(raised.value) is openai.InternalServerError) == (way == "whole")
    assert SECRET not in str(raised.value.body)


@pytest.mark.parametrize("way", ["helper", "raw"])
@pytest.mark.parametrize("is_async", [False, True])
def test_python_sees_that_it_was_cut(server, way, is_async):
    with (
        Cutter(server.url, b"Hel") as cut,
        pytest.raises(openai.APIConnectionError),
    ):
        reading(way, is_async=is_async, strict=False)(f"{cut.url}/text/v1", [QUESTION])


@pytest.mark.parametrize("read", [{}, {"input": [QUESTION, {"type": "function_call"}]}])
def test_what_is_wrong_with_a_request_is_named(server, read):
    with (
        openai.OpenAI(base_url=f"{server.url}/text/v1", api_key="k", max_retries=0) as client,
        pytest.raises(openai.BadRequestError) as raised,
    ):
        client.responses.create(model="m", **read)
    assert raised.value.param == ("input[1].name" if read else "input")


def test_python_reads_the_same_streamed_and_whole(server):
    for scenario in EXPECTED:
        url = f"{server.url}/{scenario}/v1"
        streamed = reading("raw", is_async=False, strict=True)(url, [QUESTION])
        assert streamed == reading("whole", is_async=False, strict=True)(url, [QUESTION])


# What the client sends back is read as the same conversation.

ANSWERED = [
    {"role": "tool", "content": "call_a done", "tool_call_id": "call_a"},
    {"role": "tool", "content": "call_b done", "tool_call_id": "call_b"},
]
TOOL_CALLS = [
    {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
    for _, call_id, name, arguments, _ in (WEATHER, TIME)
]
TURNS: dict[str, list[dict[str, Any]]] = {
    "text": [{"role": "assistant", "content": "Hello world"}],
    "reasoning": [
        {
            "role": "assistant",
            "content": "Hello",
            "reasoning_content": "They greet.",
            "thinking_blocks": [
                {"type": "thinking", "thinking": "They greet.", "signature": "sig-1"}
            ],
        },
    ],
    "calls": [
        {"role": "assistant", "content": "Let me look.", "tool_calls": TOOL_CALLS},
        *ANSWERED,
    ],
    "interleaved": [{"role": "assistant", "content": None, "tool_calls": TOOL_CALLS}, *ANSWERED],
    "steps": [
        {"role": "assistant", "content": None, "tool_calls": TOOL_CALLS},
        {"role": "tool", "content": '{"sun":true}', "tool_call_id": "call_a"},
        {"role": "tool", "content": "no such zone", "tool_call_id": "call_b"},
        {"role": "assistant", "content": "It is sunny."},
    ],
    "hostile": [{"role": "assistant", "content": "".join(HOSTILE)}],
    "nothing": [],
}


def results(output: list[Any]) -> list[Any]:
    """Return the results of the calls that have none."""
    done = [item.call_id for item in output if item.type == "function_call_output"]
    calls = [item.call_id for item in output if item.type == "function_call"]
    return [
        {"type": "function_call_output", "call_id": call_id, "output": f"{call_id} done"}
        for call_id in calls
        if call_id not in done
    ]


# What has half of a surrogate pair in it, this client can read and not send.
@pytest.mark.parametrize("scenario", [it for it in TURNS if it != "hostile"])
@pytest.mark.parametrize("way", ["helper", "raw", "whole"])
def test_python_s_second_turn(server, scenario, way):
    read = reading(way, is_async=False, strict=False)
    url = f"{server.url}/{scenario}/v1"
    output = read(url, [QUESTION]).output
    read(url, [QUESTION, *output, *results(output)])
    assert server.asked[-1].messages == [QUESTION, *TURNS[scenario]]


def test_tools_are_read_in_the_shape_of_chat(server):
    tool = {"name": "weather", "parameters": {"type": "object"}, "strict": True}
    with openai.OpenAI(base_url=f"{server.url}/calls/v1", api_key="k") as client:
        client.responses.create(
            model="m",
            input="hi",
            instructions="Be short.",
            tools=[{"type": "function", **tool}],
            max_output_tokens=9,
            temperature=0.5,
            conversation={"id": "conv_1"},
            tool_choice="required",
        )
    ask = server.asked[-1]
    assert ask.messages == [{"role": "system", "content": "Be short."}, QUESTION]
    assert ask.tools == [{"type": "function", "function": tool}]
    assert (ask.stream, ask.max_tokens, ask.temperature, ask.chat_id) == (False, 9, 0.5, "conv_1")
    assert ask.params == {"tool_choice": "required", "conversation": {"id": "conv_1"}}


# Node's: one run of its script reads everything.


@pytest.fixture(scope="module")
def node() -> Any:
    with ChatServer(WIRE, answer) as server:
        found = run_node("openai_responses.mjs", server.url, *SOURCES)
        return found, [ask.messages for ask in server.asked]


@pytest.mark.parametrize("way", ["helper", "raw", "whole"])
@pytest.mark.parametrize("scenario", EXPECTED)
def test_node_reads_it(node, scenario, way):
    found, _ = node
    seen = found[scenario][way]
    assert "error" not in seen
    check(scenario, seen["response"])
    numbers = [event["sequence_number"] for event in seen["events"]]
    assert numbers == list(range(len(numbers)))


@pytest.mark.parametrize("way", ["helper", "raw", "whole"])
def test_node_raises_what_failed(node, way):
    found, _ = node
    before, after = found["fails-before"][way], found["fails-after"][way]
    assert before["error"] == ["RateLimitError", 429, "429 the model is overloaded"]
    if way == "whole":
        assert after["error"] == ["InternalServerError", 500, "500 generation failed"]
    else:
        assert after["error"] == ["APIError", None, "generation failed"]
        assert after["events"][-1]["delta"] == "Hel"
    assert SECRET not in json.dumps(after)


def test_node_reads_the_same_streamed_and_whole(node):
    found, _ = node
    for scenario in EXPECTED:
        whole = found[scenario]["whole"]["response"]
        del whole["output_text"]  # which the client makes
        assert found[scenario]["raw"]["response"] == whole


@pytest.mark.parametrize("scenario", TURNS)
def test_node_s_second_turn(node, scenario):
    _, asked = node
    assert asked.count([QUESTION, *TURNS[scenario]]) >= 3


def test_node_sees_that_it_was_cut(server):
    with Cutter(server.url, b"Hel") as cut:
        found = run_node("openai_responses.mjs", cut.url, "text")["text"]
    for way in ("helper", "raw"):
        assert "terminated" in found[way]["error"][2]
        assert found[way]["events"][-1]["delta"] == "Hel"


# What is on the wire where no client shows it.


def test_there_are_keep_alives_while_nothing_comes(server):
    body = {"model": "m", "input": "hi", "stream": True}
    reply = httpx.post(f"{server.url}/silent/v1/responses", json=body)
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert b": keep-alive\n\n" in reply.content
    assert decoded(reply.content)[-1].event == "response.completed"
    assert b"[DONE]" not in reply.content
