"""The two ways to wait for another side: a thread at a lock, a task at a future.

One side arms its gate, makes it known, looks again whether it must wait, and
waits; the other wakes it, from any thread. A gate may wake without need: who
waits looks again.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import Protocol, TypeVar

from .clock import SYSTEM, Clock, Timer
from .native import new_lock

__all__ = ["Alarm", "Gate", "Latch", "LoopGate", "OnLoop", "ThreadGate", "result_of"]

T = TypeVar("T")


class Gate(Protocol):
    """What the other side needs to know of one who waits."""

    def wake(self) -> None:
        """Let the one who waits go on; from any thread, at any time, more than once."""


class OnLoop(Gate, Protocol):
    """A gate whose one who waits is on a loop."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop."""
        ...


class ThreadGate:
    """A thread waits at a lock that only `wake` releases. Make it in that thread."""

    __slots__ = ("_clock", "_lock")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = new_lock()
        self._lock.acquire()

    def wait(self, until: float | None) -> None:
        """Block until woken, or until then."""
        self._clock.acquire(self._lock, until)

    def wake(self) -> None:
        """Let the thread go on."""
        try:
            self._lock.release()
        except RuntimeError:
            pass  # woken already, by another


def result_of(future: Future[T]) -> T:
    """Wait in a thread for what a loop makes; `future.result()` alone may fail under gevent."""
    if not future.done():
        gate = ThreadGate(SYSTEM)
        future.add_done_callback(lambda _: gate.wake())
        gate.wait(None)
    return future.result()


class LoopGate:
    """A task waits at a future. Make it where the loop runs; `arm` before it is known."""

    __slots__ = ("_future", "_thread", "loop")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._future: asyncio.Future[None] | None = None

    def arm(self) -> asyncio.Future[None]:
        """Return the future to wait for."""
        self._future = future = self.loop.create_future()
        return future

    def wake(self) -> None:
        """Let the task go on."""
        try:
            if threading.get_ident() == self._thread:
                self._open()
            else:
                self.loop.call_soon_threadsafe(self._open)
        except RuntimeError:
            pass  # the loop is closed, and with it whoever waited

    def _open(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)


class Latch:
    """Opens once, for any number of threads and tasks."""

    __slots__ = ("_gates", "is_open")

    def __init__(self) -> None:
        self.is_open = False
        self._gates: list[Gate] = []

    def open(self) -> None:
        """Wake all who wait."""
        self.is_open = True
        for gate in self._gates:
            gate.wake()

    def add(self, gate: Gate) -> None:
        """Wake `gate` when it opens, or now if it has."""
        self._gates.append(gate)
        if self.is_open:
            gate.wake()


class Alarm:
    """One lazy timer for one who waits at a loop's gate, again and again.

    It is set for each wait but re-armed only when it rings: then it looks at
    what it is set to by now. So a wait costs no timer.
    """

    __slots__ = ("_clock", "_gate", "_rings_at", "_timer", "_until")

    def __init__(self, clock: Clock, gate: OnLoop) -> None:
        self._clock = clock
        self._gate = gate
        self._until: float | None = None
        self._timer: Timer | None = None
        self._rings_at = 0.0

    def set(self, until: float | None) -> None:
        """Wake the gate at `until`, if it is still set to that then."""
        self._until = until
        if until is not None and (self._timer is None or until < self._rings_at):
            self._arm(until)

    def clear(self) -> None:
        """The wait is over; the timer may ring for nothing, once."""
        self._until = None

    def cancel(self) -> None:
        """There will be no more waits."""
        self._until = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = when
        self._timer = self._clock.call_at(self._gate.loop, when, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._until is None:
            return
        if self._clock.now() < self._until:
            self._arm(self._until)
        else:
            self._gate.wake()
