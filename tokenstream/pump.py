"""The pump owns a source for its whole life.

`next`, `close`, context variables and clean-up all happen in one place: one
thread for a sync source, one task for an async one, in one copy of the
caller's context. What the places share is `Pump`; a driver is a place.

Which kind a source is may show only when it is called or awaited, so a driver
that comes to a source of the other kind hands it over.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
import time
import weakref
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from typing import Any, Protocol, TypeGuard

from . import process
from .clock import SYSTEM, Clock
from .errors import (
    DurationExceeded,
    LostInFork,
    ReaderLeft,
    ServerShutdown,
    SourceCancelled,
    SourceError,
    SourceTimeout,
)
from .gates import Latch, LoopGate, ThreadGate, result_of
from .host import Host
from .inbox import Inbox
from .machine import Machine
from .opening import too_late
from .parts import Relays
from .result import Outcome, Result

__all__ = ["Driver", "Pump", "acall_on_finish", "call_on_finish"]

log = logging.getLogger("tokenstream")


class Driver(Protocol):
    """A place where a source runs."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop on which clean-up can be awaited, None for a thread."""

    def start(self, source: object) -> None:
        """Begin; return at once."""

    def wake(self) -> None:
        """There may be room, or an end: look again. From any thread."""

    def interrupt(self) -> None:
        """The pump is to stop, now if the source waits. From any thread."""

    def exclusively(self, change: Callable[[], object]) -> None:
        """Make a change while the source is not being fed. From any thread."""

    def ask(self, change: Callable[[], object]) -> None:
        """Make a change of the whole stream: now, or where only the reader may, when it reads on.

        From any thread.
        """


