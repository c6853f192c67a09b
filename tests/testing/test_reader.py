"""A reader for whatever came back, that never hangs."""

from __future__ import annotations

import asyncio
import threading

import httpx
import pytest

from tokenstream import OpenAIChat, TokenStream, sse
from tokenstream.testing import (
    WAIT,
    AsyncScriptedSource,
    ScriptedSource,
    Transcript,
    forever,
    read_stream,
)

from ..cases import SourceBroke

DONE = b"data: [DONE]\n\n"


def events(*data):
    return [sse.Event(it) for it in data]


def test_bytes_at_any_split():
    transcript = read_stream([b"data: a\n", b"\ndata: b", b"\n\n" + DONE]).read()
    assert transcript.events == events("a", "b", "[DONE]")
    assert transcript.data == ["a", "b", "[DONE]"]
    assert transcript.raw == b"data: a\n\ndata: b\n\n" + DONE
    assert transcript.done
    assert transcript.error is None


async def test_async_bytes():
    async def chunks():
        yield b"data: a\n\n"
        yield DONE

    transcript = await read_stream(chunks()).aread()
    assert transcript.data == ["a", "[DONE]"]


def test_events_one_by_one():
    source = ScriptedSource(*[step for n in range(5) for step in (WAIT, str(n))], WAIT)
    stream = TokenStream(source, "text")
    source.release()
    read = []
    for event in read_stream(stream):
        read.append(event.data)
        source.release()
    assert read == ["0", "1", "2", "3", "4", "[DONE]"]


async def test_events_one_by_one_async():
    source = AsyncScriptedSource(*[step for n in range(5) for step in (WAIT, str(n))], WAIT)
    source.release()
    read = []
    async for event in read_stream(TokenStream(source, "text")):
        read.append(event.data)
        source.release()
    assert read == ["0", "1", "2", "3", "4", "[DONE]"]


def test_limit_ends_an_endless_stream_and_closes_it():
    source = ScriptedSource(script=forever())
    transcript = read_stream(TokenStream(source, "text"), limit=7).read()
    assert transcript.data == ["x"] * 7
    assert not transcript.done
    assert source.closed.wait(10)


async def test_limit_ends_an_endless_stream_and_closes_it_async():
    source = AsyncScriptedSource(script=forever())
    transcript = await read_stream(TokenStream(source, "text"), limit=7).aread()
    assert transcript.data == ["x"] * 7
    assert source.closed.is_set()


@pytest.mark.parametrize("kind", [ScriptedSource, AsyncScriptedSource])
def test_a_silent_stream_is_a_timeout(kind):
    source = kind("a", WAIT)
    with pytest.raises(TimeoutError, match=r"no byte came for 0\.05 s"):
        read_stream(TokenStream(source), timeout=0.05).read()
    source.release()


async def test_a_silent_stream_is_a_timeout_async():
    source = AsyncScriptedSource("a", WAIT)
    with pytest.raises(TimeoutError):
        await read_stream(TokenStream(source), timeout=0.05).aread()
    assert source.closed.is_set()


def test_leaving_the_loop_early_closes_the_stream():
    source = ScriptedSource(script=forever())
    reader = iter(read_stream(TokenStream(source)))
    next(reader)
    reader.close()
    assert source.closed.wait(10)


def test_comments_are_counted():
    assert read_stream([b": a\n\ndata: : b\n\n:\n\n"]).read().comments == 2


@pytest.mark.parametrize(
    "wire", ["json", "text", OpenAIChat()], ids=["json", "text", "openai-chat"]
)
def test_tokens_and_text(wire):
    transcript = read_stream(TokenStream([" a", "b ", "7"], wire)).read()
    assert transcript.tokens == [" a", "b ", "7"]
    assert transcript.text == " ab 7"
    assert transcript.done


@pytest.mark.parametrize("wire", ["json", "text"])
def test_an_error(wire):
    transcript = read_stream(TokenStream(ScriptedSource("a", SourceBroke()), wire)).read()
    assert "generation failed" in transcript.error
    assert transcript.text == "a"
    assert not transcript.done


def test_an_empty_transcript():
    it = Transcript()
    assert (it.text, it.done, it.error, it.comments) == ("", False, None, 0)


def test_an_httpx_response():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return TokenStream(["a", "b"], "text")

    client = httpx.Client(transport=httpx.WSGITransport(app), base_url="http://test")
    with client.stream("GET", "/") as response:
        assert read_stream(response).read().data == ["a", "b", "[DONE]"]
    # httpx has read it all here: so it can only be looked at.
    assert read_stream(client.get("/")).read().data == ["a", "b", "[DONE]"]


@pytest.mark.parametrize("thing", [7, None])
def test_what_can_not_be_read_says_so(thing):
    with pytest.raises(TypeError, match=f"{type(thing).__name__} can't be read with `for`"):
        read_stream(thing).read()
    with pytest.raises(TypeError, match="can't be read with `async for`: use `for`"):
        asyncio.run(read_stream(thing).aread())


def test_no_thread_is_left():
    before = set(threading.enumerate())
    read_stream(TokenStream(["a"], keep_alive=None)).read()
    assert set(threading.enumerate()) <= before
