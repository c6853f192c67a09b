"""The anthropic client of PyPI reads and asks the wire "anthropic", over a real server."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager

import httpx
import pytest

from tests.needs import need_module

from ..wires.anthropic_fold import folded
from .anthropic_told import ASK, TOLD, TOOLS, Told, source_of
from .cutting import Cutter
from .scenarios import SECRET
from .serving import ChatServer

anthropic = need_module("anthropic")
httpx2 = need_module("httpx2")  # what the client is built on


@pytest.fixture(scope="module")
def server():
    with ChatServer("anthropic", source_of) as server:
        yield server


def options(url):
    # What does not fit the SDK's own types is an error.
    return {
        "base_url": url,
        "api_key": "none",
        "max_retries": 0,
        "timeout": 20,
        "_strict_response_validation": True,
    }


def told(message):
    usage = message.usage
    content = [block.model_dump(exclude_none=True) for block in message.content]
    return Told(content, message.stop_reason, (usage.input_tokens, usage.output_tokens))


def by_hand(events):
    message = folded(event.model_dump(exclude_none=True) for event in events)
    usage = message["usage"]
    counts = (usage["input_tokens"], usage["output_tokens"])
    return Told(message["content"], message["stop_reason"], counts)


def by_helper(url, **ask):
    with (
        anthropic.Anthropic(**options(url)) as client,
        client.messages.stream(**{**ASK, **ask}) as stream,
    ):
        return told(stream.get_final_message())


def raw(url, **ask):
    with anthropic.Anthropic(**options(url)) as client:
        return by_hand(client.messages.create(**{**ASK, **ask}, stream=True))


def in_one_piece(url, **ask):
    with anthropic.Anthropic(**options(url)) as client:
        return told(client.messages.create(**{**ASK, **ask}))


def by_async_helper(url, **ask):
    async def read():
        async with (
            anthropic.AsyncAnthropic(**options(url)) as client,
            client.messages.stream(**{**ASK, **ask}) as stream,
        ):
            return told(await stream.get_final_message())

    return asyncio.run(read())


def async_raw(url, **ask):
    async def read():
        async with anthropic.AsyncAnthropic(**options(url)) as client:
            stream = await client.messages.create(**{**ASK, **ask}, stream=True)
            return by_hand([event async for event in stream])

    return asyncio.run(read())


def async_in_one_piece(url, **ask):
    async def read():
        async with anthropic.AsyncAnthropic(**options(url)) as client:
            return told(await client.messages.create(**{**ASK, **ask}))

    return asyncio.run(read())


STREAMS = [by_helper, raw, by_async_helper, async_raw]
WHOLE = [in_one_piece, async_in_one_piece]


@pytest.mark.parametrize("read", [*STREAMS, *WHOLE])
@pytest.mark.parametrize("scenario", TOLD)
def test_what_is_told(server, scenario, read):
    assert read(f"{server.url}/{scenario}") == TOLD[scenario]


@pytest.mark.parametrize("read", [*STREAMS, *WHOLE])
def test_an_error_before_the_first_part_is_a_status(server, read):
    with pytest.raises(anthropic.RateLimitError) as raised:
        read(f"{server.url}/fails-before")
    error = raised.value
    assert (error.status_code, error.type) == (429, "rate_limit_error")
    assert error.body["error"]["message"] == "the model is overloaded"
    assert error.response.headers["retry-after"] == "7"


ENDS_BADLY = {
    "fails-after": "api_error",
    "steps": "api_error",  # a tool's result has no place in an assistant's message
    "broken-call": "api_error",
    "overloaded": "overloaded_error",
}


@pytest.mark.parametrize("read", STREAMS)
@pytest.mark.parametrize("scenario", ENDS_BADLY)
def test_an_error_after_it_is_an_event(server, scenario, read):
    with pytest.raises(anthropic.APIStatusError, match="generation failed") as raised:
        read(f"{server.url}/{scenario}")
    error = raised.value
    assert (error.status_code, error.type) == (200, ENDS_BADLY[scenario])
    assert SECRET not in str(error.body)


@pytest.mark.parametrize("read", WHOLE)
@pytest.mark.parametrize("scenario", ["fails-after", "steps", "broken-call"])
def test_an_error_in_one_piece_is_a_status(server, scenario, read):
    with pytest.raises(anthropic.InternalServerError, match="generation failed") as raised:
        read(f"{server.url}/{scenario}")
    assert (raised.value.status_code, raised.value.type) == (500, "api_error")
    assert SECRET not in str(raised.value.body)


def test_a_call_that_the_model_was_cut_in_is_told_by_the_reason(server):
    for read in (by_helper, by_async_helper):
        cut = read(f"{server.url}/cut-call")
        assert cut.reason == "max_tokens"
        # The client completes what has come: the API's own streams are read so, too.
        assert cut.content[0]["input"] == {"a": 1}
    whole = in_one_piece(f"{server.url}/cut-call")
    assert (whole.reason, whole.content[0]["input"]) == ("max_tokens", {})


def test_what_was_held_of_a_call_is_sent_before_what_follows(server):
    held = by_helper(f"{server.url}/held")
    assert [block["type"] for block in held.content] == ["tool_use", "tool_use", "text"]
    assert [block["name"] for block in held.content[:2]] == ["weather", "time"]
    assert held.reason == "max_tokens"


def lines(url):
    """Read the body's lines by no client at all."""
    ask = {**ASK, "stream": True}
    with httpx.stream("POST", f"{url}/v1/messages", json=ask, timeout=20) as response:
        return list(response.iter_lines())


