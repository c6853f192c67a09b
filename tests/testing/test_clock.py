"""Time moves by hand, and whoever waits for it is woken, in any order of the two."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tokenstream.clock import SYSTEM, current_clock
from tokenstream.testing import FakeClock


def test_it_stands_still():
    clock = FakeClock()
    before = clock.now()
    assert clock.now() == before
    clock.advance(15)
    assert clock.now() == before + 15


def test_it_is_current_inside_of_with():
    with FakeClock() as outer:
        with FakeClock() as inner:
            assert current_clock.get() is inner
        assert current_clock.get() is outer
    assert current_clock.get() is SYSTEM


def test_the_fixture(fake_clock):
    assert current_clock.get() is fake_clock


def test_a_lock_is_had_before_its_time():
    clock, lock = FakeClock(), threading.Lock()
    assert clock.acquire(lock, clock.now() + 5)
    assert lock.locked()
    lock.release()
    assert clock.acquire(lock, None)


def test_a_lock_whose_time_has_passed():
    clock, lock = FakeClock(), threading.Lock()
    lock.acquire()
    assert not clock.acquire(lock, clock.now())
    assert not clock.acquire(lock, clock.now() - 1)


def test_a_thread_is_woken_at_its_time_and_not_before():
    clock, lock, had = FakeClock(), threading.Lock(), []
    lock.acquire()
    until = clock.now() + 5
    thread = threading.Thread(target=lambda: had.append(clock.acquire(lock, until)), daemon=True)
    thread.start()
    clock.advance(4)
    assert thread.is_alive()
    clock.advance(1)
    thread.join(10)
    assert had == [False]


def test_a_thread_that_is_released_in_time():
    clock, lock, had = FakeClock(), threading.Lock(), []
    lock.acquire()
    until = clock.now() + 5
    thread = threading.Thread(target=lambda: had.append(clock.acquire(lock, until)), daemon=True)
    thread.start()
    lock.release()
    thread.join(10)
    assert had == [True]
    clock.advance(100)  # what it had set is forgotten
    assert lock.locked()


async def test_calls_are_made_in_the_order_of_their_times():
    clock, calls = FakeClock(), []
    loop = asyncio.get_running_loop()
    for seconds in (3, 1, 2, 9):
        clock.call_at(loop, clock.now() + seconds, lambda seconds=seconds: calls.append(seconds))
    clock.advance(3)
    await asyncio.sleep(0)
    assert calls == [1, 2, 3]
    clock.advance(5)
    await asyncio.sleep(0)
    assert calls == [1, 2, 3]
    clock.advance(1)
    await asyncio.sleep(0)
    assert calls == [1, 2, 3, 9]


@pytest.mark.parametrize("seconds", [5, 0])
async def test_a_call_is_cancelled(seconds):
    clock, calls = FakeClock(), []
    timer = clock.call_at(
        asyncio.get_running_loop(), clock.now() + seconds, lambda: calls.append(1)
    )
    timer.cancel()
    clock.advance(10)
    await asyncio.sleep(0)
    assert calls == []


async def test_a_call_in_the_past_is_made_at_once():
    clock, calls = FakeClock(), []
    clock.call_at(asyncio.get_running_loop(), clock.now() - 5, lambda: calls.append(1))
    assert calls == []
    await asyncio.sleep(0)
    assert calls == [1]


def test_a_loop_that_is_closed_is_harmless():
    clock = FakeClock()

    async def main():
        clock.call_at(asyncio.get_running_loop(), clock.now() + 5, list)

    asyncio.run(main())
    clock.advance(10)
