"""Streams that finish, and streams that are ended, before the process is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest

from tokenstream import Result, TokenStream, adrain, drain, process
from tokenstream.errors import InvalidOption, UsageError
from tokenstream.testing import WAIT, AsyncScriptedSource, ScriptedSource, pause

from .pairings import PAIRINGS, Pairing, every_pairing, result_of, turns_until, until

LAST = b'event: error\ndata: {"error":"the server is shutting down"}\n\n'
DONE = b"data: [DONE]\n\n"


def talking() -> Iterator[object]:
    for number in count():
        yield f"t{number}"
        yield pause(0.001)


class Open:
    """A stream that a thread reads: `read` is what it read, once it is over."""

    def __init__(self, pairing: Pairing, script: Iterator[object]) -> None:
        self.source: Any = pairing.source(script=script)
        self.results: list[Result] = []
        options: dict[str, Any] = {"keep_alive": None} if pairing.inline else {}
        self.stream = TokenStream(self.source, on_finish=self.results.append, **options)
        self._pool = ThreadPoolExecutor(1)
        self._reading = self._pool.submit(pairing.read, self.stream)
        until(lambda: self.source.yielded)

    def read(self) -> bytes:
        read = self._reading.result(30)
        self._pool.shutdown()
        return read


def in_thread(call: Callable[[], int]) -> Callable[[], int]:
    """Begin it, and return what waits for its result."""
    pool = ThreadPoolExecutor(1)
    running = pool.submit(call)

    def finish() -> int:
        result = running.result(30)
        pool.shutdown()
        return result

    return finish


def one_token_then_wait() -> Iterator[object]:
    return iter(["a", WAIT, "b"])


@every_pairing
def test_a_stream_that_finishes_in_time_is_left_alone(pairing):
    stream = Open(pairing, one_token_then_wait())
    drained = in_thread(lambda: drain(60))
    until(process.is_ending)
    stream.source.release()
    assert drained() == 0
    assert stream.read().endswith(DONE)
    assert [result.outcome for result in stream.results] == ["completed"]


@every_pairing
def test_one_that_does_not_is_ended(pairing):
    stream = Open(pairing, talking())
    assert drain(0) == 1
    # All of it is over when drain returns.
    assert stream.source.closed.is_set()
    (result,) = stream.results
    assert result.outcome == "shutdown"
    read = stream.read()
    assert read.endswith(LAST)
    assert result.bytes_sent == len(read)  # the reader had taken the last frame
    assert not process.is_refusing()
    assert not process.is_ending()


@every_pairing
def test_a_silent_one_is_ended(pairing):
    stream = Open(pairing, one_token_then_wait())
    assert drain(0) == 1
    if pairing.source is AsyncScriptedSource:
        assert stream.source.closed.is_set()
    elif pairing.inline:
        stream.source.release()  # the reader itself is in there
    assert stream.read().endswith(LAST)
    stream.source.release()
    assert stream.source.closed.wait(10)
    assert stream.results[0].outcome == "shutdown"


def test_the_error_is_the_wires_own():
    source = AsyncScriptedSource("a", WAIT)
    stream = TokenStream(source, "openai-chat")
    next(stream)
    assert drain(0) == 1
    assert b"".join(stream).endswith(DONE)


@pytest.mark.parametrize("kind", [ScriptedSource, AsyncScriptedSource])
@pytest.mark.parametrize("options", [{}, {"keep_alive": None}])
def test_a_reader_that_takes_nothing_is_left_without(kind, options):
    source = kind(script=talking())
    results: list[Result] = []
    stream = TokenStream(source, high_water=100, on_finish=results.append, **options)
    next(stream)
    assert drain(0) == 1
    assert source.closed.is_set()
    assert [result.outcome for result in results] == ["shutdown"]
    assert b"".join(stream).endswith(LAST)  # if it comes back in time


def test_a_source_that_is_over_while_its_reader_takes_nothing():
    source = ScriptedSource("a", WAIT, "b")
    stream = TokenStream(source)
    next(stream)
    source.release()
    until(source.closed.is_set)
    assert drain(0) == 1
    assert result_of(stream).outcome == "shutdown"
    assert b"".join(stream).endswith(DONE)  # it had finished by itself


def test_a_source_that_blocks_its_loop_keeps_no_reader():
    inside, go = threading.Event(), threading.Event()

    async def source():
        yield "a"
        inside.set()
        go.wait(45)
        yield "b"

    stream = TokenStream(source())
    next(stream)
    assert inside.wait(10)
    read = in_thread(lambda: b"".join(stream).count(LAST))
    try:
        assert drain(0) == 1
        assert read() == 1
    finally:
        go.set()


def test_all_are_counted():
    streams = [Open(pairing, talking()) for pairing in PAIRINGS for _ in range(3)]
    assert drain(0) == len(streams)
    assert all(stream.read().endswith(LAST) for stream in streams)
    assert drain(0) == 0


def test_one_that_begins_meanwhile_is_waited_for():
    first = Open(PAIRINGS[0], one_token_then_wait())
    drained = in_thread(lambda: drain(60))
    until(process.is_ending)
    second = Open(PAIRINGS[0], one_token_then_wait())
    first.source.release()
    assert first.read().endswith(DONE)
    assert process.is_ending()
    second.source.release()
    assert second.read().endswith(DONE)
    assert drained() == 0


@every_pairing
def test_one_that_begins_after_the_deadline_is_ended_before_its_source_begins(pairing):
    process.refuse(pairing)
    try:
        stream = pairing.make("a")
        source = stream._source
        assert pairing.read(stream) == LAST
    finally:
        process.go_on(pairing)
    assert not source.started.is_set()
    assert result_of(stream).outcome == "shutdown"
    assert pairing.read(pairing.make("a")).endswith(DONE)


def test_a_factory_is_not_called_then():
    called = []
    process.refuse(called.append)
    try:
        for options in ({}, {"keep_alive": None}):
            assert b"".join(TokenStream(lambda: called.append(1) or ["a"], **options)) == LAST
    finally:
        process.go_on(called.append)
    assert not called


def test_under_a_loop_it_is_adrain():
    async def main() -> None:
        drain(0)

    with pytest.raises(UsageError, match="await adrain"):
        asyncio.run(main())


@pytest.mark.parametrize("timeout", [-1, float("inf"), float("nan"), None, "10"])
def test_a_timeout_that_means_nothing(timeout):
    with pytest.raises(InvalidOption, match="timeout="):
        drain(timeout)
    with pytest.raises(InvalidOption, match="timeout="):
        asyncio.run(adrain(timeout))


# In a task.


@pytest.mark.parametrize("kind", [ScriptedSource, AsyncScriptedSource])
def test_adrain_lets_its_loop_run(kind):
    async def main() -> None:
        source = kind("a", WAIT, "b")
        stream = TokenStream(source)
        assert await anext(stream)
        draining = asyncio.create_task(adrain(60))
        await turns_until(process.is_ending)
        source.release()
        assert (b"".join([chunk async for chunk in stream])).endswith(DONE)
        assert await draining == 0

    asyncio.run(main())


@pytest.mark.parametrize("kind", [ScriptedSource, AsyncScriptedSource])
def test_adrain_ends_what_its_own_loop_reads(kind):
    async def main() -> None:
        source = kind(script=talking())
        stream = TokenStream(source)
        assert await anext(stream)

        async def read() -> bytes:
            return b"".join([chunk async for chunk in stream])

        reading = asyncio.create_task(read())
        assert await adrain(0) == 1
        assert source.closed.is_set()
        assert (await reading).endswith(LAST)

    asyncio.run(main())


def test_adrain_that_is_cancelled_leaves_no_trace():
    async def main() -> None:
        source = AsyncScriptedSource("a", WAIT)
        stream = TokenStream(source)
        assert await anext(stream)
        draining = asyncio.create_task(adrain(60))
        await turns_until(process.is_ending)
        draining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await draining
        assert not process.is_ending()
        assert not process.is_refusing()
        source.release()
        assert (b"".join([chunk async for chunk in stream])).endswith(DONE)

    asyncio.run(main())
