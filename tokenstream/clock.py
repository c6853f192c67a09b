"""Time, as a stream sees it, in one place so that a test can move it by hand."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Protocol

__all__ = ["SYSTEM", "Clock", "Timer", "current_clock"]


class Timer(Protocol):
    """A callback that will be made, unless it is cancelled."""

    def cancel(self) -> None:
        """Forget it."""


class Clock(Protocol):
    """Seconds, and the two ways to wait for them."""

    def now(self) -> float:
        """Return seconds since some moment."""
        ...

    def acquire(self, lock: threading.Lock, until: float | None) -> bool:
        """Block this thread for `lock`, no longer than `until`; return whether it was had."""
        ...

    def call_at(
        self, loop: asyncio.AbstractEventLoop, when: float, callback: Callable[[], object]
    ) -> Timer:
        """Make `callback` on `loop`, which is the running one, at `when`."""
        ...


class _SystemClock:
    now = staticmethod(time.monotonic)

    def acquire(self, lock: threading.Lock, until: float | None) -> bool:
        if until is None:
            return lock.acquire()
        # A lock takes no more than TIMEOUT_MAX, some hundred years.
        seconds = min(max(0.0, until - time.monotonic()), threading.TIMEOUT_MAX)
        return lock.acquire(timeout=seconds)

    def call_at(
        self, loop: asyncio.AbstractEventLoop, when: float, callback: Callable[[], object]
    ) -> Timer:
        return loop.call_later(max(0.0, when - time.monotonic()), callback)


SYSTEM: Clock = _SystemClock()

current_clock: ContextVar[Clock] = ContextVar("tokenstream_clock", default=SYSTEM)
"""The clock that a stream takes when it is made. `tokenstream.testing.FakeClock` sets it."""
