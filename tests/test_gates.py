"""Two ways to wait, and a timer that is armed once for many waits."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tokenstream.clock import SYSTEM
from tokenstream.gates import Alarm, Latch, LoopGate, ThreadGate
from tokenstream.testing import FakeClock

# A thread's.


def test_a_wake_before_the_wait_is_not_lost():
    gate = ThreadGate(SYSTEM)
    gate.wake()
    gate.wake()
    gate.wait(None)  # hangs if it was


def test_a_wake_from_another_thread():
    gate, gone = ThreadGate(SYSTEM), threading.Event()
    thread = threading.Thread(target=lambda: (gate.wait(None), gone.set()), daemon=True)
    thread.start()
    assert not gone.is_set()
    gate.wake()
    assert gone.wait(10)


def test_two_wakes_are_one():
    clock = FakeClock()
    gate = ThreadGate(clock)
    gate.wake()
    gate.wake()
    gate.wait(None)
    gate.wait(clock.now())  # the second returns for its time, not for a wake
    done = threading.Event()
    threading.Thread(target=lambda: (gate.wait(None), done.set()), daemon=True).start()
    assert not done.wait(0.02)
    gate.wake()
    assert done.wait(10)


def test_a_wait_is_over_at_its_time():
    clock, gone = FakeClock(), threading.Event()
    gate = ThreadGate(clock)
    thread = threading.Thread(target=lambda: (gate.wait(clock.now() + 5), gone.set()), daemon=True)
    thread.start()
    while not gone.is_set():
        clock.advance(1)
    assert clock.now() >= 1005


def test_a_wait_for_a_time_that_has_passed_does_not_wait():
    ThreadGate(SYSTEM).wait(SYSTEM.now() - 1)


# A loop's.


async def test_a_task_is_woken_in_its_own_thread():
    gate = LoopGate()
    waiter = gate.arm()
    gate.wake()
    gate.wake()
    assert waiter.done()
    await waiter


async def test_a_task_is_woken_from_another_thread():
    gate = LoopGate()
    waiter = gate.arm()
    threading.Thread(target=gate.wake).start()
    await asyncio.wait_for(waiter, 10)


async def test_a_wake_with_nobody_waiting_is_harmless():
    gate = LoopGate()
    gate.wake()
    waiter = gate.arm()
    assert not waiter.done()
    waiter.cancel()
    gate.wake()
    gate.wake()


def test_a_loop_that_is_closed_is_harmless():
    gates = []

    async def main():
        gate = LoopGate()
        gate.arm().cancel()
        gates.append(gate)

    asyncio.run(main())
    thread = threading.Thread(target=gates[0].wake)
    thread.start()
    thread.join(10)
    gates[0].wake()


def test_a_loop_that_is_closed_under_who_waits_is_harmless_in_its_own_thread():
    gates = []

    async def waits():
        gates.append(gate := LoopGate())
        await gate.arm()

    async def main():
        task = asyncio.ensure_future(waits())
        task._log_destroy_pending = False  # of asyncio's own noise
        await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
    gates[0].wake()
    gates[0].wake()


# What opens once.


class Rung:
    def __init__(self):
        self.rung = 0

    def wake(self):
        self.rung += 1


def test_a_latch_wakes_all_who_wait_when_it_opens():
    latch, bells = Latch(), [Rung(), Rung()]
    for bell in bells:
        latch.add(bell)
    assert not latch.is_open
    assert [bell.rung for bell in bells] == [0, 0]
    latch.open()
    assert latch.is_open
    assert [bell.rung for bell in bells] == [1, 1]


def test_a_latch_that_is_open_lets_who_comes_on():
    latch, bell = Latch(), Rung()
    latch.open()
    latch.add(bell)
    assert bell.rung == 1


def test_nobody_sleeps_at_a_latch_that_opens_as_they_come():
    for _ in range(300):
        latch = Latch()
        opener = threading.Thread(target=latch.open)
        opener.start()
        gate = ThreadGate(SYSTEM)
        latch.add(gate)
        gate.wait(None)  # hangs if its wake was lost
        assert latch.is_open
        opener.join(10)


async def test_threads_and_tasks_wait_at_one_latch():
    latch, gone = Latch(), threading.Event()
    gate, other = LoopGate(), ThreadGate(SYSTEM)
    waiter = gate.arm()
    latch.add(gate)
    latch.add(other)
    threading.Thread(target=lambda: (other.wait(None), gone.set()), daemon=True).start()
    threading.Thread(target=latch.open).start()
    await asyncio.wait_for(waiter, 10)
    assert await asyncio.to_thread(gone.wait, 10)


# The alarm.


class Counting(FakeClock):
    def __init__(self):
        super().__init__()
        self.timers = 0

    def call_at(self, loop, when, callback):
        self.timers += 1
        return super().call_at(loop, when, callback)


class Bell:
    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.rung = 0

    def wake(self):
        self.rung += 1


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_thousand_waits_cost_one_timer():
    clock, bell = Counting(), Bell()
    alarm = Alarm(clock, bell)
    for _ in range(1000):
        alarm.set(clock.now() + 15)
        alarm.clear()
        clock.advance(0.001)
    assert clock.timers == 1


async def test_it_rings_at_what_it_is_set_to_by_then():
    clock, bell = Counting(), Bell()
    alarm = Alarm(clock, bell)
    alarm.set(clock.now() + 15)
    clock.advance(10)
    alarm.set(clock.now() + 15)  # later: the timer is left alone
    assert clock.timers == 1
    clock.advance(5)
    await turns()
    assert bell.rung == 0
    assert clock.timers == 2
    clock.advance(10)
    await turns()
    assert bell.rung == 1


async def test_an_earlier_time_is_kept():
    clock, bell = Counting(), Bell()
    alarm = Alarm(clock, bell)
    alarm.set(clock.now() + 15)
    alarm.set(clock.now() + 5)
    clock.advance(5)
    await turns()
    assert bell.rung == 1


@pytest.mark.parametrize("off", ["clear", "cancel", "set"])
async def test_what_is_off_does_not_ring(off):
    clock, bell = Counting(), Bell()
    alarm = Alarm(clock, bell)
    alarm.set(clock.now() + 15)
    alarm.set(None) if off == "set" else getattr(alarm, off)()
    clock.advance(100)
    await turns()
    assert bell.rung == 0


async def test_it_can_be_set_after_it_rang():
    clock, bell = Counting(), Bell()
    alarm = Alarm(clock, bell)
    for expected in (1, 2, 3):
        alarm.set(clock.now() + 15)
        clock.advance(15)
        await turns()
        assert bell.rung == expected
    alarm.cancel()
    alarm.cancel()