class Pump:
    """What the reader's side and a driver know of each other."""

    __slots__ = (
        "_held_by",
        "_place",
        "bytes_sent",
        "clock",
        "context",
        "done",
        "driver",
        "ended",
        "error",
        "first_at",
        "host",
        "inbox",
        "machine",
        "on_finish",
        "reader_loop",
        "response",
        "result",
        "send_timeout",
        "started_at",
        "stopping",
        "texts",
        "wants_async",
    )

    def __init__(
        self,
        machine: Machine,
        inbox: Inbox,
        *,
        place: Callable[[object, Pump], Driver],
        host: Host,
        context: Context,
        clock: Clock,
        on_finish: Callable[[Result], Any] | None,
        send_timeout: float | None,
    ) -> None:
        self.machine = machine
        self.inbox = inbox
        self.host = host
        self._place = place
        self.context = context
        self.clock = clock
        self.on_finish = on_finish
        self.send_timeout = send_timeout
        self.started_at = clock.now()
        self.first_at: float | None = None
        self.ended = False  # nothing more goes into the inbox
        self.stopping = False  # the source is to be closed
        self.error: BaseException | None = None
        self.response: object | None = None  # a finished one, to be passed through
        self.bytes_sent = 0  # counted by the reader's side
        self.result: Result | None = None  # there once the reader's side has settled
        self.done = Latch()  # the source is closed, and `on_finish` has run
        self.texts: list[str] = []  # tokens that wait for `flush`, so as to be framed together
        self.driver: Driver = _NoDriver()
        self.reader_loop: asyncio.AbstractEventLoop | None = None
        self.wants_async = False  # of a source that is both, take the async side
        self._held_by: weakref.ref[object] | None = None

    # The reader's side, from any thread.

    def start(self, source: object, *, loop: asyncio.AbstractEventLoop | None) -> None:
        """Begin to pull. `loop`: the reader's, None if it is a thread."""
        self.reader_loop = loop
        self.wants_async = loop is not None
        process.register(self)
        if process.is_refusing():
            self.stopping = True
            self.end(ServerShutdown("the process was told to end before this stream began"))
        self._begin(source)

    def leave_without(self, holder: object) -> None:
        """Leave when `holder`, of which the pump knows nothing else, is dropped."""
        # While it is open the process holds this pump, and so this reference:
        # all that `weakref.finalize` is for, which takes 380 bytes where this takes 150.
        self._held_by = weakref.ref(holder, self._dropped)

    def _dropped(self, _: object) -> None:
        # The exit hook has closed what it could; a thread may hold its turn for ever.
        if not sys.is_finalizing():
            self.leave()

    def fail(self, error: BaseException) -> None:
        """End the stream from the reader's side, for a deadline."""
        self.driver.exclusively(lambda: self.end(error))
        self.stop()

    def stop(self) -> None:
        """Close the source as soon as can be."""
        self.stopping = True
        self.driver.interrupt()

    def settle(self, outcome: Outcome) -> None:
        """Say how it ended; the first word counts. Then `on_finish` runs, where the source ran."""
        self.driver.exclusively(lambda: self.conclude(outcome))
        self.driver.wake()

    def leave(self, outcome: Outcome = "disconnected") -> None:
        """The reader is gone before the terminal."""
        if self.done.is_open:
            return
        self.stopping = True
        self.settle(outcome)
        self.driver.interrupt()

    def is_on_loop(self) -> bool:
        """Tell whether the source runs on a loop, where its clean-up can be awaited."""
        return self.driver.loop is not None

    def outcome(self) -> Outcome:
        """Return how the stream ended, once its terminal is out."""
        match self.error:
            case None:
                return "completed"
            case SourceTimeout() | DurationExceeded():
                return "timeout"
            case SourceCancelled():
                return "cancelled"
            case ServerShutdown():
                return "shutdown"
            case _:
                return "failed"

    # The process's side.

    def end_soon(self) -> None:
        """Send the reader the last frame, and close the source; the reader settles."""
        self.driver.ask(lambda: self.fail(_shutdown()))

    def shut_down(self) -> None:
        """Close the source, for the process ends; a reader that still reads sees why."""
        error = _shutdown()
        if self.stopping and not self.ended and self.is_on_loop():
            # It was told before: the source blocks that loop, and nothing is being fed there.
            self.end(error)
        self.driver.exclusively(lambda: self.end(error))
        self.leave("shutdown")

    def wait_closed(self, timeout: float | None) -> None:
        """Block until the source is closed and `on_finish` has run, or for `timeout` seconds."""
        if not self.done.is_open:
            gate = ThreadGate(SYSTEM)
            self.done.add(gate)
            gate.wait(None if timeout is None else time.monotonic() + timeout)

    async def await_closed(self, timeout: float | None) -> None:
        """Do what `wait_closed` does, in a task."""
        if not self.done.is_open:
            gate = LoopGate()  # it may be woken when this loop is closed already
            waiter = gate.arm()
            self.done.add(gate)
            timer = None if timeout is None else gate.loop.call_later(timeout, gate.wake)
            try:
                await waiter
            finally:
                if timer is not None:
                    timer.cancel()

    def lost_in_fork(self) -> None:
        """The driver is in the parent: the reader here gets an error frame and the end."""
        # So that no lock that the parent's thread holds is waited for.
        self.driver = _NoDriver()
        self.stopping = True
        self.end(LostInFork("the process forked while this stream was open: open it in the child"))
        self.inbox.reader = None
        self._close()

    # The driver's side.

    def accept(self, item: object) -> bool:
        """Frame one part and hand it over; return whether there is room for more."""
        if self.ended:
            return False
        frames = self.machine.part(item)
        return self._put(frames) if self.first_at is None or not frames else self.inbox.put(frames)

    def flush(self) -> bool:
        """Frame the gathered tokens and hand them over; return whether there is room for more."""
        if self.ended or not self.texts:
            return not self.ended and self.inbox.has_room()
        return self._put(self._framed())

    def ready(self) -> bytes:
        """Take all that is to be sent, past a reader that lends its sink."""
        texts = self.texts
        if self.ended or self.first_at is None or self.inbox.frames:
            self.flush()
            return b"" if self.ended else self.inbox.take()
        if len(texts) == 1:  # as where tokens come one by one
            return self.machine.part(texts.pop())
        return self._framed() if texts else b""

    def _framed(self) -> bytes:
        texts = self.texts[:]
        del self.texts[: len(texts)]  # a thread may have added more meanwhile
        return self.machine.texts(texts)

    def _put(self, frames: bytes) -> bool:
        # Not for a chunk that says nothing, which is no part.
        if self.first_at is None and self.machine.parts:
            self.first_at = self.clock.now()
            return self.inbox.put(frames)  # wakes a reader that primes, though it be empty
        return self.inbox.put(frames) if frames else self.inbox.has_room()

    def end(self, error: BaseException | None = None) -> None:
        """Hand over the terminal, once."""
        if self.ended:
            return
        last = b""
        try:
            self.flush()
            if error is None:
                last = self.machine.finish()
        except Exception as broken:  # of a wire of the app's own
            if error is None:
                error = broken
            else:
                log.exception("the wire raised when its source had failed")
        self.ended = True
        self.error = error
        self.inbox.end(last if error is None else self.machine.fail(error))

    def end_with(self, value: object) -> None:
        """The source ended before its first part, and returned `value`."""
        if value is not None and self.host.is_response(value):
            self.response = value
            self.ended = True
            self.inbox.end(b"")
        else:
            self.end()

    def end_late(self, value: object) -> None:
        """The source ended after its first part, and returned `value`."""
        if value is not None and self.host.is_response(value):
            self.end(too_late(value))
        else:
            self.end()

    def hand_over(self, source: object, driver: Driver | None = None) -> None:
        """Let another driver go on with `source`, which has been called by now.

        In the context of the place that called it: what it set there stays set.
        """
        self.context = copy_context()
        self._begin(source, driver)
        self.inbox.wake_reader()  # what it lent to one place is of no use to another

    def opened(self, source: object) -> object:
        """Return a source that is about to be read; it may give what the wire sends as it is."""
        if self.machine.relays is not None and _can_relay(source):
            source.relay_protocol(self.machine.relays)
        return source

    def room_deadline(self) -> float | None:
        """Return when a reader that makes no room counts as gone."""
        return None if self.send_timeout is None else self.clock.now() + self.send_timeout

    def is_past(self, until: float | None) -> bool:
        """Tell whether it is later than that."""
        return until is not None and self.clock.now() >= until

    def give_up(self) -> None:
        """The reader took nothing for `send_timeout` seconds: it is in a write that waits."""
        if self.host.hang_up is not None and self.result is None:
            self.host.hang_up()
        if self.error is not None and self.result is None:
            self.log_failure(self.error)
        self.stopping = True
        self.conclude("disconnected")
        # It may come to read what is held, after all: not as if that were the end.
        self.inbox.end(self.machine.fail(ReaderLeft("the reader made no room in time")))

    def log_failure(self, error: BaseException) -> None:
        """Say it once: by the reader's side, or where that is gone."""
        log.log(
            logging.WARNING if isinstance(error, SourceError) else logging.ERROR,
            "stream failed after %d parts: %s",
            self.machine.parts,
            type(error).__name__,
            exc_info=error,
        )

    def finished(self) -> None:
        """All is done: the source is closed and `on_finish` has run."""
        process.unregister(self)
        self._close()
        # They know each other: until the collector comes, both would hold the whole text.
        self.driver = _NoDriver()

    def _close(self) -> None:
        if not self.done.is_open:
            self.done.open()

    def conclude(self, outcome: Outcome) -> None:
        """Make the result, once. Only where nothing is being fed."""
        if self.result is not None:
            return
        try:
            self.flush()  # they count, though nobody reads them
        except Exception:
            log.exception("framing what nobody reads raised")
        self.ended = True
        gathered = self.machine.gathered
        first = self.first_at
        self.result = Result(
            text="".join(gathered.texts),
            reasoning="".join(gathered.reasoning),
            tool_calls=tuple(call.whole() for call in gathered.calls.all),
            outcome=outcome,
            error=self.error,
            finish_reason=gathered.finish_reason,
            parts=self.machine.parts,
            usage=gathered.usage,
            ttft=None if first is None else first - self.started_at,
            duration=self.clock.now() - self.started_at,
            bytes_sent=self.bytes_sent,
        )

    def _begin(self, source: object, driver: Driver | None = None) -> None:
        self.driver = driver or self._place(source, self)
        self.driver.start(source)


