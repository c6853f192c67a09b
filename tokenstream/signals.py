"""When the process is told to end by a signal: its streams first, then its server.

Servers set handlers of their own, before the app is loaded or after. Each of
ours is a link in a chain: it goes first, and hands the signal on afterwards.
"""

from __future__ import annotations

import _thread
import os
import signal
import time
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import Any, TypeAlias

from . import process
from .drain import check_timeout, drain_as
from .errors import UsageError

__all__ = ["DrainOnSignal", "drain_on_signal"]

HAND_ON_SECONDS = 0.2
"""From the last stream's end to the signal, for what can't be seen: that the server has written
out what it holds, and that the main thread waits again, where a signal wakes it."""

Handler: TypeAlias = Callable[[int, FrameType | None], Any] | int | signal.Handlers
"""What `signal.signal` takes."""

_NUDGE: int | None = getattr(signal, "SIGURG", None)
"""Only the main thread may set handlers; this calls it. Nobody is hurt by it: it is ignored by
default, and means nothing to servers."""

CALLS, CALL_SECONDS = 20, 0.05
"""How often the main thread is called, and how long it has to come: where it waits at a lock, of
150 signals one did not wake it."""


def drain_on_signal(
    timeout: float = 10.0, signals: Sequence[int] = (signal.SIGTERM,)
) -> DrainOnSignal:
    """Drain when the process is told to end, and tell its server then.

    timeout: seconds, as for `drain` (10). signals: those that end it (SIGTERM).

    The line stands where the app is made, in the module that the server loads.
    The handlers that are there, or are set later by the server, are not lost:
    when the streams are over, they get the signal. A second signal goes to
    them at once. From the deadline on each new stream is ended before its
    source is started, for good.

    Returns a context manager, for an app with a lifespan, which puts back what
    was there; streams begin as before then. Raises `UsageError` outside of the
    main thread.
    """
    hold = DrainOnSignal(check_timeout(timeout), signals)
    hold.begin()
    return hold


class DrainOnSignal:
    """The handlers that `drain_on_signal` has set; leaving the block puts back what was there."""

    def __init__(self, timeout: float, signals: Sequence[int]) -> None:
        self._timeout = timeout
        self._signals = tuple(signals)
        self._links: dict[int, _Link] = {}
        self.is_told = False  # the signal has come
        self.is_over = False  # and was handed on
        self.is_nudging = False
        self._told_again = False

    def begin(self) -> None:
        """Set the handlers."""
        try:
            self.take()
        except ValueError as error:
            raise UsageError(
                "drain_on_signal() sets signal handlers, which only the main thread can: "
                "call it in the module of the app, or in its lifespan"
            ) from error
        _holds.append(self)
        process.when_opened(_keep)
        if _NUDGE is not None and signal.getsignal(_NUDGE) == signal.SIG_DFL:
            signal.signal(_NUDGE, _nudged)

    def is_first(self) -> bool:
        """Tell whether nobody has set other handlers since."""
        return all(signal.getsignal(it) is self._links.get(it) for it in self._signals)

    def take(self) -> None:
        """Come first, before the handlers that are set now. `ValueError` off the main thread."""
        for signum in self._signals:
            previous = signal.getsignal(signum)
            if previous is not self._links.get(signum):
                # One for each place in the chain: a server may put an older one back.
                link = _Link(self, previous)
                signal.signal(signum, link)
                self._links[signum] = link

    def tell(self, signum: int) -> bool:
        """Begin to drain; False if the signal is for the handler before."""
        if self.is_told:
            self._told_again = True
            return False
        self.is_told = True
        try:
            # Not `threading.Thread`, whose locks the interrupted code may hold, and
            # whose start waits: under gevent this may run in the hub, which can't.
            _thread.start_new_thread(self._run, (signum,))
        except RuntimeError:
            return False  # no more threads
        return True

    def _run(self, signum: int) -> None:
        try:
            drain_as(self, self._timeout)
            time.sleep(HAND_ON_SECONDS)
        finally:
            self._hand_on(signum)
            if self not in _holds:
                process.go_on(self)  # the block was left meanwhile
            self.is_over = True

    def _hand_on(self, signum: int) -> None:
        if self.is_first():
            _call_main_thread(signum, lambda: self._told_again or not self.is_first())
        elif not self._told_again:
            os.kill(os.getpid(), signum)

    def __enter__(self) -> DrainOnSignal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.is_told = True  # one that someone keeps passes on what it gets
        _holds.remove(self)
        if not _holds:
            process.when_opened(None)
            if _NUDGE is not None and signal.getsignal(_NUDGE) is _nudged:
                signal.signal(_NUDGE, signal.SIG_DFL)
        for signum, link in self._links.items():
            if link.is_set_for(signum):
                signal.signal(signum, link.previous)
        process.go_on(self)


class _Link:
    """One handler in a chain."""

    def __init__(self, hold: DrainOnSignal, previous: Handler | None) -> None:
        self._hold = hold
        self.previous: Handler = signal.SIG_DFL if previous is None else previous

    def is_set_for(self, signum: int) -> bool:
        """Tell whether it comes first."""
        return signal.getsignal(signum) is self

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        if self._hold.tell(signum):
            return
        if callable(self.previous):
            self.previous(signum, frame)
        elif self.previous == signal.SIG_DFL:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)


_holds: list[DrainOnSignal] = []


def _keep() -> None:
    """With each stream: come before what a server has set since.

    uvicorn's command line, hypercorn, daphne and granian load the app, and set
    their handlers then.
    """
    hold = _holds[-1]
    if hold.is_told or hold.is_first():
        return
    try:
        hold.take()
    except ValueError:
        if not hold.is_nudging:
            hold.is_nudging = True
            _thread.start_new_thread(_nudge, (hold,))


def _nudge(hold: DrainOnSignal) -> None:
    if _NUDGE is not None and signal.getsignal(_NUDGE) is _nudged:
        _call_main_thread(_NUDGE, hold.is_first)
    hold.is_nudging = False


def _call_main_thread(signum: int, has_come: Callable[[], bool]) -> None:
    for _ in range(CALLS):
        if has_come():
            break
        os.kill(os.getpid(), signum)
        time.sleep(CALL_SECONDS)


def _nudged(signum: int, frame: FrameType | None) -> None:
    if _holds:
        _keep()
