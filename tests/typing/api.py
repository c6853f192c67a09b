"""Code as users write it. It is never run: mypy (strict) and pyright check it in `make lint`."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from tokenstream import (
    AISDK,
    Data,
    Finish,
    Json,
    OpenAIChat,
    Outcome,
    Reasoning,
    Result,
    Source,
    Step,
    Text,
    TokenStream,
    ToolCall,
    ToolResult,
    Usage,
    Wire,
    adrain,
    drain,
    drain_on_signal,
    sse,
)
from tokenstream.errors import SourceTimeout, TokenStreamError
from tokenstream.testing import (
    WAIT,
    AsyncScriptedSource,
    FakeClock,
    ScriptedSource,
    forever,
    pause,
    read_stream,
)

# Sources.


def sync_tokens() -> Iterator[str]:
    yield "Hello"


def parts() -> Iterator[object]:
    yield Reasoning("hm")
    yield ToolCall(0, id="c1", name="search", arguments="{}")
    yield ToolResult("c1", {"hits": 3})
    yield Source("https://example.org/", title="Example")
    yield Step()
    yield Data("progress", 0.5)
    yield sse.Event("raw", event="custom")
    yield Usage(input_tokens=3, output_tokens=4, details={"cached": 1})
    yield Finish("stop")


async def async_tokens() -> AsyncIterator[str]:
    yield "Hello"


async def opened() -> AsyncIterator[str]:
    return async_tokens()


# The stream, and what is left of it.


def finished(result: Result) -> None:
    assert_type(result.outcome, Outcome)
    assert_type(result.usage, Usage | None)
    assert_type(result.ttft, float | None)
    assert_type(result.error, BaseException | None)
    assert_type(result.tool_calls, tuple[ToolCall, ...])


async def finished_async(result: Result) -> None:
    print(result.text, result.reasoning, result.duration)


def public_message(error: BaseException) -> str:
    return "too slow" if isinstance(error, SourceTimeout) else "failed"


def streams() -> list[TokenStream]:
    return [
        TokenStream(sync_tokens()),
        TokenStream(parts, "openai-chat"),
        TokenStream(async_tokens(), Text()),
        TokenStream(opened(), wire=Json(), keep_alive=None, source_timeout=None),
        TokenStream(lambda: opened(), OpenAIChat(model="m", include_usage=True)),
        TokenStream(
            ["a", "b"],
            "text",
            keep_alive=5,
            prime=0,
            source_timeout=60.0,
            send_timeout=10,
            max_duration=600,
            high_water=1 << 20,
            on_finish=finished,
            on_error=public_message,
        ),
        TokenStream(["a"], on_finish=finished_async),
    ]


def read(stream: TokenStream) -> bytes:
    assert_type(stream.headers, dict[str, str])
    assert_type(stream.media_type, str)
    body = b"".join(stream)
    for chunk in stream:
        assert_type(chunk, bytes)
    assert_type(stream.result, Result | None)
    stream.close()
    return body


async def read_async(stream: TokenStream) -> None:
    async for chunk in stream:
        assert_type(chunk, bytes)
    await stream.aclose()


async def told_to_end() -> None:
    assert_type(await adrain(5), int)
    assert_type(drain(), int)
    with drain_on_signal(timeout=2.5, signals=(signal.SIGTERM, signal.SIGINT)):
        drain_on_signal()


wires: list[Wire] = [Json(), Text(), OpenAIChat(), AISDK()]


def a_name_that_is_none_is_found_by_the_checker() -> TokenStream:
    return TokenStream(["a"], "jsno")  # type: ignore[arg-type]


# The event stream itself.


def decoded(body: bytes) -> list[str]:
    decoder = sse.Decoder(max_bytes=1 << 16)
    events = decoder.feed(sse.encode(sse.Event("hi", event="greeting", id="1")))
    events += decoder.feed(sse.comment("keep-alive") + body)
    assert_type(events, list[sse.Event])
    return [event.data for event in events]


def fallible(stream: TokenStream) -> None:
    try:
        stream.prime()
    except TokenStreamError as error:
        print(error)


# The testing kit.


def test_something() -> None:
    source = ScriptedSource("a", pause(15), WAIT, "b", ValueError("no"))
    with FakeClock() as clock:
        clock.advance(15.0)
        source.release()
    assert_type(source.yielded, int)
    transcript = read_stream(TokenStream(source)).read()
    assert_type(transcript.tokens, list[str])
    assert_type(transcript.text, str)
    assert_type(transcript.done, bool)
    assert_type(transcript.error, str | None)


async def test_something_async() -> None:
    stream = TokenStream(AsyncScriptedSource(script=forever()))
    transcript = await read_stream(stream, limit=3).aread()
    assert_type(transcript.events, list[sse.Event])