def _can_relay(source: object) -> TypeGuard[Relays]:
    # Its class: what wraps one, and gives the attributes of what it wraps, reads parts itself.
    return hasattr(type(source), "relay_protocol")


class _NoDriver:
    """Where no source runs any more."""

    loop = None

    def start(self, source: object) -> None:
        """Do nothing."""

    def wake(self) -> None:
        """Do nothing."""

    def interrupt(self) -> None:
        """Do nothing."""

    def exclusively(self, change: Callable[[], object]) -> None:
        """Make the change: nobody else does."""
        change()

    def ask(self, change: Callable[[], object]) -> None:
        """Make the change."""
        change()


def _shutdown() -> ServerShutdown:
    return ServerShutdown("the process ends while this stream is open")


def call_on_finish(pump: Pump) -> None:
    """Call it in a thread; what it returns may have to be awaited on a loop."""
    if pump.on_finish is None or pump.result is None or pump.response is not None:
        return
    try:
        awaitable = pump.on_finish(pump.result)
        if inspect.isawaitable(awaitable):
            # An async view's loop may be over by now: then the host said so.
            loop = None if pump.host.shared_loop else pump.reader_loop
            _wait_for(awaitable, loop)
    except Exception:
        log.exception("on_finish raised")


def _wait_for(awaitable: Awaitable[object], loop: asyncio.AbstractEventLoop | None) -> None:
    if loop is None or not loop.is_running():
        try:
            loop = process.shared_loop()
        except RuntimeError:
            asyncio.run(_awaited(awaitable))  # the interpreter exits: this thread is the last
            return
    result_of(asyncio.run_coroutine_threadsafe(_awaited(awaitable), loop))


async def acall_on_finish(pump: Pump) -> None:
    """Call it on the loop if it is async, else in a thread, in the stream's context and scope."""
    if pump.on_finish is None or pump.result is None or pump.response is not None:
        return
    if not inspect.iscoroutinefunction(pump.on_finish):
        try:
            await asyncio.to_thread(_call_in_scope, pump)
        except RuntimeError:
            _call_in_scope(pump)  # the interpreter exits: there are no more threads
        return
    try:
        await pump.on_finish(pump.result)
    except Exception:
        log.exception("on_finish raised")


def _call_in_scope(pump: Pump) -> None:
    with pump.host.scope():
        call_on_finish(pump)


async def _awaited(awaitable: Awaitable[object]) -> None:
    await awaitable
