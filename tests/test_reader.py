"""`write_to`: what `async for` reads, whoever writes it, one write at a time.

Writes are made by the reader's task and, where the source runs on its loop, by
the source's own: what is promised of one is tested of both.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenstream import Json, Text, TokenStream, errors
from tokenstream.host import Host
from tokenstream.testing import WAIT, AsyncScriptedSource, FakeClock, ScriptedSource
from tokenstream.wires.base import Encoder

from .cases import CASES, SourceBroke
from .pairings import aread_all, result_of, turns, turns_until, until

DONE = b"data: [DONE]\n\n"
COMMENT = b": keep-alive\n\n"
BOTH = pytest.mark.parametrize("by", ["reader", "pump"])


def data(*tokens: str) -> bytes:
    return b"".join(b"data: %s\n\n" % token.encode() for token in tokens)


class Write:
    """Notes each write and who made it. What `waits` is given it waits for, a permit a write."""

    def __init__(self, *, waits=False, fails=None, lingers=0):
        self.chunks, self.flags, self.by = [], [], []
        self.begun = self.now = self.most = 0
        self.ended_with = None
        self.waits = waits
        self.fails = fails
        self.lingers = lingers  # turns that it takes to be cancelled
        self.permits = asyncio.Semaphore(0)

    async def __call__(self, chunk, more):
        self.begun += 1
        self.now += 1
        self.most = max(self.most, self.now)
        name = asyncio.current_task().get_name()
        self.by.append("pump" if name == "tokenstream-pump" else "reader")
        try:
            if self.waits:
                await self.permits.acquire()
            if self.fails is not None:
                raise self.fails
        except BaseException as error:
            self.ended_with = error
            await turns(self.lingers)
            raise
        finally:
            self.now -= 1
        self.chunks.append(chunk)
        self.flags.append(more)

    @property
    def raw(self):
        return b"".join(self.chunks)


class Source:
    """Gives what is put in, waits where that is nothing, and tells what was done with it."""

    def __init__(self, *tokens):
        self.asked = 0
        self.waits = False
        self.log = []
        self._tokens = deque(tokens)
        self._more = asyncio.Event()
        self._over = False

    def give(self, *tokens):
        self._tokens.extend(tokens)
        self._more.set()

    def end(self):
        self._over = True
        self._more.set()

    async def __aiter__(self):
        try:
            while True:
                self.asked += 1
                while not self._tokens and not self._over:
                    self._more.clear()
                    self.waits = True
                    await self._more.wait()
                self.waits = False
                if not self._tokens:
                    return
                yield self._tokens.popleft()
        except asyncio.CancelledError:
            self.log.append("cancelled")
            raise
        finally:
            await turns(3)  # one that is cut short is seen
            self.log.append("closed")


async def begin(by, write, source, **options):
    """Have "a" written by the reader's task, or by the pump's; the source waits then."""
    options.setdefault("keep_alive", None)
    stream = TokenStream(source, "text", **options)
    if by == "reader":
        source.give("a")
        await stream.aprime()
    task = asyncio.create_task(stream.write_to(write))
    if by == "pump":
        source.give("")  # the first part is handed over before the source is asked for the next
        await turns_until(lambda: source.asked == 2)
        await turns(5)
        source.give("a")
    await turns_until(lambda: write.begun == 1)
    await turns(5)
    assert write.by == [by]
    assert source.waits
    return stream, task


async def settled(task):
    """Return what the task raised, or None."""
    async with asyncio.timeout(20):
        await asyncio.wait({task})
    return asyncio.CancelledError() if task.cancelled() else task.exception()


# The same bytes.


async def paced(steps):
    """Wait before each step, so that each token comes alone."""
    for step in steps:
        await turns(2)
        if isinstance(step, BaseException):
            raise step
        yield step


SOURCES = {
    "sync": lambda steps: ScriptedSource(*steps),
    "async, hot": lambda steps: AsyncScriptedSource(*steps),
    "async, paced": paced,
    "a factory of a sync one": lambda steps: lambda: ScriptedSource(*steps),
    "an awaitable of a sync one": lambda steps: opens(ScriptedSource(*steps)),
    "an awaitable of an async one": lambda steps: opens(AsyncScriptedSource(*steps)),
}


async def opens(source):
    await turns(3)
    return source


@pytest.mark.parametrize("shared", [False, True], ids=["this loop", "the shared loop"])
@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_table(case, kind, shared):
    host = Host(run_id=case.run_id, shared_loop=shared)
    stream, write = TokenStream(SOURCES[kind](case.steps), case.wire, host=host), Write()
    await stream.write_to(write)
    assert write.raw == case.expected
    assert write.flags == [True] * (len(write.flags) - 1) + [False]
    assert write.most == 1
    assert stream.at_end
    result = result_of(stream)
    assert result.outcome == case.outcome
    assert type(result.error) is (case.error or type(None))
    assert result.bytes_sent == len(case.expected)


@pytest.mark.parametrize("kind", SOURCES)
async def test_primed_it_is_the_same(kind):
    stream, write = TokenStream(SOURCES[kind](("a", "", "b", "c")), "text"), Write()
    assert await stream.aprime() is None
    await stream.write_to(write)
    assert write.raw == data("a", "b", "c") + DONE
    assert write.flags.count(False) == 1


STEPS = st.lists(st.sampled_from(["", "a", "\r", "\n", "[DONE]", b"\xe2", b"\x82\xac", 0, 1]))


async def stepping(steps):
    """Give each, and wait so many turns instead where it is a number."""
    for step in steps:
        if isinstance(step, int):
            await turns(step + 1)
        else:
            yield step


@given(STEPS, st.lists(st.integers(0, 3), min_size=1), st.integers(1, 60), st.booleans())
def test_whoever_waits_for_whom_not_a_byte_changes(steps, waits, high_water, primes):
    async def main():
        turn = iter(waits * 100)
        busy, read, flags = [], [], []

        async def write(chunk, more):
            assert not busy  # never two at a time
            busy.append(1)
            await turns(next(turn))
            busy.pop()
            read.append(chunk)
            flags.append(more)

        stream = TokenStream(stepping(steps), "text", high_water=high_water)
        if primes:
            await stream.aprime()
        async with asyncio.timeout(20):
            await stream.write_to(write)
        plain = [step for step in steps if not isinstance(step, int)]
        assert b"".join(read) == await aread_all(TokenStream(iter(plain), "text"))
        assert flags[-1] is False
        assert all(flags[:-1])

    asyncio.run(main())


async def test_a_token_that_comes_alone_is_written_at_once_by_the_sources_task():
    source, write = Source(), Write()
    stream, task = await begin("pump", write, source)
    for token in "bcd":
        source.give(token)
        before = write.begun
        await turns_until(lambda n=before: write.begun > n)
        assert write.chunks[-1] == data(token)
    assert write.by == ["pump"] * 4
    source.end()
    await task
    assert write.by[-1] == "reader"  # the terminal
    assert write.raw == data(*"abcd") + DONE
    assert result_of(stream).bytes_sent == len(write.raw)


@pytest.mark.parametrize("shared", [False, True], ids=["a sync source", "the shared loop"])
async def test_a_source_in_another_place_is_written_for_by_the_reader(shared):
    kind = AsyncScriptedSource if shared else ScriptedSource
    source, write = kind(WAIT, "a", WAIT, "b", WAIT), Write()
    stream = TokenStream(source, "text", host=Host(shared_loop=shared))
    task = asyncio.create_task(stream.write_to(write))
    for count in (1, 2):
        source.release()
        await turns_until(lambda n=count: write.begun == n)
    source.release()
    await task
    assert write.chunks == [data("a"), data("b"), DONE]
    assert set(write.by) == {"reader"}


async def test_a_source_that_moves_to_a_thread_is_not_waited_for_in_vain():
    # What the reader lent to the source's task is of no use to a thread.
    source, write = ScriptedSource(WAIT, "a", WAIT), Write()
    stream = TokenStream(opens(source), "text", keep_alive=None)
    task = asyncio.create_task(stream.write_to(write))
    source.release()
    await turns_until(lambda: write.chunks)
    assert write.chunks == [data("a")]
    source.release()
    await task


# The opening.


async def test_the_opening_is_awaited_first():
    order = []

    async def opening():
        order.append("opening begins")
        await turns(10)
        order.append("opening ends")

    async def write(chunk, more):
        order.append(more)

    await TokenStream(AsyncScriptedSource("a"), "text").write_to(write, opening=opening())
    assert order[:2] == ["opening begins", "opening ends"]
    assert order[-1] is False


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("primes", [False, True])
async def test_an_opening_that_raises_is_all_that_is_sent(primes, waits):
    async def opening():
        await turns(5 if waits else 0)
        raise OSError("gone")

    source, write = Source("a"), Write()
    stream = TokenStream(source, "text")
    if primes:
        await stream.aprime()
    with pytest.raises(OSError, match="gone"):
        await stream.write_to(write, opening=opening())
    await stream.aclose()
    assert not write.begun
    begun = primes or waits  # else it was never asked
    assert source.log[-1:] == (["closed"] if begun else [])
    assert source.asked == (1 + waits if begun else 0)
    assert result_of(stream).outcome == "disconnected"


async def test_an_opening_that_waits_too_long():
    with FakeClock() as clock:
        stream = TokenStream(Source("a"), "text", send_timeout=30)
        task = asyncio.create_task(stream.write_to(Write(), opening=asyncio.Event().wait()))
        await turns(10)
        clock.advance(30)
        assert isinstance(await settled(task), errors.ReaderLeft)
    await stream.aclose()


# A write that raises.


@BOTH
@pytest.mark.parametrize("slow", [False, True], ids=["at once", "after a wait"])
@pytest.mark.parametrize(
    "error",
    [OSError("gone"), ValueError("no"), asyncio.CancelledError(), TimeoutError()],
    ids=lambda error: type(error).__name__,
)
async def test_what_a_write_raises_is_raised_in_the_readers_task(error, slow, by):
    source, write = Source(), Write(waits=slow, fails=error)
    stream, task = await begin(by, write, source)
    write.permits.release()
    raised = await settled(task)
    assert type(raised) is type(error)
    assert source.log == []  # it is none of the source's business
    stream.leave(unsent=True)
    await stream.aclose()
    assert source.log == ["cancelled", "closed"]
    assert write.begun == 1
    assert (result_of(stream).outcome, result_of(stream).error) == ("disconnected", None)


@BOTH
@pytest.mark.parametrize("slow", [False, True], ids=["at once", "after a wait"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_is_for_who_runs_the_loop_gets_there(error, slow, by):
    sources = []

    async def main():
        source = Source()
        sources.append(source)
        write = Write(waits=slow, fails=error())
        write.permits.release()
        _, task = await begin(by, write, source)
        await task

    with pytest.raises(error):
        asyncio.run(main())
    gc.collect()  # what asyncio says of the tasks that raised it is said here
    assert sources[0].log == ["cancelled", "closed"]


@pytest.mark.parametrize("slow", [False, True])
async def test_the_terminal_may_fail_too(slow):
    async def write(chunk, more):
        if not more:
            await turns(3 if slow else 0)
            raise OSError("gone")

    stream = TokenStream(AsyncScriptedSource("a"), "text")
    with pytest.raises(OSError, match="gone"):
        await stream.write_to(write)
    stream.leave(unsent=True)
    await stream.aclose()
    assert result_of(stream).outcome == "disconnected"


# A write that waits.


@BOTH
async def test_no_write_begins_before_the_last_is_done(by):
    source, write = Source(), Write(waits=True)
    _, task = await begin(by, write, source)
    for token in "bcde":
        source.give(token)
        await turns(20)
    source.end()
    await turns(20)
    assert write.begun == 1
    while not task.done():
        write.permits.release()
        await turns(5)
    assert write.most == 1
    assert write.raw == data(*"abcde") + DONE


async def test_a_source_is_not_asked_for_more_while_its_write_waits():
    source, write = Source(), Write(waits=True)
    _, task = await begin("pump", write, source)
    # That it waits for "b" is why "a" is written; there it stays, though "b" is there.
    for begun, token in enumerate("bcd", 1):
        asked = source.asked
        source.give(token)
        await turns(20)
        assert (source.asked, write.begun) == (asked, begun)
        write.permits.release()
        await turns_until(lambda n=begun + 1: write.begun == n)
    assert set(write.by) == {"pump"}
    source.end()
    while not task.done():
        write.permits.release()
        await turns(5)
    assert write.raw == data(*"abcd") + DONE


async def test_nor_while_the_first_is_written():
    source, write = Source(), Write(waits=True)
    task = asyncio.create_task(TokenStream(source, "text").write_to(write))
    await turns(5)
    source.give("a", "b")
    await turns_until(lambda: write.begun)
    await turns(20)
    assert (source.asked, write.by) == (1, ["pump"])
    source.end()
    while not task.done():
        write.permits.release()
        await turns(5)
    assert write.raw == data(*"ab") + DONE


async def test_a_keep_alive_comes_after_the_last_write_and_not_during_one():
    source, write = Source(), Write(waits=True)
    with FakeClock() as clock:
        _, task = await begin("pump", write, source, keep_alive=15, send_timeout=None)
        clock.advance(100)
        await turns(20)
        assert write.begun == 1
        write.permits.release()
        await turns(20)
        assert write.begun == 1  # it counts from the write's end
        clock.advance(14)
        await turns(20)
        assert write.begun == 1
        clock.advance(1)
        await turns_until(lambda: write.begun == 2)
        assert write.by[-1] == "reader"
        source.give("b")
        await turns(20)
        assert write.begun == 2  # not beside the comment
        write.permits.release()
        await turns_until(lambda: write.begun == 3)
        write.permits.release()
        source.end()
        write.permits.release()
        await task
    assert write.chunks == [data("a"), COMMENT, data("b"), DONE]
    assert write.most == 1


async def test_each_write_puts_the_keep_alive_off():
    source, write = Source(), Write()
    with FakeClock() as clock:
        _, task = await begin("pump", write, source, keep_alive=15)
        for token in "bcde":
            clock.advance(14)
            await turns(10)
            source.give(token)
            await turns(10)
        assert write.raw == data(*"abcde")
        clock.advance(15)
        await turns_until(lambda: len(write.chunks) == 6)
        source.end()
        await task
    assert write.raw == data(*"abcde") + COMMENT + DONE


async def test_a_reader_that_is_woken_as_a_write_begins_waits_for_it():
    with FakeClock() as clock:
        source, write = Source(), Write()
        options = {"keep_alive": 15, "send_timeout": 30}
        stream, task = await begin("pump", write, source, **options)
        write.waits = True
        clock.advance(15)  # it is woken, and before it runs
        source.give("b")  # the source's task begins a write
        await turns(20)
        assert write.by == ["pump", "pump"]
        clock.advance(15)
        await turns(20)
        assert write.begun == 2  # no comment beside it
        clock.advance(15)  # and its own time still is looked at
        assert isinstance(await settled(task), errors.ReaderLeft)
    assert write.most == 1
    await stream.aclose()


async def test_the_terminal_of_a_shut_down_waits_for_the_write():
    source, write = Source(), Write(waits=True, lingers=10)
    stream, task = await begin("pump", write, source)
    stream._reader.pump.shut_down()
    await turns_until(lambda: write.begun == 2)
    write.permits.release()
    assert await settled(task) is None
    assert write.chunks == [b"event: error\ndata: the server is shutting down\n\n"]
    assert (write.flags, write.most) == ([False], 1)
    assert source.log == ["cancelled", "closed"]
    assert result_of(stream).outcome == "shutdown"


@BOTH
@pytest.mark.parametrize("limit", ["source_timeout", "max_duration"])
async def test_the_terminal_of_a_deadline_waits_for_the_write(limit, by):
    source, write = Source(), Write(waits=True)
    with FakeClock() as clock:
        options = {"source_timeout": None, limit: 40, "send_timeout": None}
        stream, task = await begin(by, write, source, **options)
        clock.advance(50)
        await turns(20)
        assert write.begun == 1
        write.permits.release()
        await turns(20)
        clock.advance(50)  # the source may have its time from the write's end
        await turns_until(lambda: write.begun == 2)
        write.permits.release()
        await task
    assert write.chunks == [data("a"), b"event: error\ndata: generation timed out\n\n"]
    assert write.flags == [True, False]
    assert write.most == 1
    assert result_of(stream).outcome == "timeout"
    assert source.log == ["cancelled", "closed"]


async def test_tokens_put_the_source_timeout_off_and_nothing_the_end():
    with FakeClock() as clock:
        source, write = Source(), Write()
        stream, task = await begin("pump", write, source, source_timeout=10, max_duration=35)
        for token in "bcd":
            clock.advance(9)
            await turns(10)
            source.give(token)
            await turns(10)
        assert write.raw == data(*"abcd")
        assert not task.done()
        clock.advance(8)
        await task
    assert set(write.by[:-1]) == {"pump"}
    assert isinstance(result_of(stream).error, errors.DurationExceeded)

    with FakeClock() as clock:
        source, write = Source(), Write()
        stream, task = await begin("pump", write, source, source_timeout=10, max_duration=35)
        clock.advance(10)
        await task
    assert isinstance(result_of(stream).error, errors.SourceTimeout)


# The time a write may take.


@BOTH
async def test_a_write_that_takes_too_long_is_a_reader_that_left(by):
    left, calm = [], []

    async def main():
        try:
            await stream.write_to(write)
        except errors.ReaderLeft as error:
            left.append(error)
            calm.append(asyncio.current_task().cancelling())
            await turns(3)  # raises in a task that is left cancelled

    with FakeClock() as clock:
        source, write = Source(), Write(waits=True)
        stream = TokenStream(source, "text", send_timeout=30, keep_alive=10)
        source.give("" if by == "pump" else "a")
        await stream.aprime()
        task = asyncio.create_task(main())
        await turns(5)
        source.give("a")
        await turns_until(lambda: write.begun == 1)
        clock.advance(29)
        await turns(20)
        assert not task.done()
        clock.advance(1)
        assert await settled(task) is None
    assert write.by == [by]
    assert calm == [0]
    assert "took nothing for 30 seconds" in str(left[0])
    assert source.log == []  # a write is none of its business
    await stream.aclose()
    assert isinstance(write.ended_with, asyncio.CancelledError)
    assert source.log == ["cancelled", "closed"]
    assert result_of(stream).outcome == "disconnected"


@BOTH
@pytest.mark.parametrize("instead", ["returns", "raises"])
async def test_so_is_one_that_makes_something_else_of_it(instead, by):
    class Stubborn(Write):
        async def __call__(self, chunk, more):
            try:
                await super().__call__(chunk, more)
            except asyncio.CancelledError:
                if instead == "raises":
                    raise OSError("gone") from None

    with FakeClock() as clock:
        source, write = Source(), Stubborn(waits=True)
        stream, task = await begin(by, write, source, send_timeout=30)
        clock.advance(30)
        assert isinstance(await settled(task), errors.ReaderLeft)
    assert task.cancelling() == 0
    await stream.aclose()
    assert source.log == ["cancelled", "closed"]


@BOTH
async def test_a_cancel_at_the_same_moment_is_not_lost(by):
    with FakeClock() as clock:
        source, write = Source(), Write(waits=True)
        stream, task = await begin(by, write, source, send_timeout=30)
        clock.advance(30)
        await asyncio.sleep(0)  # the write's own is on its way
        task.cancel()
        assert isinstance(await settled(task), asyncio.CancelledError)
    await stream.aclose()
    assert source.log == ["cancelled", "closed"]


@BOTH
async def test_a_write_that_ends_in_time_is_no_reader_that_left(by):
    with FakeClock() as clock:
        source, write = Source(), Write(waits=True)
        _, task = await begin(by, write, source, send_timeout=30)
        for token in "bcd":
            clock.advance(29)
            write.permits.release()
            await turns(10)
            source.give(token)
            await turns(10)
        clock.advance(29)
        source.end()
        while not task.done():
            write.permits.release()
            await turns(10)
        assert await settled(task) is None
    assert write.raw == data(*"abcd") + DONE


@BOTH
async def test_with_no_limit_it_may_take_for_ever(by):
    with FakeClock() as clock:
        source, write = Source(), Write(waits=True)
        options = {"send_timeout": None, "source_timeout": None}
        _, task = await begin(by, write, source, **options)
        clock.advance(10**6)
        await turns(20)
        assert not task.done()
        source.end()
        while not task.done():
            write.permits.release()
            await turns(10)
    assert write.raw == data("a") + DONE


# Leaving, during a write and between two.

MOMENTS = pytest.mark.parametrize("waits", [True, False], ids=["during a write", "between two"])


@BOTH
@MOMENTS
async def test_a_reader_that_is_cancelled(waits, by):
    source, write = Source(), Write(waits=waits)
    stream, task = await begin(by, write, source)
    task.cancel()
    assert isinstance(await settled(task), asyncio.CancelledError)
    async with asyncio.timeout(20):
        await stream.aclose()
    assert source.log == ["cancelled", "closed"]
    assert write.now == 0
    assert result_of(stream).outcome == "disconnected"


@BOTH
@MOMENTS
async def test_a_reader_that_leaves(waits, by):
    source, write = Source(), Write(waits=waits)
    stream, task = await begin(by, write, source)
    stream.leave()
    if waits and by == "reader":
        write.permits.release()  # its own write is not cut off
    assert await settled(task) is None
    assert not stream.at_end
    await stream.aclose()
    assert source.log == ["cancelled", "closed"]
    assert (write.begun, write.now) == (1, 0)
    assert result_of(stream).outcome == "disconnected"


@pytest.mark.parametrize("send_timeout", [30, None])
async def test_its_source_does_not_wait_for_a_write_that_never_ends(send_timeout):
    source, write = Source(), Write(waits=True)
    stream, task = await begin("reader", write, source, send_timeout=send_timeout)
    stream.leave()
    await turns_until(lambda: source.log == ["cancelled", "closed"])
    assert source.log == ["cancelled", "closed"]
    assert not task.done()
    task.cancel()  # as the server does, some time
    assert isinstance(await settled(task), asyncio.CancelledError)
    await stream.aclose()
    assert result_of(stream).outcome == "disconnected"


@BOTH
@MOMENTS
async def test_a_stream_that_is_closed_by_another_thread(waits, by):
    source, write = Source(), Write(waits=waits)
    stream, task = await begin(by, write, source)
    await asyncio.to_thread(stream.close)
    if waits and by == "reader":
        write.permits.release()
    assert await settled(task) is None
    assert source.log == ["cancelled", "closed"]
    assert result_of(stream).outcome == "disconnected"


@BOTH
async def test_a_write_may_close_its_own_stream(by):
    source = Source()

    class Closing(Write):
        async def __call__(self, chunk, more):
            await super().__call__(chunk, more)
            await stream.aclose()

    write = Closing()
    stream = TokenStream(source, "text")
    source.give("" if by == "pump" else "a")
    await stream.aprime()
    task = asyncio.create_task(stream.write_to(write))
    await turns(5)
    if by == "pump":
        source.give("a")
    await settled(task)
    await stream.aclose()
    assert write.by == [by]
    assert source.log == ["cancelled", "closed"]


async def test_a_source_sees_its_cancellation_where_it_waits():
    futures, log = [], []

    async def source():
        future = asyncio.get_running_loop().create_future()
        futures.append(future)
        yield ""
        yield "a"
        try:
            await future
        except asyncio.CancelledError:
            log.append("cancelled")
            raise
        finally:
            await turns(3)
            log.append("closed")

    write = Write(waits=True)
    stream = TokenStream(source(), "text")
    task = asyncio.create_task(stream.write_to(write))
    await turns_until(lambda: write.begun == 1)
    assert write.by == ["pump"]
    assert not futures[0].done()
    task.cancel()
    await settled(task)
    await stream.aclose()
    assert log == ["cancelled", "closed"]
    assert futures[0].cancelled()  # as asyncio does to what a cancelled task waits for


async def test_a_source_whose_wait_is_over_sees_its_cancellation_too():
    source, write = Source(), Write(waits=True)
    stream, task = await begin("pump", write, source)
    source.give("b")  # what it waited for is there, and can't be cancelled
    stream.leave()
    await settled(task)
    await stream.aclose()
    assert source.log == ["cancelled", "closed"]
    assert result_of(stream).text in ("a", "ab")


async def test_the_pumps_task_that_is_cancelled_from_outside_in_a_write():
    source, write = Source(), Write(waits=True)
    stream, task = await begin("pump", write, source)
    (pump,) = [it for it in asyncio.all_tasks() if it.get_name() == "tokenstream-pump"]
    pump.cancel()
    await turns_until(lambda: write.begun == 2)
    write.permits.release()
    await settled(task)
    assert write.chunks == [b"event: error\ndata: generation was cancelled\n\n"]
    assert (write.flags, write.most) == ([False], 1)
    assert source.log == ["cancelled", "closed"]
    assert result_of(stream).outcome == "cancelled"


# Awaitables of every kind.


class Foreign:
    """Awaits a future, and has `__next__` alone, as what granian's `send` returns."""

    def __init__(self, future):
        self.future = future

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        if self.future.done():
            self.future.result()
            raise StopIteration
        self.future._asyncio_future_blocking = True
        return self.future


