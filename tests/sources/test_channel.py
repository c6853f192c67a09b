"""A channel loses nothing and hangs nobody, whatever side runs where."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref

import pytest

from tokenstream import TokenStream
from tokenstream.errors import (
    AlreadyRead,
    ChannelClosed,
    ChannelFull,
    InvalidOption,
    ReaderLeft,
    SourceCancelled,
)
from tokenstream.parts import Interruptible
from tokenstream.sources import channel

from ..cases import SourceBroke
from ..pairings import aread_all, read_all, result_of, until


def in_thread(function, *args):
    """Run it in a thread; return a function that waits for its result, or raises its error."""
    box = []

    def run():
        try:
            box.append((function(*args), None))
        except BaseException as error:
            box.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def result():
        thread.join(20)
        assert box, "it hangs"
        value, error = box[0]
        if error is not None:
            raise error
        return value

    return result


async def alist(source):
    return [part async for part in source]


# Any pairing.


def send_all(sender, parts):
    with sender:
        for part in parts:
            sender.send(part)


async def asend_all(sender, parts):
    with sender:
        for part in parts:
            await sender.asend(part)


def reads_in_thread(source):
    return in_thread(list, source)


def reads_in_loop(source):
    return in_thread(lambda: asyncio.run(alist(source)))


SENDS = {
    "a thread": lambda sender, parts: in_thread(send_all, sender, parts),
    "a loop": lambda sender, parts: in_thread(lambda: asyncio.run(asend_all(sender, parts))),
}
READS = {"a thread": reads_in_thread, "another loop": reads_in_loop}


@pytest.mark.parametrize("capacity", [1, 2, 1024])
@pytest.mark.parametrize("sends", SENDS.values(), ids=SENDS)
@pytest.mark.parametrize("reads", READS.values(), ids=READS)
def test_every_pairing_of_threads_and_loops(sends, reads, capacity):
    sender, source = channel(capacity)
    parts = [str(n) for n in range(500)]
    read, sent = reads(source), sends(sender, parts)
    sent()
    assert read() == parts


@pytest.mark.parametrize("capacity", [1, 1024])
async def test_both_sides_in_one_loop(capacity):
    sender, source = channel(capacity)
    parts = [str(n) for n in range(500)]
    sending = asyncio.create_task(asend_all(sender, parts))
    assert await alist(source) == parts
    await sending


def test_both_sides_in_one_thread():
    sender, source = channel(3)
    send_all(sender, "abc")
    assert list(source) == ["a", "b", "c"]
    assert list(source) == []


@pytest.mark.parametrize("capacity", [1, 7])
def test_several_senders_lose_nothing(capacity):
    sender, source = channel(capacity)

    def send(name):
        for n in range(200):
            sender.send((name, n))

    async def asend():
        for n in range(200):
            await sender.asend(("loop", n))

    read = in_thread(list, source)
    waits = [in_thread(send, name) for name in "abc"] + [in_thread(lambda: asyncio.run(asend()))]
    for wait in waits:
        wait()
    sender.close()
    got = read()
    assert len(got) == 800
    for name in ("a", "b", "c", "loop"):
        assert [n for who, n in got if who == name] == list(range(200))  # each in its order


# Full.


def test_full():
    sender, source = channel(2)
    sender.send_nowait("a")
    sender.send("b")
    with pytest.raises(ChannelFull, match="the channel is full: the reader is behind"):
        sender.send_nowait("c")
    assert next(source) == "a"
    sender.send_nowait("c")
    sender.close()
    assert list(source) == ["b", "c"]


def test_send_blocks_while_full():
    sender, source = channel(1)
    sender.send("a")
    begun, sent = threading.Event(), threading.Event()

    def send():
        begun.set()
        sender.send("b")
        sent.set()

    wait = in_thread(send)
    assert begun.wait(10)
    assert not sent.is_set()
    assert next(source) == "a"
    wait()
    assert next(source) == "b"


def test_send_times_out(fake_clock):
    sender, source = channel(1)
    sender.send("a")
    result = []

    def send():
        with pytest.raises(ChannelFull, match="is full, and was for 5 seconds"):
            sender.send("lost", timeout=5)
        result.append("raised")

    wait = in_thread(contextvars.copy_context().run, send)
    while not result:
        fake_clock.advance(1)
    wait()
    assert fake_clock.now() >= 1005
    assert next(source) == "a"
    sender.send("b", timeout=5)
    sender.close()
    assert list(source) == ["b"]  # what was refused never arrives


async def test_send_on_a_loop_must_not_block_it():
    sender, source = channel(1)
    sender.send("a")  # there is room: nothing blocks
    with pytest.raises(ChannelFull, match=r"on a loop, `await sender\.asend\(part\)`"):
        sender.send("b")
    assert await anext(source) == "a"


async def test_a_send_that_is_cancelled_sends_nothing():
    sender, source = channel(1)
    await sender.asend("a")
    sending = asyncio.create_task(sender.asend("b"))
    await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    sender.close()
    assert await alist(source) == ["a"]


async def test_a_read_that_is_cancelled_loses_nothing():
    sender, source = channel()
    reading = asyncio.create_task(anext(source))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    sender.send("a")
    assert await anext(source) == "a"


@pytest.mark.parametrize("capacity", [0, -1, 1.5, None, "9"])
def test_a_capacity_that_means_nothing(capacity):
    with pytest.raises(InvalidOption, match=r"capacity=.*give a number of parts above 0"):
        channel(capacity)


# Ends.


def test_what_was_sent_before_close_is_read():
    sender, source = channel()
    send_all(sender, "ab")
    assert list(source) == ["a", "b"]


def test_a_failure_comes_after_what_was_sent_and_once():
    sender, source = channel()
    error = SourceBroke("x")
    with pytest.raises(SourceBroke), sender:
        sender.send("a")
        raise error
    assert next(source) == "a"
    with pytest.raises(SourceBroke) as raised:
        next(source)
    assert raised.value is error
    assert list(source) == []


@pytest.mark.parametrize(
    "error", [StopIteration(), StopAsyncIteration(), asyncio.CancelledError(), KeyboardInterrupt()],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_what_would_look_like_an_end_is_a_failure(error):
    for read in (list, lambda source: asyncio.run(alist(source))):
        sender, source = channel()
        sender.fail(error)
        with pytest.raises(SourceCancelled, match=f"was ended by {type(error).__name__}") as raised:
            read(source)
        assert raised.value.__cause__ is error


def test_the_first_end_counts():
    sender, source = channel()
    sender.close()
    sender.fail(SourceBroke())
    sender.close()
    assert list(source) == []


@pytest.mark.parametrize("ended", ["read", "unread"])
def test_no_part_after_the_end(ended):
    sender, source = channel()
    sender.close()
    if ended == "read":
        assert list(source) == []
    for send in (sender.send, sender.send_nowait, lambda part: asyncio.run(sender.asend(part))):
        with pytest.raises(ChannelClosed, match="send before close"):
            send("late")


def test_a_sender_that_waits_hears_of_the_end():
    sender, _source = channel(1)
    sender.send("a")
    waits = [
        in_thread(sender.send, "b"),
        in_thread(lambda: asyncio.run(sender.asend("c"))),
    ]
    sender.close()
    for wait in waits:
        with pytest.raises(ChannelClosed):
            wait()


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_sender_that_is_dropped_ends_the_source(read):
    sender, source = channel()
    sender.send("a")
    reading = read(source)
    del sender
    gc.collect()
    with pytest.raises(SourceCancelled, match=r"dropped without close\(\) or fail\(\)"):
        reading()


# The reader leaves.

LEAVE = {
    "interrupt": lambda source: source.interrupt(),
    "close": lambda source: source.close(),
    "aclose": lambda source: asyncio.run(source.aclose()),
}


@pytest.mark.parametrize("leave", LEAVE.values(), ids=LEAVE)
def test_a_send_after_the_reader_left_raises(leave):
    sender, source = channel(1)
    sender.send("a")
    waits = [
        in_thread(sender.send, "b"),
        in_thread(lambda: asyncio.run(sender.asend("c"))),
    ]
    leave(source)
    for wait in waits:
        with pytest.raises(ReaderLeft, match="has gone: stop sending"):
            wait()
    with pytest.raises(ReaderLeft):
        sender.send_nowait("d")
    assert list(source) == []
    sender.close()  # no harm
    sender.fail(SourceBroke())


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_read_that_waits_is_interrupted(read):
    sender, source = channel()
    sender.send("a")
    reading = read(source)
    until(lambda: not source._state._parts)
    source.interrupt()
    source.interrupt()
    assert reading() == ["a"]


def test_a_reader_that_is_dropped_has_left():
    sender, source = channel(1)
    sender.send("a")
    wait = in_thread(sender.send, "b")
    del source
    gc.collect()
    with pytest.raises(ReaderLeft):
        wait()


def test_neither_side_holds_the_other():
    sender, source = channel()
    refs = weakref.ref(sender), weakref.ref(source)
    del sender
    assert refs[0]() is None
    del source
    assert refs[1]() is None


async def test_two_readers_at_once_are_told():
    sender, source = channel()
    first = asyncio.create_task(anext(source))
    await asyncio.sleep(0)
    with pytest.raises(AlreadyRead, match="a channel has one reader"):
        await anext(source)
    sender.send("a")
    assert await first == "a"


# In a stream.


@pytest.mark.parametrize("reads_async", [False, True], ids=["for", "async for"])
def test_a_stream_of_a_channel(reads_async):
    sender, source = channel(4)
    assert isinstance(source, Interruptible)
    wait = in_thread(send_all, sender, [str(n) for n in range(50)])
    stream = TokenStream(source, "text")
    read = asyncio.run(aread_all(stream)) if reads_async else read_all(stream)
    wait()
    assert read == b"".join(b"data: %d\n\n" % n for n in range(50)) + b"data: [DONE]\n\n"


@pytest.mark.parametrize("reads_async", [False, True], ids=["for", "async for"])
@pytest.mark.parametrize("keep_alive", [15, None])
def test_a_stream_that_fails(reads_async, keep_alive):
    sender, source = channel()
    with pytest.raises(SourceBroke), sender:
        sender.send("a")
        raise SourceBroke("x")
    stream = TokenStream(source, "text", keep_alive=keep_alive)
    read = asyncio.run(aread_all(stream)) if reads_async else read_all(stream)
    assert read == b"data: a\n\nevent: error\ndata: generation failed\n\n"
    assert isinstance(result_of(stream).error, SourceBroke)


@pytest.mark.parametrize("how", ["close", "aclose", "drop"])
def test_leaving_a_stream_frees_its_senders_at_once(how):
    sender, source = channel(1)
    streams = [TokenStream(source, "text", high_water=50)]
    del source

    def send_for_ever():
        while True:
            sender.send("x")

    async def main():
        await anext(streams[0])
        await streams[0].aclose()

    wait = in_thread(send_for_ever)
    if how == "aclose":
        asyncio.run(main())
    else:
        next(streams[0])
    if how == "close":
        streams[0].close()
    streams.clear()
    gc.collect()
    with pytest.raises(ReaderLeft):
        wait()
    pump_is_gone()


def pump_is_gone():
    for thread in threading.enumerate():
        if thread.name == "tokenstream-pump":
            thread.join(10)
            assert not thread.is_alive()


def test_a_silent_channel_is_left_at_once():
    sender, source = channel()
    stream = TokenStream(source, "text")
    sender.send("a")
    next(stream)
    stream.close()
    pump_is_gone()  # its next() was interrupted, not waited for
    with pytest.raises(ReaderLeft):
        sender.send("b")
