"""The real clock; the fake one is the testing kit's."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time

from tokenstream.clock import SYSTEM, current_clock
from tokenstream.testing import FakeClock


def test_it_is_monotonic_time():
    before = time.monotonic()
    assert before <= SYSTEM.now() <= time.monotonic()


def test_acquire_a_free_lock():
    lock = threading.Lock()
    assert SYSTEM.acquire(lock, None)
    lock.release()
    assert SYSTEM.acquire(lock, SYSTEM.now() + 100)
    lock.release()
    assert SYSTEM.acquire(lock, SYSTEM.now() - 100)


def test_acquire_gives_up_at_its_time():
    lock = threading.Lock()
    lock.acquire()
    assert not SYSTEM.acquire(lock, SYSTEM.now() + 0.01)
    assert not SYSTEM.acquire(lock, SYSTEM.now() - 1)


def test_a_time_beyond_any_lock_s_is_no_error():
    lock = threading.Lock()
    assert SYSTEM.acquire(lock, SYSTEM.now() + 1e18)


async def test_call_at():
    loop, rung = asyncio.get_running_loop(), asyncio.Event()
    SYSTEM.call_at(loop, SYSTEM.now() - 5, rung.set)
    await asyncio.wait_for(rung.wait(), 10)
    timer = SYSTEM.call_at(loop, SYSTEM.now(), rung.clear)
    timer.cancel()
    SYSTEM.call_at(loop, SYSTEM.now() + 0.001, done := asyncio.Event().set)
    assert done is not None
    await asyncio.sleep(0.005)
    assert rung.is_set()


def test_the_current_clock_is_a_context_s():
    assert current_clock.get() is SYSTEM
    with FakeClock() as clock:
        assert current_clock.get() is clock
        assert contextvars.copy_context().run(current_clock.get) is clock
    assert current_clock.get() is SYSTEM
