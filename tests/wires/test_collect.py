"""A source becomes the protocol's ordinary JSON body, and is closed whatever happens."""

from __future__ import annotations

import asyncio

import pytest

from tokenstream import Finish, OpenAIChat, Reasoning, ToolCall, ToolResult, Usage
from tokenstream.errors import InvalidOption, NotASource, UnknownPart, UnknownWire, UnsupportedPart
from tokenstream.wires import acollect, collect

PARTS = [Reasoning("a"), Reasoning("b"), "Hel", "", b"lo \xe2\x82", b"\xac", Usage(1, 2)]


def message_of(document):
    return document["choices"][0]["message"]


class Watched:
    """An iterable that notes whether it was closed; it raises at its end where it is to."""

    def __init__(self, *parts, error=None):
        self.closed = 0
        self._parts, self._error = parts, error

    def __iter__(self):
        try:
            yield from self._parts
            if self._error:
                raise self._error
        finally:
            self.closed += 1

    async def __aiter__(self):
        try:
            for part in self._parts:
                await asyncio.sleep(0)
                yield part
            if self._error:
                raise self._error
        finally:
            self.closed += 1


class Async(Watched):
    __iter__ = None


def run(source, wire="openai-chat"):
    return asyncio.run(acollect(source, wire))


async def awaited(source):
    return source


EITHER = pytest.mark.parametrize("read", [collect, run])


@EITHER
@pytest.mark.parametrize("source", [PARTS, lambda: PARTS, lambda: iter(PARTS)])
def test_sync_sources(read, source):
    message = message_of(read(source))
    assert message["content"] == "Hello €"
    assert message["reasoning_content"] == "ab"


@pytest.mark.parametrize(
    "source",
    [
        lambda: Async(*PARTS),
        lambda: awaited(Async(*PARTS)),
        lambda: awaited(PARTS),
        lambda: lambda: awaited(Async(*PARTS)),
    ],
)
def test_async_sources_and_what_must_be_awaited(source):
    assert message_of(run(source()))["content"] == "Hello €"


@EITHER
def test_calls_count_and_reason(read):
    document = read([ToolCall(0, "a", "f", "{"), ToolCall(0, arguments="}"), Usage(3, 4)])
    (choice,) = document["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    ]
    assert document["usage"]["total_tokens"] == 7


@EITHER
def test_a_character_that_is_cut_ends_with_the_source_or_another_part(read):
    assert message_of(read([b"\xe2\x82"]))["content"] == "\ufffd"
    assert message_of(read([b"\xe2", Finish("length"), b"\x82"]))["content"] == "\ufffd\ufffd"


@EITHER
def test_the_wire_may_be_an_object(read):
    assert read(["a"], OpenAIChat(model="m", id="i"))["model"] == "m"
    assert read(["a"], "openai-completions")["choices"][0]["text"] == "a"


@EITHER
@pytest.mark.parametrize(
    "parts, error",
    [
        (["a", None], UnknownPart),
        (["a", ToolResult("a", 1)], UnsupportedPart),
    ],
    ids=str,
)
def test_what_a_stream_refuses_is_refused_and_the_source_closed(read, parts, error):
    source = Watched(*parts, "b")
    with pytest.raises(error):
        read(lambda: iter(source))
    assert source.closed == 1


@pytest.mark.parametrize("kind, read", [(Watched, collect), (Watched, run), (Async, run)])
def test_an_error_of_the_source_is_raised(kind, read):
    source = kind("a", error=KeyError("mine"))
    with pytest.raises(KeyError, match="mine"):
        read(source)
    assert source.closed == 1


@pytest.mark.parametrize(
    "source",
    [Async("a"), lambda: Async("a"), 5, "text"],
    ids=["async", "makes async", "number", "text"],
)
def test_what_is_no_sync_source(source):
    with pytest.raises(NotASource):
        collect(source)


def test_an_unknown_wire_is_told_before_the_source_starts():
    source = Watched("a")
    with pytest.raises(UnknownWire):
        collect(lambda: iter(source), "nope")
    assert source.closed == 0


@EITHER
@pytest.mark.parametrize("wire", ["json", "text", "html"])
def test_a_wire_with_no_reply_is_told_before_the_source_starts(read, wire):
    started = []

    def source():
        started.append(True)
        return ["a"]

    with pytest.raises(InvalidOption, match="no reply but a stream"):
        read(source, wire)
    assert not started


def test_a_task_that_is_cancelled_closes_its_source():
    async def main():
        begun, closed = asyncio.Event(), asyncio.Event()

        async def source():
            try:
                yield "a"
                begun.set()
                await asyncio.Event().wait()
            finally:
                closed.set()

        task = asyncio.create_task(acollect(source()))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert closed.is_set()

    asyncio.run(main())
