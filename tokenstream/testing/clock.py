"""A clock that a test moves by hand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import Token
from dataclasses import dataclass
from types import TracebackType

from tokenstream.clock import Clock, Timer, current_clock

__all__ = ["FakeClock"]


@dataclass(eq=False)
class _Alarm:
    when: float
    ring: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeClock:
    """Time for the streams made inside of `with FakeClock() as clock:`; it stands still by itself.

    `clock.advance(15)` lets 15 s pass at once: what is due by then happens.
    The clock is a context variable's, so it reaches streams that a view makes
    in this thread or task, and their sources.
    """

    def __init__(self) -> None:
        self._now = 1000.0
        self._lock = threading.Lock()
        self._alarms: list[_Alarm] = []
        self._token: Token[Clock] | None = None

    def __enter__(self) -> FakeClock:
        self._token = current_clock.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._token is not None:
            current_clock.reset(self._token)

    def now(self) -> float:
        """Return the seconds on the clock."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass, and wake whoever waited for a moment in it."""
        with self._lock:
            self._now += seconds
            due = [alarm for alarm in self._alarms if alarm.when <= self._now]
            self._alarms = [alarm for alarm in self._alarms if alarm.when > self._now]
        for alarm in sorted(due, key=lambda alarm: alarm.when):
            if not alarm.cancelled:
                alarm.ring()

    def acquire(self, lock: threading.Lock, until: float | None) -> bool:
        """Block for `lock`, until the clock is moved to `until`."""
        if until is None:
            return lock.acquire()
        timed_out = threading.Event()

        def ring() -> None:
            timed_out.set()
            try:
                lock.release()
            except RuntimeError:
                pass  # had already

        alarm = self._add(until, ring)
        if alarm is None:
            return lock.acquire(blocking=False)
        lock.acquire()
        alarm.cancel()
        return not timed_out.is_set()

    def call_at(
        self, loop: asyncio.AbstractEventLoop, when: float, callback: Callable[[], object]
    ) -> Timer:
        """Make `callback` on `loop` when the clock is moved to `when`."""

        def ring() -> None:
            try:
                loop.call_soon_threadsafe(callback)
            except RuntimeError:
                pass  # the loop is closed

        alarm = self._add(when, ring)
        return loop.call_soon(callback) if alarm is None else alarm

    def _add(self, when: float, ring: Callable[[], None]) -> _Alarm | None:
        with self._lock:
            if when <= self._now:
                return None
            alarm = _Alarm(when, ring)
            self._alarms.append(alarm)
            return alarm
