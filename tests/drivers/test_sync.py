"""A sync source has one thread, or the reader's own; `close` never meets `next`."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tokenstream import TokenStream
from tokenstream.host import Host
from tokenstream.testing import WAIT, FakeClock, ScriptedSource, forever

from ..pairings import aread_all, read_all, result_of

DONE = b"data: [DONE]\n\n"


def test_a_thread_of_its_own():
    source = ScriptedSource("a", "b")
    read_all(TokenStream(source))
    assert source.threads == {"tokenstream-pump"}


@pytest.mark.parametrize("how", ["to the end", "left", "failed"])
def test_the_readers_own_thread_where_no_clock_is_needed(how):
    before = set(threading.enumerate())
    source = ScriptedSource("a", *([ValueError()] if how == "failed" else ["b"]))
    done = []
    stream = TokenStream(
        source, keep_alive=None, on_finish=lambda _: done.append(threading.current_thread())
    )
    next(stream)
    stream.close() if how == "left" else read_all(stream)
    assert source.threads == {threading.current_thread().name}
    assert done == [threading.current_thread()]
    assert set(threading.enumerate()) == before


def test_the_host_may_forbid_the_readers_own_thread():
    source = ScriptedSource("a")
    read_all(TokenStream(source, keep_alive=None, host=Host(inline=False)))
    assert source.threads == {"tokenstream-pump"}


def test_inline_pulls_a_part_when_it_is_read_and_not_before():
    source = ScriptedSource(script=forever())
    stream = TokenStream(source, keep_alive=None)
    for count in range(1, 10):
        next(stream)
        assert source.yielded == count
    stream.close()
    assert source.closed.is_set()


def test_inline_many_parts_that_send_nothing_are_no_recursion():
    stream = TokenStream(["", *[""] * 5000, "a"], "text", keep_alive=None)
    assert read_all(stream) == b"data: a\n\n" + DONE


def test_inline_a_source_that_closes_its_own_stream():
    box = []

    def source():
        yield "a"
        box[0].close()
        yield "b"

    box.append(TokenStream(source(), keep_alive=None))
    assert next(box[0])
    assert list(box[0]) == []
    assert result_of(box[0]).outcome == "disconnected"


class Strict:
    """Says so when two threads are inside at once, as a generator would."""

    def __init__(self):
        self.inside = threading.Lock()
        self.log = []
        self.count = 0
        self.closed = threading.Event()

    def __iter__(self):
        return self

    def __next__(self):
        if not self.inside.acquire(blocking=False):
            self.log.append("two at once")
        self.count += 1
        self.inside.release()
        return "x"

    def close(self):
        if not self.inside.acquire(blocking=False):
            self.log.append("close during next")
        self.log.append(threading.current_thread().name)
        self.closed.set()


@pytest.mark.parametrize("reads", range(1, 8))
def test_close_never_meets_next(reads):
    source = Strict()
    stream = TokenStream(source, high_water=100)
    for _ in range(reads):
        next(stream)
    stream.close()
    assert source.closed.wait(10)
    assert source.log == ["tokenstream-pump"]


@pytest.mark.parametrize("count", [1, 3, 4, 5, 400])
def test_every_part_arrives_in_order(count):
    stream = TokenStream(ScriptedSource(*map(str, range(count))), "text", high_water=30)
    assert read_all(stream) == b"".join(b"data: %d\n\n" % n for n in range(count)) + DONE


def test_a_factory_may_block_and_the_loop_goes_on():
    go = threading.Event()

    def factory():
        assert go.wait(30)
        return ["a"]

    async def main():
        stream = TokenStream(factory, "text")
        reading = asyncio.create_task(aread_all(stream))
        for _ in range(50):
            await asyncio.sleep(0)
        assert not reading.done()
        go.set()
        return await reading

    assert asyncio.run(main()) == b"data: a\n\n" + DONE


class CountingClock(FakeClock):
    """Counts how often someone looks at it."""

    looks = 0

    def now(self):
        self.looks += 1
        return super().now()


def test_handed_over_to_a_loop_it_costs_nothing_to_wait():
    class Waits:
        async def __aiter__(self):
            yield "a"
            before = clock.looks
            await asyncio.sleep(0.05)  # long enough for thousands of looks
            yield "b"
            seen.append(clock.looks - before)

    # In the reader's thread at first: that it is async shows when it is called.
    seen = []
    with CountingClock() as clock:
        stream = TokenStream(lambda: Waits(), "text", keep_alive=None)
        assert read_all(stream) == b"data: a\n\ndata: b\n\n" + DONE
    assert seen[0] < 50


def test_it_waits_for_a_source_that_is_closed_slowly():
    log = []
    go = threading.Event()

    def source():
        try:
            yield "a"
        finally:
            assert go.wait(30)
            log.append("closed")

    stream = TokenStream(source(), on_finish=lambda _: log.append("on_finish"))
    read = []
    reader = threading.Thread(target=lambda: (read.extend(stream), log.append("over")))
    reader.start()
    while not b"".join(read).endswith(DONE):
        reader.join(0.001)
        go.set()
    reader.join(10)
    assert log == ["closed", "on_finish", "over"]


def test_release_of_a_wait():
    source = ScriptedSource(WAIT, "a")
    stream = TokenStream(source, "text")
    source.release()
    assert read_all(stream) == b"data: a\n\n" + DONE
