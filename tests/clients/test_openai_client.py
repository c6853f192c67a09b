"""The real openai client reads the wire "openai-chat", over a real server."""

from __future__ import annotations

import asyncio
import json
import socket
import threading

import pytest

from tests.needs import need_module
from tokenstream import Data, Finish, OpenAIChat, Reasoning, TokenStream, ToolCall, Usage
from tokenstream.testing import WAIT, ScriptedSource

openai = need_module("openai")
uvicorn = need_module("uvicorn")

CALLS = [
    ToolCall(0, "call_a", "weather"),
    ToolCall(0, arguments='{"city": '),
    ToolCall(0, arguments='"Rome"}'),
    ToolCall(1, "call_b", "time", "{}"),
]

SCRIPTS = {
    "text": [" Hello", ",", " world\n\u2028\x85 [DONE] 猫"],
    "nothing": [],
    "length": ['{"text": "cu', Finish("length")],
    "usage": ["a", Usage(3, 4)],
    "calls": [*CALLS, Finish("tool_calls")],
    "reasoning": [Reasoning("hm"), "a"],
    "fails": ["a", ValueError("secret")],
    "fails first": [ValueError("secret")],
    "refused": ["a", Data("n", 1)],
    "silent": None,  # made by the test
}


class Server:
    """A uvicorn in a thread, whose app streams what the request's model names."""

    def __init__(self):
        self.silent = None
        config = uvicorn.Config(self.app, log_level="warning", lifespan="off", interface="asgi3")
        self.server = uvicorn.Server(config)
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen()  # who comes before uvicorn is ready waits, and is not refused
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/v1"
        self.thread = threading.Thread(target=self.server.run, args=([self.socket],), daemon=True)
        self.thread.start()

    async def app(self, scope, receive, send):
        message = await receive()
        request = json.loads(message["body"])
        usage = bool((request.get("stream_options") or {}).get("include_usage"))
        source, options = SCRIPTS[request["model"]], {}
        if source is None:
            source, options = self.silent, {"keep_alive": 0.01}
        else:
            source = ScriptedSource(*source)
        wire = OpenAIChat(model=request["model"], include_usage=usage)
        stream = TokenStream(source, wire, **options)
        headers = [(k.lower().encode(), v.encode()) for k, v in stream.headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for chunk in stream:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    def stop(self):
        self.server.should_exit = True
        self.thread.join(20)
        self.socket.close()


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def client(server):
    with openai.OpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=20) as client:
        yield client


ASK = [{"role": "user", "content": "hi"}]


def create(client, model, **options):
    return list(client.chat.completions.create(model=model, messages=ASK, stream=True, **options))


def helper(client, model, **options):
    with client.chat.completions.stream(model=model, messages=ASK, **options) as stream:
        events = list(stream)
        return events, stream.get_final_completion()


def test_text(client):
    chunks = create(client, "text")
    assert chunks[0].choices[0].delta.role == "assistant"
    text = [chunk.choices[0].delta.content or "" for chunk in chunks]
    assert [it for it in text if it] == SCRIPTS["text"]
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert {chunk.model for chunk in chunks} == {"text"}
    assert len({chunk.id for chunk in chunks}) == 1


def test_text_by_the_helper(client):
    events, final = helper(client, "text")
    deltas = [event.delta for event in events if event.type == "content.delta"]
    assert [delta for delta in deltas if delta] == SCRIPTS["text"]
    assert final.choices[0].message.content == "".join(SCRIPTS["text"])
    assert final.choices[0].finish_reason == "stop"


def test_a_reply_of_nothing(client):
    assert len(create(client, "nothing")) == 2
    _, final = helper(client, "nothing")
    assert not final.choices[0].message.content


def test_a_finish_reason(client):
    assert create(client, "length")[-1].choices[0].finish_reason == "length"


def test_the_helper_knows_a_reply_that_was_cut(client):
    with pytest.raises(openai.LengthFinishReasonError):
        # It raises only where something is to be parsed.
        helper(client, "length", response_format=_format())


def _format():
    import pydantic

    class Answer(pydantic.BaseModel):
        text: str

    return Answer


def test_usage_is_there_when_asked_for(client):
    chunks = create(client, "usage", stream_options={"include_usage": True})
    assert chunks[-1].choices == []
    usage = chunks[-1].usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (3, 4, 7)
    assert [chunk.usage for chunk in create(client, "usage")] == [None] * 3
    _, final = helper(client, "usage", stream_options={"include_usage": True})
    assert final.usage.total_tokens == 7


def test_tool_calls(client):
    chunks = create(client, "calls")
    calls = {}
    for chunk in chunks:
        for call in chunk.choices[0].delta.tool_calls or []:
            known = calls.setdefault(call.index, {"id": "", "name": "", "arguments": ""})
            known["id"] += call.id or ""
            known["name"] += call.function.name or ""
            known["arguments"] += call.function.arguments or ""
    assert calls == {
        0: {"id": "call_a", "name": "weather", "arguments": '{"city": "Rome"}'},
        1: {"id": "call_b", "name": "time", "arguments": "{}"},
    }
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_tool_calls_by_the_helper(client):
    _, final = helper(client, "calls")
    calls = final.choices[0].message.tool_calls
    assert [(c.id, c.type, c.function.name, c.function.arguments) for c in calls] == [
        ("call_a", "function", "weather", '{"city": "Rome"}'),
        ("call_b", "function", "time", "{}"),
    ]
    assert final.choices[0].finish_reason == "tool_calls"


def test_reasoning_is_where_servers_put_it(client):
    deltas = [chunk.choices[0].delta for chunk in create(client, "reasoning")]
    assert [getattr(d, "reasoning_content", None) for d in deltas] == [None, "hm", None, None]


@pytest.mark.parametrize("model", ["fails", "fails first", "refused"])
@pytest.mark.parametrize("read", [create, helper])
def test_a_failure_is_an_error_with_a_public_message(client, model, read):
    with pytest.raises(openai.APIError, match="generation failed") as raised:
        read(client, model)
    assert "secret" not in str(raised.value.body)


def test_keep_alives_are_skipped_and_tokens_come_one_by_one(client, server):
    server.silent = ScriptedSource(*[step for n in range(3) for step in (WAIT, str(n))], WAIT)
    server.silent.release()
    read = []
    with client.chat.completions.create(model="silent", messages=ASK, stream=True) as chunks:
        for chunk in chunks:
            if text := chunk.choices[0].delta.content:
                read.append(text)
                # A few keep-alives go by before the next.
                threading.Timer(0.05, server.silent.release).start()
    assert read == ["0", "1", "2"]


async def test_the_async_client(server):
    async with openai.AsyncOpenAI(base_url=server.url, api_key="none", timeout=20) as client:
        stream = await client.chat.completions.create(model="text", messages=ASK, stream=True)
        text = [chunk.choices[0].delta.content or "" async for chunk in stream]
        assert "".join(text) == "".join(SCRIPTS["text"])
        async with client.chat.completions.stream(model="calls", messages=ASK) as events:
            final = await events.get_final_completion()
        assert final.choices[0].message.tool_calls[0].function.name == "weather"


async def test_what_the_async_client_yields_is_closed_when_left(server):
    # The SDK's own stream is a source of ours once its chunks are mapped.
    closed = asyncio.Event()
    async with openai.AsyncOpenAI(base_url=server.url, api_key="none", timeout=20) as client:

        async def source():
            stream = await client.chat.completions.create(model="text", messages=ASK, stream=True)
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
