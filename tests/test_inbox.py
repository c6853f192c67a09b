"""The hand-over: bounded in bytes, joined, and nobody sleeps on what is there."""

from __future__ import annotations

import threading

import pytest

from tokenstream.clock import SYSTEM
from tokenstream.gates import ThreadGate
from tokenstream.inbox import Inbox


class Bell:
    """A gate that counts."""

    def __init__(self):
        self.rung = 0

    def wake(self):
        self.rung += 1


def test_what_is_ready_comes_joined_and_in_order():
    inbox = Inbox(100)
    assert inbox.is_empty()
    assert inbox.take() == b""
    for frame in (b"a", b"b", b"c"):
        inbox.put(frame)
    assert not inbox.is_empty()
    assert inbox.take() == b"abc"
    assert inbox.is_empty()


@pytest.mark.parametrize("before", [[], [b"a"]])
def test_all_that_is_taken_is_bytes_and_of_no_other_type(before):
    # wsgiref asserts it.
    inbox = Inbox(100)
    for frame in before:
        inbox.put(frame)
    inbox.end(b"z")
    assert type(inbox.take()) is bytes
    assert inbox.finished


@pytest.mark.parametrize(
    "sizes, room", [([4, 5], [True, True]), ([9, 1], [True, False]), ([20], [False])]
)
def test_room_is_in_bytes(sizes, room):
    inbox = Inbox(10)
    assert [inbox.put(b"x" * size) for size in sizes] == room
    assert inbox.has_room() is room[-1]
    inbox.take()
    assert inbox.has_room()


def test_no_frame_is_refused_for_its_size():
    inbox = Inbox(1)
    inbox.put(b"x" * 100)
    inbox.put(b"y" * 100)
    assert len(inbox.take()) == 200


@pytest.mark.parametrize("last", [b"end", b""])
@pytest.mark.parametrize("before", [[], [b"a"], [b"a", b"b"]])
def test_finished_when_the_last_was_taken_and_not_before(before, last):
    inbox = Inbox(100)
    for frame in before:
        inbox.put(frame)
    assert not inbox.finished
    inbox.end(last)
    assert not inbox.finished
    assert inbox.take() == b"".join(before) + last
    assert inbox.finished


@pytest.mark.parametrize("before", [[], [b"a"]])
def test_what_is_taken_is_bytes_and_no_subclass(before):
    inbox = Inbox(100)
    for frames in before:
        inbox.put(frames)
    inbox.end(b"last")
    assert type(inbox.take()) is bytes


def test_what_is_put_wakes_the_reader_once():
    inbox, bell = Inbox(100), Bell()
    inbox.put(b"a")  # nobody waits
    inbox.reader = bell
    inbox.put(b"b")
    inbox.put(b"c")
    assert bell.rung == 1
    assert inbox.reader is None


def test_an_empty_frame_wakes_the_reader_too():
    inbox, bell = Inbox(100), Bell()
    inbox.reader = bell
    inbox.put(b"")
    assert bell.rung == 1
    assert not inbox.is_empty()


def test_the_end_wakes_the_reader():
    inbox, bell = Inbox(100), Bell()
    inbox.reader = bell
    inbox.end(b"")
    assert bell.rung == 1


def test_what_is_taken_wakes_the_producer_once():
    inbox, bell = Inbox(1), Bell()
    inbox.put(b"aa")
    inbox.producer = bell
    inbox.take()
    inbox.take()
    assert bell.rung == 1
    assert inbox.producer is None


# A reader that lends what it writes with.


async def sink(frames):
    raise AssertionError("the inbox calls no sink")


def test_what_is_lent_is_there_until_it_is_withdrawn():
    inbox, bell = Inbox(100), Bell()
    assert inbox.sink is None
    inbox.lend(bell, sink)
    assert inbox.sink is sink
    inbox.withdraw()
    assert inbox.sink is None
    inbox.wake_reader()
    inbox.end(b"end")
    assert bell.rung == 0


def test_a_reader_that_lends_sleeps_on_until_the_last_frames():
    inbox, bell = Inbox(100), Bell()
    inbox.lend(bell, sink)
    inbox.put(b"a")
    inbox.put(b"")
    assert bell.rung == 0
    assert inbox.sink is sink
    assert inbox.take() == b"a"
    inbox.end(b"end")
    assert bell.rung == 1
    assert inbox.sink is None  # nothing is written past what it reads now
    assert inbox.take() == b"end"
    assert inbox.finished


def test_a_reader_that_is_woken_has_its_own_again():
    inbox, bell = Inbox(100), Bell()
    inbox.lend(bell, sink)
    inbox.wake_reader()
    inbox.wake_reader()
    assert bell.rung == 1
    assert inbox.sink is None


@pytest.mark.parametrize("last", [False, True])
def test_a_reader_that_waits_is_woken_once_and_known_no_more(last):
    inbox, bell = Inbox(100), Bell()
    inbox.reader = bell
    assert inbox.sink is None
    inbox.end(b"a") if last else inbox.put(b"a")
    inbox.put(b"b")
    inbox.wake_reader()
    assert bell.rung == 1
    inbox.reader = bell
    inbox.withdraw()
    inbox.put(b"c")
    assert bell.rung == 1


def test_room_is_what_may_still_be_put():
    inbox = Inbox(10)
    assert inbox.room() == 10
    inbox.put(b"xxxx")
    assert inbox.room() == 6
    inbox.put(b"x" * 6)
    assert (inbox.room(), inbox.has_room()) == (0, False)
    inbox.put(b"xx")  # no frame is refused
    assert inbox.room() == -2
    inbox.take()
    assert (inbox.room(), inbox.has_room()) == (10, True)


def test_what_is_taken_by_the_sink_makes_room_too():
    inbox, bell = Inbox(2), Bell()
    inbox.put(b"aa")
    inbox.producer = bell
    inbox.lend(Bell(), sink)
    assert inbox.take() == b"aa"
    assert bell.rung == 1
    assert inbox.sink is sink


def test_two_threads_lose_nothing_and_nobody_sleeps_for_ever():
    inbox, count = Inbox(64), 20_000

    def produce():
        gate = ThreadGate(SYSTEM)
        for n in range(count):
            if inbox.put(b"%d\n" % n):
                continue
            while not inbox.has_room():
                inbox.producer = gate
                if not inbox.has_room():
                    gate.wait(None)
                inbox.producer = None
        inbox.end(b"end")

    producer = threading.Thread(target=produce, daemon=True)
    producer.start()
    gate, read, largest = ThreadGate(SYSTEM), b"", 0
    while not inbox.finished:
        taken = inbox.take()
        largest = max(largest, len(taken))
        read += taken
        if not taken and not inbox.finished:
            inbox.reader = gate
            if inbox.is_empty():
                gate.wait(None)
            inbox.reader = None
    producer.join(10)
    assert read == b"".join(b"%d\n" % n for n in range(count)) + b"end"
    assert largest < 64 + 10 + 10
