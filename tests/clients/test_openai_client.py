"""The openai client of PyPI reads the wire "openai-chat", over a real server."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.needs import need_module
from tokenstream import OpenAIChat, TokenStream
from tokenstream.testing import WAIT, ScriptedSource

from .cutting import Cutter
from .scenarios import SCENARIOS, SECRET
from .serving import ChatServer
from .told import ASK, TOLD, TOOLS, Told, asking

openai = need_module("openai")


@pytest.fixture(scope="module")
def server():
    with ChatServer("openai-chat") as server:
        yield server


def options(url, scenario):
    return {"base_url": f"{url}/{scenario}/v1", "api_key": "k", "max_retries": 0, "timeout": 20}


def sync_client(url, scenario):
    # Strict: what does not have its type exactly raises.
    return openai.OpenAI(**options(url, scenario), _strict_response_validation=True)


def async_client(url, scenario):
    return openai.AsyncOpenAI(**options(url, scenario), _strict_response_validation=True)


class Joined:
    """Chunks joined as a client does that uses no helper."""

    def __init__(self):
        self.texts, self.thoughts, self.calls, self.reason, self.usage = [], [], {}, None, None

    def add(self, chunk):
        assert (chunk.object, chunk.model) == ("chat.completion.chunk", "m")
        if not chunk.choices:
            self.usage = chunk.usage
            return
        (choice,) = chunk.choices
        assert self.reason is None, "the chunk with the reason is the last"
        self.reason = choice.finish_reason
        self.texts.append(choice.delta.content or "")
        self.thoughts.append(getattr(choice.delta, "reasoning_content", None) or "")
        for call in choice.delta.tool_calls or []:
            known = self.calls.setdefault(call.index, ["", "", "", ""])
            given = (call.id, call.type, call.function.name, call.function.arguments)
            for place, value in enumerate(given):
                known[place] += value or ""

    def told(self):
        return Told(
            "".join(self.texts) or None,
            self.reason,
            "".join(self.thoughts) or None,
            tuple(tuple(self.calls[index]) for index in range(len(self.calls))),
            counts(self.usage),
        )


def counts(usage):
    return usage and (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)


def told(completion):
    (choice,) = completion.choices
    message = choice.message
    assert message.role == "assistant"
    return Told(
        message.content,
        choice.finish_reason,
        getattr(message, "reasoning_content", None),
        tuple(
            (call.id, call.type, call.function.name, call.function.arguments)
            for call in message.tool_calls or []
        ),
        counts(completion.usage),
    )


def raw(url, scenario):
    joined = Joined()
    with sync_client(url, scenario) as client:
        for chunk in client.chat.completions.create(**asking(scenario), stream=True):
            joined.add(chunk)
    return joined.told()


def helper(url, scenario):
    with (
        sync_client(url, scenario) as client,
        client.chat.completions.stream(**asking(scenario)) as stream,
    ):
        texts = [event.delta for event in stream if event.type == "content.delta"]
        try:
            final = told(stream.get_final_completion())
        except openai.LengthFinishReasonError as error:  # it says so of any reply that is cut
            final = told(error.completion)
    assert "".join(texts) == (final.text or "")
    return final


def whole(url, scenario):
    with sync_client(url, scenario) as client:
        ask = {**asking(scenario), "stream_options": openai.omit}
        return told(client.chat.completions.create(**ask))


def async_raw(url, scenario):
    async def read():
        joined = Joined()
        async with async_client(url, scenario) as client:
            async for chunk in await client.chat.completions.create(
                **asking(scenario), stream=True
            ):
                joined.add(chunk)
        return joined.told()

    return asyncio.run(read())


def async_helper(url, scenario):
    async def read():
        async with (
            async_client(url, scenario) as client,
            client.chat.completions.stream(**asking(scenario)) as stream,
        ):
            try:
                return told(await stream.get_final_completion())
            except openai.LengthFinishReasonError as error:
                return told(error.completion)

    return asyncio.run(read())


STREAMING = [raw, helper, async_raw, async_helper]
READERS = [*STREAMING, whole]

# How each scenario that fails does so, to those who stream and to those who don't.
FAILS = {
    "steps": (openai.APIError, openai.InternalServerError, "generation failed"),
    "fails-before": (openai.RateLimitError, openai.RateLimitError, "the model is overloaded"),
    "fails-after": (openai.APIError, openai.InternalServerError, "generation failed"),
}


def test_no_scenario_is_left_out():
    assert {*TOLD, *FAILS} == {*SCENARIOS}


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("scenario", TOLD)
def test_what_is_told(server, scenario, read):
    # The same from all, so that a reply is the same streamed and whole.
    assert read(server.url, scenario) == TOLD[scenario]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("scenario", FAILS)
def test_what_fails(server, scenario, read):
    streamed, in_one_piece, message = FAILS[scenario]
    with pytest.raises(openai.APIError, match=message) as raised:
        read(server.url, scenario)
    assert type(raised.value) is (in_one_piece if read is whole else streamed)
    assert raised.value.body["message"] == message
    assert SECRET not in str(raised.value.body)


def test_when_to_ask_again_is_told(server):
    with pytest.raises(openai.RateLimitError) as raised:
        raw(server.url, "fails-before")
    assert raised.value.response.headers["retry-after"] == "7"
    assert raised.value.type == "rate_limit_error"


def test_the_tokens_before_an_error_are_read(server):
    texts = []
    with (
        sync_client(server.url, "fails-after") as client,
        pytest.raises(openai.APIError, match="generation failed"),
    ):
        for chunk in client.chat.completions.create(**ASK, stream=True):
            texts.append(chunk.choices[0].delta.content)
    assert texts == [None, "Hel"]


@pytest.mark.parametrize("read", STREAMING)
def test_a_cut_connection_is_an_error(server, read):
    with Cutter(server.url, b'"Hel"') as cutter, pytest.raises(openai.APIConnectionError):
        read(cutter.url, "text")


def test_the_tokens_before_a_cut_are_read(server):
    texts = []
    with (
        Cutter(server.url, b'"Hel"') as cutter,
        sync_client(cutter.url, "text") as client,
        pytest.raises(openai.APIConnectionError),
    ):
        for chunk in client.chat.completions.create(**ASK, stream=True):
            texts.append(chunk.choices[0].delta.content)
    assert texts == [None, "Hel"]


def test_what_is_asked_arrives(server):
    with sync_client(server.url, "text") as client:
        client.chat.completions.create(
            **ASK, tools=TOOLS, max_tokens=9, temperature=0.5, stop=["x", "y"], seed=7, n=1
        )
    ask = server.asked[-1]
    assert (ask.messages, ask.model, ask.tools) == (ASK["messages"], "m", TOOLS)
    assert (ask.max_tokens, ask.temperature, ask.stop) == (9, 0.5, ["x", "y"])
    assert (ask.stream, ask.params) == (False, {"seed": 7})


@pytest.mark.parametrize(
    "given, field",
    [
        ({"n": 2}, "n"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
def test_what_is_wrong_with_a_request_is_named(server, given, field):
    with (
        sync_client(server.url, "text") as client,
        pytest.raises(openai.BadRequestError) as raised,
    ):
        client.chat.completions.create(**{**ASK, "stream": True, **given})
    assert raised.value.param == field
    assert raised.value.type == "invalid_request_error"
    assert raised.value.body["message"].startswith(f"{field}: ")


def test_usage_is_there_only_where_it_is_asked_for(server):
    with sync_client(server.url, "usage") as client:
        chunks = list(client.chat.completions.create(**ASK, stream=True))
    assert [chunk.usage for chunk in chunks] == [None] * 3


def test_tokens_come_one_by_one_and_keep_alives_are_skipped():
    source = ScriptedSource(*[step for n in range(3) for step in (WAIT, str(n))], WAIT)
    source.release()
    read = []
    with (
        ChatServer("openai-chat", lambda ask: source) as server,
        sync_client(server.url, "text") as client,
    ):
        for chunk in client.chat.completions.create(**ASK, stream=True):
            if chunk.choices and (text := chunk.choices[0].delta.content):
                read.append(text)
                # A few keep-alives go by before the next.
                threading.Timer(0.05, source.release).start()
    assert read == ["0", "1", "2"]


def test_the_model_is_the_wires_where_the_request_has_none():
    with ChatServer(OpenAIChat(model="own")) as server, sync_client(server.url, "text") as client:
        for stream in (True, False):
            answer = client.chat.completions.create(**{**ASK, "model": "", "stream": stream})
            assert {it.model for it in (answer if stream else [answer])} == {"own"}


async def test_what_the_async_client_yields_is_closed_when_left(server):
    # The SDK's own stream, read for its text, as a source of ours.
    closed = asyncio.Event()
    async with async_client(server.url, "text") as client:

        async def source():
            stream = await client.chat.completions.create(**ASK, stream=True)
            try:
                async for chunk in stream:
                    yield chunk.choices[0].delta.content or ""
            finally:
                await stream.close()
                closed.set()

        stream = TokenStream(source(), "text", high_water=1)
        await anext(stream)
        await stream.aclose()
        assert closed.is_set()
