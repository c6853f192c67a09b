"""Before the process ends: open streams finish, or are ended with a frame that says why.

A server that is told to stop waits for its streams for ever, or cuts them at
once; none tells the reader. So the streams end first, and the server is told then.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from math import isfinite

from . import process
from .errors import InvalidOption, UsageError
from .opening import loop_runs_here
from .process import Open

__all__ = ["CLOSE_SECONDS", "READ_SECONDS", "adrain", "check_timeout", "drain", "drain_as"]

log = logging.getLogger("tokenstream")

READ_SECONDS = 0.5
"""How long a reader has to take its last frame; then it is left without."""

CLOSE_SECONDS = 0.5
"""How long the sources have to close after that."""


def drain(timeout: float = 10.0) -> int:
    """Let the open streams of this process finish, and end those that have not by then.

    timeout: seconds (10); 0 ends all of them at once.

    What is ended gets its wire's own error ("the server is shutting down"), its
    source is closed, and `on_finish` sees the outcome "shutdown". That takes a
    second more at most: a reader that takes nothing is left without, and a sync
    source that blocks can't be stopped. A stream that begins while this waits
    has the same deadline; one that begins after it is ended before its source
    is started. Once this has returned, streams begin as before.

    Returns how many were ended: 0 if all have finished. Raises `UsageError`
    where an event loop runs, which it would block: there it is `adrain`.
    """
    if loop_runs_here():
        raise UsageError("drain() would block the event loop that runs here: await adrain()")
    who = object()
    try:
        return drain_as(who, check_timeout(timeout))
    finally:
        process.go_on(who)


async def adrain(timeout: float = 10.0) -> int:
    """Do what `drain` does, in a task."""
    who = object()
    ended: list[Open] = []
    try:
        for it, seconds in _waits(check_timeout(timeout), who, ended):
            await it.await_closed(seconds)
    finally:
        process.go_on(who)
    return len(ended)


def drain_as(who: object, timeout: float) -> int:
    """Do what `drain` does; `who` refuses what begins after it, until `process.go_on(who)`."""
    ended: list[Open] = []
    for it, seconds in _waits(timeout, who, ended):
        it.wait_closed(seconds)
    return len(ended)


def _waits(timeout: float, who: object, ended: list[Open]) -> Iterator[tuple[Open, float]]:
    """Yield what is to be waited for, and for how long; add to `ended` what did not finish.

    From the deadline on, `who` refuses what begins.
    """
    process.begin_to_end(who)
    yield from _until(time.monotonic() + timeout)
    process.refuse(who)
    ended += process.opened()
    for it in ended:
        it.end_soon()
    yield from _until(time.monotonic() + READ_SECONDS)
    for it in process.opened():
        it.shut_down()
    yield from _until(time.monotonic() + CLOSE_SECONDS)
    if left := len(set(ended).intersection(process.opened())):
        log.warning("%d of %d streams that were ended have not closed in time", left, len(ended))


def _until(deadline: float) -> Iterator[tuple[Open, float]]:
    while (some := process.opened()) and time.monotonic() < deadline:
        for it in some:
            yield it, max(0.0, deadline - time.monotonic())


def check_timeout(timeout: float) -> float:
    """Return it, or raise `InvalidOption`."""
    if not (isinstance(timeout, int | float) and isfinite(timeout) and timeout >= 0):
        raise InvalidOption(f"timeout={timeout!r}: give seconds, 0 to end the streams at once")
    return timeout
