"""A sync source has one thread, or the reader's own; `close` never meets `next`."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tokenstream import Text, TokenStream
from tokenstream.host import Host
from tokenstream.testing import WAIT, FakeClock, ScriptedSource, forever
from tokenstream.wires.base import Encoder

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


@pytest.mark.parametrize("inline", [True, False])
def test_the_host_hears_of_the_first_part_on_the_source_s_thread(inline):
    heard = []
    source = ScriptedSource("a", "b")
    host = Host(
        inline=inline,
        on_first_part=lambda: heard.append((source.yielded, {threading.current_thread().name})),
    )
    read_all(TokenStream(source, keep_alive=None, host=host))
    assert heard == [(1, source.threads)]


@pytest.mark.parametrize("source", [(), (ValueError(),)])
def test_the_host_hears_of_no_first_part_where_there_is_none(source):
    heard = []
    host = Host(on_first_part=lambda: heard.append("part"))
    read_all(TokenStream(ScriptedSource(*source), host=host))
    assert heard == []


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


def test_inline_what_another_thread_asks_for_is_left_to_the_reader():
    source = ScriptedSource("a", "b")
    stream = TokenStream(source, keep_alive=None)
    next(stream)
    thread = threading.Thread(target=stream._reader.pump.end_soon)
    thread.start()
    thread.join(10)
    assert not source.closed.is_set()
    assert b"shutting down" in b"".join(stream)
    assert source.threads == {threading.current_thread().name}
    assert source.yielded == 1


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


# What a thread gathers while its reader is busy.


class Gathering:
    """Gives a token, two more when that was read, and blocks."""

    def __init__(self):
        self.first_read = threading.Event()
        self.gathered = threading.Event()
        self.go = threading.Event()

    def gather(self):
        """Have the two given, while nobody waits for them."""
        self.first_read.set()
        return self.gathered.wait(20)

    def __iter__(self):
        yield "a"
        assert self.first_read.wait(20)
        yield "b"
        yield "c"
        self.gathered.set()
        assert self.go.wait(20)


def test_what_was_gathered_is_read_though_the_source_blocks():
    source = Gathering()
    stream = TokenStream(source, "text")
    read = next(stream)
    assert source.gather()
    while read.count(b"data") < 3:
        read += next(stream)
    assert read == b"data: a\n\ndata: b\n\ndata: c\n\n"
    source.go.set()
    assert b"".join(stream) == b"data: [DONE]\n\n"


async def test_so_it_is_by_a_task():
    source = Gathering()
    stream = TokenStream(source, "text")
    read = await anext(stream)
    assert await asyncio.to_thread(source.gather)
    while read.count(b"data") < 3:
        read += await anext(stream)
    assert read == b"data: a\n\ndata: b\n\ndata: c\n\n"
    source.go.set()
    await stream.aclose()


def test_what_was_gathered_counts_though_the_reader_leaves():
    source = Gathering()
    stream = TokenStream(source, "text")
    next(stream)
    assert source.gather()
    source.go.set()
    stream.close()
    assert stream.result.text == "abc"
    assert stream.result.parts == 3


class _Second(Encoder):
    """Raises on every token but the first."""

    def text(self, text):
        if text != "a":
            raise RuntimeError("secret")
        return b"data: a\n\n"

    def error(self, message):
        return b"event: error\n\n"


class FailsAtTheSecond(Text):
    def begin(self):
        return _Second()


def test_a_wire_that_raises_for_what_was_gathered_ends_in_its_error():
    source = Gathering()
    stream = TokenStream(source, FailsAtTheSecond())
    assert next(stream) == b"data: a\n\n"
    assert source.gather()
    assert next(stream) == b"event: error\n\n"
    source.go.set()
    assert list(stream) == []
    assert stream.result.outcome == "failed"


def test_a_wire_that_raises_for_what_nobody_reads_is_logged(caplog):
    source = Gathering()
    stream = TokenStream(source, FailsAtTheSecond())
    next(stream)
    assert source.gather()
    source.go.set()
    stream.close()
    assert stream.result.outcome == "disconnected"
    assert "framing what nobody reads raised" in caplog.text
