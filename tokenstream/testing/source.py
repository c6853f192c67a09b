"""Sources that follow a script, and tell what was done with them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final

from tokenstream.clock import Clock, current_clock

__all__ = ["WAIT", "AsyncScriptedSource", "Pause", "ScriptedSource", "forever", "pause"]

WATCHDOG_SECONDS = 30.0


@dataclass(frozen=True)
class Pause:
    """A step that takes time: on the real clock, or on the fake one that is current."""

    seconds: float


def pause(seconds: float) -> Pause:
    """Return a step that takes `seconds`."""
    return Pause(seconds)


class _Wait:
    def __repr__(self) -> str:
        return "WAIT"


WAIT: Final = _Wait()
"""A step that takes until `release()` is called, once for each."""


def forever(token: str = "x") -> Iterator[str]:
    """Yield `token` without an end: `ScriptedSource(script=forever())`."""
    while True:
        yield token


class _Script:
    """The steps, and what was seen.

    started, closed: events; set when the first part is asked for, and when the
        source was closed or came to its end.
    yielded: how many parts were yielded.
    threads: the names of the threads it ran on.
    """

    def __init__(self, *steps: object, script: Iterator[object] | None = None) -> None:
        self._steps = iter(steps) if script is None else script
        self._permits = threading.Semaphore(0)
        self._wakers: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self.started = threading.Event()
        self.closed = threading.Event()
        self.yielded: int = 0
        self.threads: set[str] = set()

    def release(self, count: int = 1) -> None:
        """Let the source past `count` steps that are `WAIT`."""
        self._permits.release(count)
        for loop, event in self._wakers:
            loop.call_soon_threadsafe(event.set)

    def _begin(self) -> Clock:
        self.started.set()
        self._note()
        return current_clock.get()

    def _note(self) -> None:
        self.threads.add(threading.current_thread().name)

    def _end(self) -> None:
        self._note()
        self.closed.set()


class ScriptedSource(_Script):
    """A sync source. Steps are parts, `pause(seconds)`, `WAIT`, and exceptions, which are raised.

    `script=` takes an iterator of steps instead, which may be endless.
    """

    def __iter__(self) -> Iterator[object]:
        clock = self._begin()
        try:
            for step in self._steps:
                match step:
                    case Pause(seconds):
                        _sleep(clock, seconds)
                    case _Wait():
                        _had(self._permits.acquire(timeout=WATCHDOG_SECONDS))
                    case BaseException():
                        raise step
                    case _:
                        self._note()
                        self.yielded += 1
                        yield step
        finally:
            self._end()


class AsyncScriptedSource(_Script):
    """An async source, with the steps of `ScriptedSource`."""

    async def __aiter__(self) -> AsyncIterator[object]:
        clock = self._begin()
        try:
            for step in self._steps:
                match step:
                    case Pause(seconds):
                        await _asleep(clock, seconds)
                    case _Wait():
                        await self._acquire()
                    case BaseException():
                        raise step
                    case _:
                        self._note()
                        self.yielded += 1
                        yield step
        finally:
            # A clean-up that awaits, so that one that is cut short is seen.
            await asyncio.sleep(0)
            self._end()

    async def _acquire(self) -> None:
        event = asyncio.Event()
        self._wakers.append((asyncio.get_running_loop(), event))
        try:
            async with asyncio.timeout(WATCHDOG_SECONDS):
                while not self._permits.acquire(blocking=False):
                    event.clear()
                    if self._permits.acquire(blocking=False):
                        return
                    await event.wait()
        finally:
            self._wakers.pop()


def _had(permit: bool) -> None:
    if not permit:
        raise TimeoutError(f"no release() for a WAIT in {WATCHDOG_SECONDS} s")


def _sleep(clock: Clock, seconds: float) -> None:
    lock = threading.Lock()
    lock.acquire()
    clock.acquire(lock, clock.now() + seconds)


async def _asleep(clock: Clock, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    slept = asyncio.Event()
    timer = clock.call_at(loop, clock.now() + seconds, slept.set)
    try:
        await slept.wait()
    finally:
        timer.cancel()