def test_pings_go_out_in_silence_before_the_first_token_and_after_it(server):
    events = [line for line in lines(f"{server.url}/silent") if line.startswith("event: ")]
    assert events[0] == "event: ping"
    before, after = events[: (start := events.index("event: message_start"))], events[start:]
    assert set(before) == {"event: ping"}
    assert after.index("event: content_block_delta") < after.index("event: ping")
    assert events[-1] == "event: message_stop"


def test_usage_that_comes_first_is_in_the_start(server):
    with anthropic.Anthropic(**options(f"{server.url}/cached")) as client:
        first, *_, delta, _ = client.messages.create(**ASK, stream=True)
    assert first.message.usage.input_tokens == 5
    assert first.message.usage.cache_read_input_tokens == 3
    assert delta.usage.output_tokens == 2
    assert "unknown" not in delta.usage.model_dump()


@pytest.mark.parametrize("read", STREAMS)
def test_a_cut_connection_is_no_end(server, read):
    with (
        Cutter(server.url, b'"Hel"') as cutter,
        pytest.raises((httpx2.TransportError, anthropic.APIConnectionError)),
    ):
        read(f"{cutter.url}/silent")


@contextmanager
def asked_again():
    """Serve calls, then a text of their results: what a model with tools does."""

    def answer(ask):
        results = [it["content"] for it in ask.messages if it["role"] == "tool"]
        return [f"They say {results}."] if results else source_of(ask)

    with ChatServer("anthropic", answer) as server:
        yield server


@pytest.mark.parametrize("stream", [True, False])
def test_two_rounds_with_tools(stream):
    messages = [{"role": "user", "content": [{"type": "text", "text": "Rome?"}]}]
    ask = {**ASK, "messages": messages, "tools": TOOLS, "system": "Be brief."}

    def turn(client):
        if not stream:
            return client.messages.create(**ask)
        with client.messages.stream(**ask) as reply:
            return reply.get_final_message()

    with asked_again() as server:
        url = f"{server.url}/calls"
        with anthropic.Anthropic(**options(url)) as client:
            message = turn(client)
            assert told(message) == TOLD["calls"]
            results = [
                {"type": "tool_result", "tool_use_id": "call_a", "content": "sun"},
                {
                    "type": "tool_result",
                    "tool_use_id": "call_b",
                    "content": [{"type": "text", "text": "no such zone"}],
                    "is_error": True,
                },
            ]
            messages += [
                {"role": "assistant", "content": message.content},
                {"role": "user", "content": [*results, {"type": "text", "text": "Well?"}]},
            ]
            last = turn(client)
    assert told(last).content == [{"type": "text", "text": "They say ['sun', 'no such zone']."}]
    first, second = server.asked
    assert (first.stream, first.max_tokens, first.model) == (stream, 9, "m")
    assert [tool["function"]["name"] for tool in first.tools] == ["weather", "time"]
    assert first.tools[0]["function"]["parameters"] == TOOLS[0]["input_schema"]
    call_a = {"name": "weather", "arguments": '{"city": "Rome"}'}
    call_b = {"name": "time", "arguments": '{"zone": "CET"}'}
    assert second.messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Rome?"},
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [
                {"id": "call_a", "type": "function", "function": call_a},
                {"id": "call_b", "type": "function", "function": call_b},
            ],
        },
        {"role": "tool", "tool_call_id": "call_a", "content": "sun"},
        {
            "role": "tool",
            "tool_call_id": "call_b",
            "content": "no such zone",
            "is_error": True,
        },
        {"role": "user", "content": "Well?"},
    ]


@pytest.mark.parametrize("read", [by_helper, in_one_piece])
def test_a_request_that_is_wrong_is_400_and_names_the_field(server, read):
    with pytest.raises(anthropic.BadRequestError) as raised:
        read(f"{server.url}/text", max_tokens=0)
    assert raised.value.type == "invalid_request_error"
    assert raised.value.body["error"]["message"].startswith("max_tokens: is a number (0)")