KINDS = {
    "a future": lambda future: future,
    "a task": lambda future: asyncio.ensure_future(future_of(future)),
    "a foreign one": Foreign,
}


async def future_of(future):
    await turns(2)
    return await future


@BOTH
@pytest.mark.parametrize("end", ["returns", "raises", "is cancelled", "takes too long"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_write_is_any_awaitable(kind, end, by):
    futures, written = [], []

    def write(chunk, more):
        written.append(chunk)
        futures.append(asyncio.get_running_loop().create_future())
        if len(futures) > 1:
            futures[-1].set_result(None)
        return KINDS[kind](futures[-1])

    with FakeClock() as clock:
        source = Source()
        stream = TokenStream(source, "text", keep_alive=None)
        if by == "reader":
            source.give("a")
            await stream.aprime()
        task = asyncio.create_task(stream.write_to(write))
        await turns(5)
        if by == "pump":
            source.give("", "a")
        await turns_until(lambda: written)
        await turns(5)
        match end:
            case "returns":
                futures[0].set_result(None)
                source.end()
            case "raises":
                futures[0].set_exception(OSError("gone"))
            case "is cancelled":
                task.cancel()
            case "takes too long":
                clock.advance(30)
        raised = await settled(task)
    await stream.aclose()
    expected = {
        "raises": OSError, "is cancelled": asyncio.CancelledError,
        "takes too long": errors.ReaderLeft,
    }  # fmt: skip
    assert type(raised) is expected.get(end, type(None))
    assert b"".join(written) == (data("a") + DONE if end == "returns" else data("a"))
    assert futures[0].done()
    assert source.log[-1:] == ["closed"]


# A server that never waits.

TOO_LONG = b"event: error\n" + data("the reply is too long")


def endless():
    while True:
        yield "x" * 91  # a frame of 99 bytes


@pytest.mark.parametrize("how", ["write_to", "async for"])
@pytest.mark.parametrize("kind", [ScriptedSource, AsyncScriptedSource, paced])
async def test_past_its_bytes_a_stream_fails(kind, how):
    source = kind(endless()) if kind is paced else kind(script=endless())
    stream, write = TokenStream(source, "text", high_water=400), Write()
    stream.byte_limit = 1000
    async with asyncio.timeout(20):
        if how == "write_to":
            await stream.write_to(write)
        else:
            write.chunks = [chunk async for chunk in stream]
    text = write.raw.removesuffix(TOO_LONG)
    assert text + TOO_LONG == write.raw
    # What is over is no more than the chunk that passes the limit, and the next.
    assert 1000 < len(text) <= 1000 + 2 * (400 + 99)
    assert text == data("x" * 91) * (len(text) // 99)
    result = result_of(stream)
    assert (result.outcome, type(result.error)) == ("failed", errors.SizeExceeded)
    assert kind is paced or source.closed.is_set()


@pytest.mark.parametrize("size", [1, 99])
async def test_up_to_its_bytes_it_does_not(size):
    stream, write = TokenStream(AsyncScriptedSource("x" * size), "text"), Write()
    stream.byte_limit = 8 + size
    await stream.write_to(write)
    assert write.raw == data("x" * size) + DONE


# A wire of the app's own.


class Third(Encoder):
    def __init__(self, error):
        super().__init__()
        self._left, self._error = 3, error

    def text(self, text):
        self._left -= 1
        if not self._left:
            raise self._error
        return data(text)

    def error(self, message):
        return b"event: error\n" + data(message)


class FailsAtTheThird(Text):
    """Its encoder raises on the third token."""

    def begin(self):
        return Third(SourceBroke("secret"))


@pytest.mark.parametrize("kind", SOURCES)
async def test_a_wire_that_raises_ends_in_the_error_frame(kind):
    stream, write = TokenStream(SOURCES[kind](("a", "b", "c", "d")), FailsAtTheThird()), Write()
    async with asyncio.timeout(20):
        await stream.write_to(write)
    failed = b"event: error\n" + data("generation failed")
    assert write.raw.endswith(failed)
    assert write.raw == data("a", "b") + failed
    assert b"secret" not in write.raw
    assert write.flags.count(False) == 1
    assert result_of(stream).outcome == "failed"
    assert isinstance(result_of(stream).error, SourceBroke)


@pytest.mark.parametrize("reads", ["async for", "for"])
def test_a_source_that_fails_behind_what_can_not_be_framed(reads):
    # The terminal frames what was gathered first, and that raises.
    async def source():
        yield "a"
        await asyncio.sleep(0)
        yield "b"
        yield "c"
        raise ValueError("in the source")

    async def read(stream):
        return b"".join([chunk async for chunk in stream])

    stream = TokenStream(source(), FailsAtTheThird())
    raw = asyncio.run(read(stream)) if reads == "async for" else b"".join(stream)
    assert raw.endswith(b"event: error\n" + data("generation failed"))
    assert result_of(stream).outcome == "failed"


async def test_a_wire_that_raises_closes_its_source():
    source, write = Source(), Write()
    stream = TokenStream(source, FailsAtTheThird())
    task = asyncio.create_task(stream.write_to(write))
    for token in "abc":
        await turns(10)
        source.give(token)
    assert await settled(task) is None
    assert source.log == ["cancelled", "closed"]
    assert isinstance(result_of(stream).error, SourceBroke)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_while_a_token_is_framed_closes_the_source(error, caplog):
    class Interrupted(Text):
        def begin(self):
            return Third(error())

    sources = []

    async def main():
        sources.append(source := Source())
        task = asyncio.create_task(TokenStream(source, Interrupted()).write_to(Write()))
        for token in "abc":
            await turns(10)
            source.give(token)
        await task

    with pytest.raises(error):
        asyncio.run(main())
    gc.collect()  # what asyncio says of the tasks that raised it is said here
    assert sources[0].log == ["closed"]
    assert "closing the source raised" not in caplog.text


# No noise.


@pytest.fixture
def noise(monkeypatch):
    """What nobody could catch."""
    heard = []
    # The interpreter's own way to be told; nothing is stood in for.
    monkeypatch.setattr(sys, "unraisablehook", heard.append)
    yield heard
    gc.collect()
    assert not heard


def run_and_close(main):
    """Close the loop under what runs on it, as a server that is torn down does."""
    heard = []
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: heard.append(context))
    try:
        return loop.run_until_complete(main()), heard
    finally:
        loop.close()


@BOTH
@MOMENTS
def test_a_loop_that_is_closed_in_the_middle(waits, by, noise):
    async def main():
        source, write = Source(), Write(waits=waits)
        stream, task = await begin(by, write, source, keep_alive=15)
        task._log_destroy_pending = False  # this test's own
        return stream

    stream, heard = run_and_close(main)
    stream.close()
    assert result_of(stream).outcome == "disconnected"
    del stream
    gc.collect()
    assert not heard


@pytest.mark.parametrize("make", [lambda: Source("a"), lambda: ScriptedSource("a")])
@pytest.mark.parametrize("begun", [True, False])
async def test_a_stream_that_is_dropped(make, begun, noise):
    source = make()
    stream, write = TokenStream(source, "text"), Write()
    writing = stream.write_to(write)
    if begun:
        await stream.aprime()
        await turns(5)  # until the source waits
    writing.close()
    del stream, writing
    gc.collect()
    if not begun:
        return
    if isinstance(source, ScriptedSource):
        until(source.closed.is_set)
    else:
        await turns_until(lambda: source.log == ["cancelled", "closed"])


async def test_a_stream_that_only_its_reading_holds_is_read_to_its_end(noise):
    source, write = Source(), Write()
    task = asyncio.create_task(TokenStream(source, "text").write_to(write))
    for token in "abc":
        gc.collect()
        source.give(token)
        await turns(10)
    source.end()
    await task
    assert write.raw == data(*"abc") + DONE


async def test_a_reader_that_is_dropped_in_a_write_lets_go_of_its_source(noise):
    source, write = Source(), Write(waits=True)
    stream, task = await begin("pump", write, source)
    task.cancel()
    await settled(task)
    del stream, task
    gc.collect()
    await turns_until(lambda: source.log == ["cancelled", "closed"])


async def test_many_at_once_each_gets_its_own():
    async def one(name):
        source, write = Source(), Write(waits=True)
        task = asyncio.create_task(TokenStream(source, Json()).write_to(write))
        for n in range(20):
            source.give(f"{name}.{n}")
            await turns(n % 3)
            write.permits.release()
        source.end()
        while not task.done():
            write.permits.release()
            await turns(1)
        expected = b"".join(b'data: {"token":"%s.%d"}\n\n' % (name.encode(), n) for n in range(20))
        assert write.raw == expected + DONE
        assert write.most == 1

    before = threading.active_count()
    await asyncio.gather(*(one(f"s{n}") for n in range(20)))
    assert threading.active_count() == before


# A wire with no terminal.


class Bare(Encoder):
    def text(self, text):
        return f"{text};".encode()

    def done(self):
        return b""

    def error(self, message):
        return f"error: {message};".encode()


class NoTerminal(Text):
    def begin(self):
        return Bare()


@pytest.mark.parametrize("kind", [AsyncScriptedSource, ScriptedSource])
@pytest.mark.parametrize("tokens", [(), ("a",), ("a", WAIT)], ids=["none", "one", "late"])
async def test_a_wire_with_no_terminal_says_that_it_ends(tokens, kind):
    write, source, ends = Write(), kind(*tokens), []

    async def on_finish(result):
        ends.append((result.outcome, write.flags[-1]))

    task = asyncio.create_task(
        TokenStream(source, NoTerminal(), on_finish=on_finish).write_to(write)
    )
    if WAIT in tokens:
        await turns_until(lambda: write.raw == b"a;")
        source.release()
    await task
    assert write.raw == b"".join(b"%s;" % token.encode() for token in tokens if token is not WAIT)
    assert write.flags == [*[True] * (len(write.flags) - 1), False]
    assert ends == [("completed", False)]


async def test_a_response_that_came_too_late_is_its_only_end():
    async def answer():
        return SourceBroke()

    write = Write()
    host = Host(is_response=lambda value: isinstance(value, SourceBroke))
    await TokenStream(answer, NoTerminal(), host=host).write_to(write)
    assert (write.raw, write.flags) == (b"error: generation failed;", [False])


async def test_read_by_itself_it_has_no_empty_chunk():
    assert [chunk async for chunk in TokenStream(opens([]), NoTerminal())] == []
    assert list(TokenStream([], NoTerminal())) == []


# An end from outside.


@pytest.mark.parametrize("kind", [AsyncScriptedSource, ScriptedSource])
async def test_a_stream_is_ended_for_an_error_from_outside(kind):
    write, source, results = Write(), kind("a", WAIT, "b"), []
    stream = TokenStream(source, "text", on_finish=results.append)
    stream.fail(SourceBroke())  # not begun
    task = asyncio.create_task(stream.write_to(write))
    await turns_until(lambda: write.raw == data("a"))
    stream.fail(errors.ServerShutdown("now"))
    stream.fail(SourceBroke())  # it has ended
    source.release()
    await task
    await turns_until(lambda: results)
    assert write.raw == data("a") + b"event: error\ndata: the server is shutting down\n\n"
    assert results[0].outcome == "shutdown"
    assert source.closed.is_set()


@pytest.mark.parametrize("seconds", [0, None])
async def test_the_host_says_how_long_clean_up_is_waited_for(seconds):
    may_end, log = asyncio.Event(), []

    async def source():
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            log.append("begun")
            await may_end.wait()
            log.append("closed")

    stream = TokenStream(source, "text", host=Host(clean_up_seconds=seconds))
    assert await anext(stream) == data("a")
    closing = asyncio.create_task(stream.aclose())
    await turns_until(lambda: log)
    if seconds is None:
        await turns(20)
        assert not closing.done()
    else:
        await closing
    may_end.set()
    await closing
    await turns_until(lambda: log[-1] == "closed")  # it is never cut
