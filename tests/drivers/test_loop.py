"""An async source has one task, holds its loop for a moment at most, and can be stopped."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tokenstream import TokenStream, process
from tokenstream.host import Host
from tokenstream.testing import WAIT, AsyncScriptedSource, FakeClock, ScriptedSource

from ..counting import CountingLoop
from ..pairings import aread_all, read_all, result_of

DONE = b"data: [DONE]\n\n"


def run_counted(main):
    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        loop = runner.get_loop()
        value = runner.run(main(loop))
        return value, loop


async def gated(count, gate):
    """Yield one part for each time it is let."""
    for n in range(count):
        await gate.acquire()
        yield str(n)


@pytest.mark.parametrize("reader", ["a token at a time", "hot"])
def test_no_task_and_no_timer_a_token(reader):
    async def read(count):
        if reader == "hot":
            return await aread_all(TokenStream(AsyncScriptedSource(*["x"] * count), "text"))
        gate = asyncio.Semaphore(0)
        stream = TokenStream(gated(count, gate), "text")
        chunks = []
        for _ in range(count):
            gate.release()
            chunks.append(await anext(stream))
        assert len(chunks) == count
        return b"".join(chunks) + await aread_all(stream)

    async def main(loop):
        await read(10)
        before = loop.tasks, loop.timers
        await read(10)
        few = loop.tasks - before[0], loop.timers - before[1]
        before = loop.tasks, loop.timers
        assert (await read(1000)).count(b"data:") == 1001
        return few, (loop.tasks - before[0], loop.timers - before[1])

    (few, many), _ = run_counted(main)
    assert many == few  # what 1,000 tokens cost is what 10 do
    assert few <= (1, 2)


def test_no_thread_a_token():
    source = ScriptedSource(*["x"] * 1000)
    # Counted by what the source saw, and by what is alive: nobody starts more.
    before = threading.active_count()
    most = before
    for _ in TokenStream(source):
        most = max(most, threading.active_count())
    assert source.threads == {"tokenstream-pump"}
    assert most <= before + 1


def test_a_sync_source_wakes_a_loop_no_more_than_once_a_token():
    count = 200
    source = ScriptedSource(*[step for n in range(count) for step in (WAIT, str(n))], WAIT)

    async def main(loop):
        stream = TokenStream(source, "text")
        source.release()
        await anext(stream)
        before = loop.tasks, loop.timers, loop.calls
        for _ in range(count - 1):
            source.release()
            await anext(stream)
        after = loop.tasks, loop.timers, loop.calls
        source.release()
        assert await aread_all(stream) == DONE
        return [b - a for a, b in zip(before, after, strict=True)]

    (tasks, timers, calls), _ = run_counted(main)
    assert tasks == 0
    assert timers <= 1
    assert calls <= count


# A source that never waits.


async def hot(log):
    try:
        n = 0
        while True:
            n += 1
            log.append(n) if n <= 1 else None
            yield "x"
    finally:
        log.append("closed")


async def test_a_source_that_never_waits_does_not_hold_the_loop():
    log, steps = [], 0
    # Room for ever, so that only the look at the clock can stop it.
    stream = TokenStream(hot(log), high_water=10**12, keep_alive=None)
    pump = asyncio.create_task(anext(stream))
    while steps < 50:
        steps += 1
        await asyncio.sleep(0)  # another task's steps get through
    await pump
    await stream.aclose()
    assert steps == 50
    assert log == [1, "closed"]


async def test_a_source_that_never_waits_is_stopped():
    log = []
    stream = TokenStream(hot(log), high_water=10**12)
    await anext(stream)
    await stream.aclose()
    assert log == [1, "closed"]
    assert result_of(stream).outcome == "disconnected"


def test_a_source_that_never_waits_is_stopped_on_the_shared_loop():
    # A bound: the thread that holds its loop hot lets the GIL go for moments too
    # short for another thread to take, so unbounded it would starve this one.
    log = []
    stream = TokenStream(hot(log), high_water=10**6)
    other = AsyncScriptedSource("b")
    next(stream)
    assert read_all(TokenStream(other, "text")) == b"data: b\n\n" + DONE  # the loop is free
    stream.close()
    assert log == [1, "closed"]


async def test_a_reader_that_stops_reading_stops_a_source_that_never_waits():
    log = []
    stream = TokenStream(hot(log), high_water=100, send_timeout=None)
    await anext(stream)
    parts = None
    for _ in range(50):
        await asyncio.sleep(0)
        if parts is None:
            parts = stream._reader.pump.machine.parts
    assert stream._reader.pump.inbox.producer is not None
    assert stream._reader.pump.machine.parts <= parts + 10
    await stream.aclose()
    assert log == [1, "closed"]


# Which loop.


async def which_loop(seen):
    seen.append((asyncio.get_running_loop(), threading.current_thread().name))
    yield "a"


async def test_under_an_async_reader_it_is_the_readers_loop():
    seen = []
    await aread_all(TokenStream(which_loop(seen)))
    assert seen == [(asyncio.get_running_loop(), threading.current_thread().name)]


def test_under_a_sync_reader_it_is_one_shared_loop():
    seen = []
    for _ in range(3):
        read_all(TokenStream(which_loop(seen)))
    assert seen == [(process.shared_loop(), "tokenstream-loop")] * 3


async def test_the_host_may_ask_for_the_shared_loop():
    seen = []
    await aread_all(TokenStream(which_loop(seen), host=Host(shared_loop=True)))
    assert seen == [(process.shared_loop(), "tokenstream-loop")]


# Cancelled by others.


@pytest.mark.parametrize("shared", [True, False])
async def test_the_host_hears_of_the_first_part_on_the_source_s_loop(shared):
    heard = []

    def note():
        heard.append((source.yielded, {threading.current_thread().name}))

    source = AsyncScriptedSource("a", "b")
    await aread_all(TokenStream(source, host=Host(shared_loop=shared, on_first_part=note)))
    assert heard == [(1, source.threads)]


async def test_a_task_that_is_cancelled_from_outside_ends_its_stream():
    source = AsyncScriptedSource("a", WAIT)
    stream = TokenStream(source, "text")
    read = await anext(stream)
    (task,) = [task for task in asyncio.all_tasks() if task.get_name() == "tokenstream-pump"]
    task.cancel()
    read += await aread_all(stream)
    assert read == b"data: a\n\nevent: error\ndata: generation was cancelled\n\n"
    assert source.closed.is_set()


async def test_a_source_that_swallows_its_cancellation_ends_with_its_next_part():
    log, waits = [], asyncio.Event()

    async def source():
        try:
            yield "a"
            waits.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                log.append("swallowed")
            yield "b"
            log.append("went on")
        finally:
            log.append("closed")

    stream = TokenStream(source())
    await anext(stream)
    await waits.wait()
    await stream.aclose()
    assert log == ["swallowed", "closed"]


# A source that blocks its loop.


def test_a_source_that_blocks_its_loop_can_not_hold_its_reader():
    go, inside = threading.Event(), threading.Event()

    async def source():
        yield "a"
        inside.set()
        go.wait(30)

    with FakeClock() as clock:
        stream = TokenStream(source(), "text", source_timeout=10, keep_alive=100)
        read = [next(stream)]
        assert inside.wait(10)
        moving = threading.Event()

        def move():
            while not moving.wait(0.001):
                clock.advance(1)

        mover = threading.Thread(target=move)
        mover.start()
        read.append(next(stream))
        moving.set()
        mover.join()
    go.set()
    assert read == [b"data: a\n\n", b"event: error\ndata: generation timed out\n\n"]
    assert list(stream) == []
    assert result_of(stream).outcome == "timeout"


@pytest.mark.parametrize("count", [1, 3, 4, 5, 400])
async def test_every_part_arrives_in_order(count):
    stream = TokenStream(AsyncScriptedSource(*map(str, range(count))), "text", high_water=30)
    read = await aread_all(stream)
    assert read == b"".join(b"data: %d\n\n" % n for n in range(count)) + DONE
