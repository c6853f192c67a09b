"""What belongs to the process, not to a stream: who is open, and one shared loop.

Nothing is made before its first use. A fork leaves threads behind in the
parent, so the child starts with none of it; at exit daemon threads run no
`finally`, so an exit hook closes what is open, within a short bound.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Protocol

from . import native
from .gates import result_of

__all__ = [
    "EXIT_SECONDS",
    "Open",
    "begin_to_end",
    "go_on",
    "is_ending",
    "is_refusing",
    "opened",
    "refuse",
    "register",
    "shared_loop",
    "shut_down",
    "unregister",
    "when_opened",
]

log = logging.getLogger("tokenstream")

EXIT_SECONDS = 2.0
"""How long the interpreter's exit waits for open sources to close."""


class Open(Protocol):
    """Something that lives on a thread or a loop and must not be lost silently."""

    def end_soon(self) -> None:
        """Let its reader take the last frame, and close it; return at once."""

    def shut_down(self) -> None:
        """Close it, for the process ends; return at once."""

    def wait_closed(self, timeout: float) -> None:
        """Block until it is closed, or for `timeout` seconds."""

    async def await_closed(self, timeout: float) -> None:
        """Do what `wait_closed` does, in a task."""

    def lost_in_fork(self) -> None:
        """Its thread or loop is in the parent: whoever waits for it here must hear of it."""


_lock = threading.Lock()
_open: set[Open] = set()
_ending: set[object] = set()
_refusing: set[object] = set()
_when_opened: Callable[[], object] | None = None
_hooked = False
_loop: Future[asyncio.AbstractEventLoop] | None = None


def register(it: Open) -> None:
    """Hold `it` until it is closed."""
    global _hooked
    _open.add(it)
    if _when_opened is not None:
        _when_opened()
    if not _hooked:
        with _lock:
            if not _hooked:
                _hooked = True
                atexit.register(_at_exit)
                if hasattr(os, "register_at_fork"):
                    os.register_at_fork(after_in_child=_after_fork)


def unregister(it: Open) -> None:
    """Let go of `it`."""
    _open.discard(it)


def opened() -> list[Open]:
    """Return what is open."""
    return list(_open)


def when_opened(callback: Callable[[], object] | None) -> None:
    """Make `callback` with each one that is opened, in its reader's thread; None for no more."""
    global _when_opened
    _when_opened = callback


def begin_to_end(who: object) -> None:
    """Let it be known that `who` ends the process, or acts as if."""
    _ending.add(who)


def refuse(who: object) -> None:
    """Have what is opened from now on end at once."""
    _refusing.add(who)


def go_on(who: object) -> None:
    """Take back what `who` has said."""
    _ending.discard(who)
    _refusing.discard(who)


def is_ending() -> bool:
    """Tell whether the server may end the process as soon as it has seen its last response."""
    return bool(_ending)


def is_refusing() -> bool:
    """Tell whether what is opened now is to end at once."""
    return bool(_refusing)


def shared_loop() -> asyncio.AbstractEventLoop:
    """Return the loop on which async sources run where the reader has none.

    One real thread a process: a loop for each request dies under gevent, and
    costs more than the request. Raises `RuntimeError` where the interpreter exits
    and starts no more threads.
    """
    global _loop
    with _lock:
        made, is_first = _loop or Future(), _loop is None
        _loop = made
    if is_first:
        _start_loop(made)
    return result_of(made)


def _start_loop(made: Future[asyncio.AbstractEventLoop]) -> None:
    try:
        native.start_loop_thread(partial(_run_loop, made), "tokenstream-loop")
    except RuntimeError as error:
        _give_up(made, error)


def _run_loop(made: Future[asyncio.AbstractEventLoop]) -> None:
    try:
        # Here: what gevent puts below a loop belongs to the thread that makes it.
        loop = asyncio.new_event_loop()
    except Exception as error:
        _give_up(made, error)
        return
    asyncio.set_event_loop(loop)
    if (executor := native.executor()) is not None:
        loop.set_default_executor(executor)
    made.set_result(loop)
    while not loop.is_closed():
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt):
            # One stream's `sys.exit()` is not the end of all others; its task has it, too.
            log.exception("what ran on the shared loop raised: the loop goes on")


def _give_up(made: Future[asyncio.AbstractEventLoop], error: Exception) -> None:
    global _loop
    _loop = None  # the next who asks tries anew
    made.set_exception(error)


def shut_down() -> list[Open]:
    """End all that is open, and return it: its reader gets an error frame and the end."""
    left = list(_open)
    for it in left:
        it.shut_down()
    return left


def _at_exit() -> None:
    deadline = time.monotonic() + EXIT_SECONDS
    for it in shut_down():
        it.wait_closed(max(0.0, deadline - time.monotonic()))


def _after_fork() -> None:
    global _lock, _loop
    _lock = threading.Lock()  # the parent may have held the old one
    _loop = None
    _ending.clear()
    _refusing.clear()
    lost = list(_open)
    _open.clear()
    for it in lost:
        it.lost_in_fork()
