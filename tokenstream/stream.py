"""TokenStream: a source, a wire and options, read with `for` or `async for`."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from math import isfinite
from typing import Any

from . import sse
from .clock import Clock, current_clock
from .drivers import InlineDriver, inline, place
from .errors import AlreadyRead, DurationExceeded, InvalidOption, SourceError, SourceTimeout
from .gates import Alarm, LoopGate, ThreadGate
from .headers import HEADERS
from .host import Host
from .inbox import Inbox
from .machine import Machine
from .opening import check_source, is_async, loop_runs_here, too_late
from .pump import Pump
from .result import Result
from .schedule import Schedule
from .wires import Wire, WireName, find_wire

__all__ = ["CLOSE_SECONDS", "TokenStream"]

log = logging.getLogger("tokenstream")

CLOSE_SECONDS = 1.0
"""How long `close` waits for a thread: a `next()` that blocks in C can't be ended."""

CLEAN_UP_SECONDS = 30.0
"""How long `aclose` waits for an async source's own clean-up."""

LOOK_SECONDS = 0.1
"""How often a thread that waits looks whether its reader has gone, where it can."""

HAND_OVER_SECONDS = 1.0
"""How long the source's place has to write a terminal, before the reader writes it."""


class TokenStream:
    """Tokens in, whole frames out, kept alive, ended once, and stopped when the reader leaves.

    source: an iterable or async iterable of parts (of one that is both, the
        reader's kind is used), an awaitable of one, or a callable that returns
        one. It is called once, where it is read, never before someone reads.
    wire: a name or a wire object.
    keep_alive: idle seconds before a comment is sent (15); None turns it off.
        With None, a sync source under a sync reader needs no thread, and
        `source_timeout` can't interrupt it.
    prime: longest wait, in seconds, for the first part in `prime()` (15), which
        adapters call before the response is committed; 0 does not wait.
    source_timeout: seconds without a part before the stream fails (300), or None.
    send_timeout: seconds a reader may make no room before it counts as gone
        (30), or None.
    max_duration: seconds the whole stream may last, or None (the default).
    high_water: bytes held for a slow reader before the source is paused (65536).
    on_finish: called once with a `Result`, whatever the end, if the source was
        started; sync (on a thread) or async (on a loop).
    on_error: exception -> the message that the reader gets; the default names
        no internals.
    host: what a framework lends; adapters set it.

    Iterating never raises what the source raises: the reader gets the wire's
    error frame, the log the traceback, `on_finish` the exception. `prime()`
    raises it, while an HTTP error can still be sent.

    Raises `InvalidOption`, `UnknownWire` and `NotASource` at once.
    """

    def __init__(
        self,
        source: object,
        wire: WireName | Wire = "json",
        *,
        keep_alive: float | None = 15.0,
        prime: float = 15.0,
        source_timeout: float | None = 300.0,
        send_timeout: float | None = 30.0,
        max_duration: float | None = None,
        high_water: int = 65536,
        on_finish: Callable[[Result], Any] | None = None,
        on_error: Callable[[BaseException], str] | None = None,
        host: Host | None = None,
    ) -> None:
        check_source(source)
        _check_seconds("keep_alive", keep_alive)
        _check_seconds("source_timeout", source_timeout)
        _check_seconds("send_timeout", send_timeout)
        _check_seconds("max_duration", max_duration)
        if not (_is_finite(prime) and prime >= 0):
            raise InvalidOption(f"prime={prime!r}: give seconds, 0 for not to wait")
        if not (_is_finite(high_water) and high_water >= 1):
            raise InvalidOption(f"high_water={high_water!r}: give a number of bytes above 0")
        self.wire = find_wire(wire)
        self.host = host or Host()
        self._source = source
        self._keep_alive = keep_alive
        self._prime = prime
        self._source_timeout = source_timeout
        self.send_timeout = send_timeout
        self._max_duration = max_duration
        self._high_water = high_water
        self._on_finish = on_finish
        self._on_error = on_error
        self._context = contextvars.copy_context()
        self._clock: Clock = current_clock.get()
        self._pump: Pump | None = None
        self._inbox: Inbox
        self._machine: Machine
        self._schedule: Schedule
        self._started = False
        self._closed = False
        self._left = False
        self._ending: BaseException | None = None  # a deadline has passed
        self._ending_until = 0.0
        self._waited = False
        self._came_back = False  # after the terminal
        self._unsent = False  # what was handed over last
        self._thread_gate: ThreadGate | None = None
        self._loop_gate: LoopGate | None = None
        self._alarm: Alarm | None = None
        if inspect.iscoroutine(source):
            # Nobody may ever read this stream: no "was never awaited" then.
            weakref.finalize(self, source.close).atexit = False

    @property
    def headers(self) -> dict[str, str]:
        """The response's headers, those of the wire included."""
        return {**HEADERS, **self.wire.headers}

    @property
    def media_type(self) -> str:
        """The media type, `text/event-stream`."""
        return sse.MEDIA_TYPE

    @property
    def result(self) -> Result | None:
        """The result, None until the stream has ended."""
        return None if self._pump is None else self._pump.result

    @property
    def at_end(self) -> bool:
        """Whether the terminal has been handed over: what is read next is the end."""
        return self._pump is not None and self._inbox.finished

    # Reading with `for`.

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self._start(None)
        while not isinstance(step := self._step(), bytes):
            if step is _END:
                self._settle()
                self._wait_done(self._patience(CLOSE_SECONDS))
                raise StopIteration
            self._wait(step.until)
        return step

    def prime(self) -> object | None:
        """Wait for the first part, for at most `prime` seconds.

        Raises what the source raised before it. Returns None, or what the
        source returned instead of parts if the host says it is a response.
        """
        self._start(None)
        deadline = self._clock.now() + self._prime
        while (until := self._unprimed_until(deadline)) is not None:
            self._wait(until)
        if self._has_failed_early():
            self._settle_early()
            self._wait_done(CLOSE_SECONDS)
        return self._primed()

    def close(self) -> None:
        """Stop reading: the source is closed, on its own thread or loop.

        Waits a moment for that, unless a loop runs in this thread.
        """
        if self._leave() and not loop_runs_here():
            self._wait_done(CLOSE_SECONDS)

    # Reading with `async for`.

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self._start(asyncio.get_running_loop())
        while not isinstance(step := self._step(), bytes):
            if step is _END:
                self._settle()
                await self._await_done(self._patience(self._clean_up_seconds()))
                raise StopAsyncIteration
            await self._await(step.until)
        return step

    async def aprime(self) -> object | None:
        """Do what `prime` does, in a task."""
        self._start(asyncio.get_running_loop())
        deadline = self._clock.now() + self._prime
        while (until := self._unprimed_until(deadline)) is not None:
            await self._await(until)
        if self._has_failed_early():
            self._settle_early()
            await self._await_done(self._clean_up_seconds())
        return self._primed()

    async def aclose(self) -> None:
        """Stop reading, and wait for an async source's clean-up; a thread gets a short wait."""
        if self._leave():
            await self._await_done(self._clean_up_seconds())
        elif not self._started:
            await _aclose_unread(self._source)

    def leave(self, *, unsent: bool = False) -> None:
        """The reader has gone: let whoever waits for a chunk know. From any thread.

        unsent: the chunk that was handed over last has not reached it. With the
        terminal in it that is the difference between "completed" and
        "disconnected"; who comes back for the next chunk has written the last.
        """
        self._left = True
        self._unsent = self._unsent or unsent
        for gate in (self._loop_gate, self._thread_gate):
            if gate is not None:
                gate.wake()

    # What both ways share.

    def _start(self, loop: asyncio.AbstractEventLoop | None) -> None:
        if self._started:
            return
        if self._closed:
            raise AlreadyRead("this stream was closed before it was read: make a new one")
        self._started = True
        now = self._clock.now()
        may_inline = loop is None and self.host.inline
        needs_no_clock = may_inline and self._keep_alive is None and not is_async(self._source)
        self._machine = Machine(self.wire, self.host.run_id, self._on_error)
        self._inbox = Inbox(self._high_water)
        self._schedule = Schedule(
            now,
            keep_alive=self._keep_alive,
            source_timeout=self._source_timeout,
            max_duration=self._max_duration,
        )
        self._pump = pump = Pump(
            self._machine,
            self._inbox,
            place=inline if needs_no_clock else place,
            host=self.host,
            context=self._context,
            clock=self._clock,
            on_finish=self._on_finish,
            send_timeout=self.send_timeout,
        )
        # The pump knows nothing of this object: dropped, it stops its pump.
        weakref.finalize(self, pump.leave).atexit = False
        source, self._source = self._source, None
        pump.start(source, loop=loop)

    def _step(self) -> bytes | _Wait:
        pump, inbox = self._live()
        if inbox.finished:
            return self._last_word(pump)
        if self._left:
            return _END
        now = self._clock.now()
        if frames := inbox.take():
            self._schedule.wrote(now, self._machine.parts)
            if self._schedule.over(now) and not inbox.finished:
                self._fail(DurationExceeded(f"the stream lasted {self._max_duration} seconds"), now)
            pump.bytes_sent += len(frames)
            return frames
        if inbox.finished:
            return self._last_word(pump)
        if self._ending is not None:
            return self._wait_for_terminal(pump, self._ending, now)
        match self._schedule.due(now, self._machine.parts):
            case "keep_alive":
                comment = self._machine.keep_alive()
                self._schedule.wrote(now)
                pump.bytes_sent += len(comment)
                return comment
            case "source_timeout" | "max_duration":
                if self._expire(now):
                    return self._step()
        return _Wait(self._schedule.next())

    def _expire(self, now: float) -> bool:
        """End the stream if it has come to one of its limits; return whether it has."""
        pump, _ = self._live()
        match self._schedule.passed(now, self._machine.parts):
            # A source in the reader's own thread has had its say by the time of this look.
            case "source_timeout" if not isinstance(pump.driver, InlineDriver):
                seconds = self._source_timeout
                self._fail(SourceTimeout(f"the source gave no part for {seconds} seconds"), now)
                return True
            case "max_duration":
                self._fail(DurationExceeded(f"the stream lasted {self._max_duration} seconds"), now)
                return True
        return False

    def _last_word(self, pump: Pump) -> bytes | _Wait:
        self._came_back = True
        response, pump.response = pump.response, None
        if response is None:
            return _END
        # It came too late for `prime`, and nothing was streamed.
        self._came_back = False
        pump.error = too_late(response)
        frames = self._machine.fail(pump.error)
        pump.bytes_sent += len(frames)
        return frames

    def _fail(self, error: BaseException, now: float) -> None:
        pump, _ = self._live()
        self._ending = error
        self._ending_until = now + HAND_OVER_SECONDS
        pump.fail(error)

    def _wait_for_terminal(self, pump: Pump, error: BaseException, now: float) -> _Wait:
        # The source's loop writes the terminal; if the source itself blocks
        # that loop, nothing is being fed there, and the reader writes it.
        if now >= self._ending_until:
            pump.end(error)
            return _Wait(now)
        return _Wait(self._ending_until)

    def _unprimed_until(self, deadline: float) -> float | None:
        """Return until when to wait for the first part, None to wait no more."""
        pump, inbox = self._live()
        if pump.ended or self._machine.parts or self._left or not inbox.is_empty():
            return None
        now = self._clock.now()
        if self._ending is None and not self._expire(now):
            return None if now >= deadline else min(deadline, self._schedule.limit())
        assert self._ending is not None
        return self._wait_for_terminal(pump, self._ending, now).until

    def _has_failed_early(self) -> bool:
        pump, _ = self._live()
        return (
            pump.ended
            and not self._machine.parts
            and (pump.error is not None or pump.response is not None)
        )

    def _primed(self) -> object | None:
        pump, _ = self._live()
        self._schedule.wrote(self._clock.now())
        if not self._has_failed_early():
            return None
        if pump.error is not None:
            raise pump.error
        return pump.response

    def _settle(self) -> None:
        pump, inbox = self._live()
        if self._alarm is not None:
            self._alarm.cancel()
        if pump.result is not None:
            return
        if pump.error is not None:
            self._log(pump.error)
        if self._came_back or (inbox.finished and not self._unsent):
            pump.settle(pump.outcome())
        else:
            pump.leave()

    def _settle_early(self) -> None:
        # Not logged: it is raised, or it is a response and no error.
        pump, _ = self._live()
        pump.settle(pump.outcome())

    def _log(self, error: BaseException) -> None:
        log.log(
            logging.WARNING if isinstance(error, SourceError) else logging.ERROR,
            "stream failed after %d parts: %s",
            self._machine.parts,
            type(error).__name__,
            exc_info=error,
        )

    def _leave(self) -> bool:
        """Return whether there is a pump to wait for."""
        if not self._started:
            if not self._closed:
                self._closed = True
                _close_unread(self._source)
            return False
        self._closed = True
        self._settle()
        self.leave()  # wakes a reader in another thread
        pump, _ = self._live()
        return not pump.done.done()

    def _live(self) -> tuple[Pump, Inbox]:
        assert self._pump is not None
        return self._pump, self._inbox

    def _clean_up_seconds(self) -> float:
        pump, _ = self._live()
        return CLEAN_UP_SECONDS if pump.is_on_loop() else CLOSE_SECONDS

    def _patience(self, seconds: float) -> float | None:
        # A source that ended by itself closes, and `on_finish` runs, as long as
        # it takes. One that was told to stop may never return from `next()`.
        pump, _ = self._live()
        return seconds if pump.stopping else None

    # The two ways to wait.

    def _wait(self, until: float | None) -> None:
        pump, inbox = self._live()
        if isinstance(pump.driver, InlineDriver) and not pump.done.done():
            pump.driver.advance()
            return
        if self._thread_gate is None:
            self._thread_gate = ThreadGate(self._clock)
        gate, has_left = self._thread_gate, self.host.has_left
        if has_left is not None:
            look = self._clock.now() + LOOK_SECONDS
            until = look if until is None else min(until, look)
        inbox.reader = gate
        if inbox.is_empty() and not self._left:
            gate.wait(until)
        inbox.reader = None
        if has_left is not None and inbox.is_empty() and has_left():
            self._left = True

    async def _await(self, until: float | None) -> None:
        _, inbox = self._live()
        gate = self._loop_gate
        if gate is None or gate.loop is not asyncio.get_running_loop():
            gate = self._loop_gate = LoopGate()
            self._alarm = Alarm(self._clock, gate)
        alarm = self._alarm
        assert alarm is not None
        waiter = gate.arm()
        inbox.reader = gate
        try:
            if inbox.is_empty() and not self._left:
                alarm.set(until)
                await waiter
        finally:
            inbox.reader = None
            alarm.clear()

    def _wait_done(self, seconds: float | None) -> None:
        pump, _ = self._live()
        if not pump.done.done() and not self._waited:
            pump.wait_closed(seconds)
            self._waited = True  # what does not end in that time is not waited for twice

    async def _await_done(self, seconds: float | None) -> None:
        pump, _ = self._live()
        if not pump.done.done() and not self._waited:
            # A gate, since it may be woken when this loop is closed already;
            # `wait` cancels nothing: the pump goes on if this task can't wait.
            gate = LoopGate()
            done = gate.arm()
            pump.done.add_done_callback(lambda _: gate.wake())
            await asyncio.wait({done}, timeout=seconds)
            self._waited = True


class _Wait:
    """What a reader does when there is nothing to send."""

    __slots__ = ("until",)

    def __init__(self, until: float | None) -> None:
        self.until = until


_END = _Wait(None)


def _check_seconds(name: str, value: float | None) -> None:
    if value is not None and not (_is_finite(value) and value > 0):
        raise InvalidOption(f"{name}={value!r}: give seconds above 0, or None to turn it off")


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and isfinite(value)


def _close_unread(source: object) -> None:
    """Close what was opened before anyone read it; what was not begun needs nothing else."""
    close = getattr(source, "close", None)
    if callable(close) and not inspect.iscoroutinefunction(close):
        close()


async def _aclose_unread(source: object) -> None:
    close = getattr(source, "aclose", None) or getattr(source, "close", None)
    if callable(close):
        closing = close()
        if isinstance(closing, Awaitable):
            await closing
