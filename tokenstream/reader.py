"""The reader's side of a stream that has started: what comes next, and how to wait for it."""

from __future__ import annotations

import asyncio
import logging
import types
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeAlias

from .clock import Clock
from .drivers import InlineDriver
from .errors import DurationExceeded, ReaderLeft, SourceError, SourceTimeout
from .gates import Alarm, LoopGate, ThreadGate
from .opening import too_late
from .pump import Pump
from .schedule import Schedule

__all__ = ["CLEAN_UP_SECONDS", "CLOSE_SECONDS", "Reader", "Write"]

log = logging.getLogger("tokenstream")

CLOSE_SECONDS = 1.0
"""How long `close` waits for a thread: a `next()` that blocks in C can't be ended."""

CLEAN_UP_SECONDS = 30.0
"""How long `aclose` waits for an async source's own clean-up."""

LOOK_SECONDS = 0.1
"""How often a thread that waits looks whether its reader has gone, where it can."""

HAND_OVER_SECONDS = 1.0
"""How long the source's place has to write a terminal, before the reader writes it."""

Write: TypeAlias = Callable[[bytes, bool], Awaitable[None]]
"""Sends a chunk; the flag says whether there are more."""


Running: TypeAlias = Generator[Any, Any, Any]
"""Something awaited, between two of its waits."""


class Wait:
    """What a reader does when there is nothing to send. until: by the stream's clock."""

    __slots__ = ("until",)

    def __init__(self, until: float | None) -> None:
        self.until = until


_END = Wait(None)


class Reader:
    """One reader of one pump. Its two kinds, a thread and a task, differ in how they wait.

    pulls: the source runs in the reader's thread and has no deadline, so that
        there is nothing to look at before it has run for another part.
    """

    __slots__ = (
        "_alarm",
        "_came_back",
        "_clock",
        "_ending",
        "_ending_until",
        "_fault",
        "_gave_up",
        "_has_left",
        "_inbox",
        "_left",
        "_loop_gate",
        "_machine",
        "_pulls",
        "_schedule",
        "_thread_gate",
        "_unsent",
        "_waited",
        "_write",
        "_writer",
        "_writing",
        "pump",
    )

    def __init__(self, pump: Pump, schedule: Schedule, clock: Clock, *, pulls: bool) -> None:
        self.pump = pump
        self._inbox = pump.inbox
        self._machine = pump.machine
        self._schedule = schedule
        self._clock = clock
        self._has_left = pump.host.has_left
        self._left = False
        self._ending: BaseException | None = None  # a deadline has passed
        self._ending_until = 0.0
        self._waited = False
        self._came_back = False  # after the terminal
        self._unsent = False  # what was handed over last
        self._pulls = pulls
        self._thread_gate: ThreadGate | None = None
        self._loop_gate: LoopGate | None = None
        self._alarm: Alarm | None = None
        self._write: Write | None = None  # what may be lent to the pump's task
        self._writing = False  # the pump's task waits in it
        self._fault: BaseException | None = None  # that it raised there
        self._writer: asyncio.Task[Any] | None = None  # who waits in a write
        self._gave_up = False  # of it

    @property
    def at_end(self) -> bool:
        """Whether the terminal has been handed over."""
        return self._inbox.finished

    def leave(self, *, unsent: bool) -> None:
        """The reader has gone: let whoever waits know. From any thread."""
        self._left = True
        self._unsent = self._unsent or unsent
        for gate in (self._loop_gate, self._thread_gate):
            if gate is not None:
                gate.wake()

    # A thread that reads.

    def read(self) -> bytes | None:
        """Return the next chunk, None at the end, which has been settled then."""
        if self._pulls and not (self.pump.ended or self._inbox.frames):
            self._pull()
        while not isinstance(step := self._step(), bytes):
            if step is _END:
                self.settle()
                self.wait_done(self._patience(CLOSE_SECONDS))
                return None
            self._wait(step.until)
        return step

    def prime(self, seconds: float) -> object | None:
        """See `TokenStream.prime`."""
        deadline = self._clock.now() + seconds
        while (until := self._unprimed_until(deadline)) is not None:
            self._wait(until)
        if self._has_failed_early():
            self._settle_early()
            self.wait_done(CLOSE_SECONDS)
        return self._primed()

    def wait_done(self, seconds: float | None) -> None:
        """Wait until the source is closed and `on_finish` has run, once."""
        if not self.pump.done.is_open and not self._waited:
            self.pump.wait_closed(seconds)
            self._waited = True  # what does not end in that time is not waited for twice

    def _pull(self) -> bool:
        """Run the source for one part, if it runs in this thread; return whether it does."""
        driver = self.pump.driver
        if not isinstance(driver, InlineDriver) or self.pump.done.is_open:
            return False
        driver.advance()
        return True

    def _wait(self, until: float | None) -> None:
        inbox = self._inbox
        if self._pull():
            return
        if self._thread_gate is None:
            self._thread_gate = ThreadGate(self._clock)
        if self._has_left is not None:
            look = self._clock.now() + LOOK_SECONDS
            until = look if until is None else min(until, look)
        inbox.wait(self._thread_gate)
        if inbox.is_empty() and not self._left:
            self._thread_gate.wait(until)
        inbox.withdraw()
        if self._has_left is not None and inbox.is_empty() and self._has_left():
            self._left = True

    # A task that reads.

    async def aread(self) -> bytes | None:
        """Do what `read` does, in a task."""
        while not isinstance(step := self._step(), bytes):
            if step is _END:
                self.settle()
                await self.await_done(self._patience(self.clean_up_seconds()))
                return None
            await self._await(step.until)
        return step

    async def aprime(self, seconds: float) -> object | None:
        """Do what `prime` does, in a task."""
        deadline = self._clock.now() + seconds
        while (until := self._unprimed_until(deadline)) is not None:
            await self._await(until)
        if self._has_failed_early():
            self._settle_early()
            await self.await_done(self.clean_up_seconds())
        return self._primed()

    async def write_to(
        self, write: Write, opening: Awaitable[object] | None, stream: object
    ) -> None:
        """See `TokenStream.write_to`. stream: dropped, it would stop the pump."""
        self._write = write
        if opening is not None:
            await self._guarded(opening)
        while (chunk := await self.aread()) is not None:
            await self._guarded(write(chunk, not self.at_end))

    async def await_done(self, seconds: float | None) -> None:
        """Do what `wait_done` does, in a task."""
        if not self.pump.done.is_open and not self._waited:
            gate = LoopGate()  # it may be woken when this loop is closed already
            waiter = gate.arm()
            self.pump.done.add(gate)
            timer = None if seconds is None else gate.loop.call_later(seconds, gate.wake)
            try:
                await waiter
            finally:
                if timer is not None:
                    timer.cancel()
            self._waited = True

    def clean_up_seconds(self) -> float:
        """Return how long a task waits for a source that was told to stop."""
        return CLEAN_UP_SECONDS if self.pump.is_on_loop() else CLOSE_SECONDS

    async def _await(self, until: float | None) -> None:
        inbox, gate, alarm = self._inbox, *self._at_gate()
        waiter = gate.arm()
        if self._write is not None and self.pump.driver.loop is gate.loop:
            inbox.lend(gate, self._pass_on)
        else:
            inbox.wait(gate)
        try:
            if self._writing:  # the alarm is the write's
                await waiter
            elif inbox.is_empty() and not self._left:
                alarm.set(until)
                await waiter
        finally:
            inbox.withdraw()
            if not self._writing:
                alarm.clear()
        if self._fault is not None:
            raise self._fault

    def _at_gate(self) -> tuple[LoopGate, Alarm]:
        gate, alarm = self._loop_gate, self._alarm
        if gate is None or alarm is None or gate.loop is not asyncio.get_running_loop():
            gate = self._loop_gate = LoopGate()
            alarm = self._alarm = Alarm(self._clock, self)
        return gate, alarm

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Where the alarm is to ring."""
        assert self._loop_gate is not None
        return self._loop_gate.loop

    def wake(self) -> None:
        """The alarm rings: for a write that takes too long, or for a reader that waits."""
        if self._writer is not None:
            self._gave_up = True
            self._writer.cancel()
        elif self._loop_gate is not None:
            self._loop_gate.wake()

    # Writing, in the reader's task or in the pump's.

    @types.coroutine
    def _guarded(self, write: Awaitable[object]) -> Generator[Any, Any, None]:
        """Await a write. One that does not wait, as nearly each, costs no look at the clock."""
        running = write.__await__()
        try:
            waits_for = next(running)
        except StopIteration:
            return
        yield from self._in_time(running, waits_for)

    @types.coroutine
    def _pass_on(self, frames: bytes) -> Generator[Any, Any, None]:
        """Write for a reader that sleeps on; its own is what the write raises."""
        assert self._write is not None
        self._schedule.wrote(self._clock.now(), self._machine.parts)
        self.pump.bytes_sent += len(frames)
        try:
            running = self._write(frames, True).__await__()
            waits_for = next(running)
        except StopIteration:
            return
        except BaseException as error:
            self._fault = error
            self._inbox.wake_reader()
            return
        yield from self._pass_on_slowly(running, waits_for)

    def _pass_on_slowly(self, running: Running, waits_for: Any) -> Generator[Any, Any, None]:
        self._writing = True
        task = asyncio.current_task()
        try:
            yield from self._in_time(running, waits_for)
        except GeneratorExit:
            raise
        except BaseException as error:
            # A write may raise it unasked, and is not the source.
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            self._fault = error
        finally:
            self._writing = False
            # The source could give nothing meanwhile.
            self._schedule.wrote(self._clock.now(), self._machine.parts)
            self._inbox.wake_reader()

    def _in_time(self, running: Running, waits_for: Any) -> Generator[Any, Any, None]:
        _, alarm = self._at_gate()
        self._writer = writer = asyncio.current_task()
        assert writer is not None
        seconds, cancelled = self.pump.send_timeout, writer.cancelling()
        alarm.set(None if seconds is None else self._clock.now() + seconds)
        try:
            yield from _resumed(running, waits_for)
        finally:
            # Whatever the write made of its cancellation, unless others cancelled it as well.
            self._writer = None
            alarm.clear()
            gave_up, self._gave_up = self._gave_up, False
            if gave_up and writer.uncancel() <= cancelled:
                raise ReaderLeft(f"the reader took nothing for {seconds} seconds") from None

    # What both share.

    def _step(self) -> bytes | Wait:
        inbox = self._inbox
        if self._left and not inbox.finished:
            return _END
        if self._writing:
            return Wait(None)
        if inbox.finished:
            return self._last_word()
        now = self._clock.now()
        if frames := inbox.take():
            self._note(frames, now)
            if self._schedule.over(now) and not inbox.finished:
                self._fail(self._too_long(), now)
            return frames
        if inbox.finished:
            return self._last_word()
        if self._ending is not None:
            return self._wait_for_terminal(self._ending, now)
        match self._schedule.due(now, self._machine.parts):
            case "keep_alive":
                comment = self._machine.keep_alive()
                self._schedule.wrote(now)
                self.pump.bytes_sent += len(comment)
                return comment
            case "source_timeout" | "max_duration":
                if self._expire(now):
                    return self._step()
        return Wait(self._schedule.next())

    def _note(self, frames: bytes, now: float) -> None:
        self._schedule.wrote(now, self._machine.parts)
        self.pump.bytes_sent += len(frames)

    def _expire(self, now: float) -> bool:
        """End the stream if it has come to one of its limits; return whether it has."""
        match self._schedule.passed(now, self._machine.parts):
            # A source in the reader's own thread has had its say by the time of this look.
            case "source_timeout" if not isinstance(self.pump.driver, InlineDriver):
                seconds = self._schedule.source_timeout
                self._fail(SourceTimeout(f"the source gave no part for {seconds} seconds"), now)
                return True
            case "max_duration":
                self._fail(self._too_long(), now)
                return True
        return False

    def _too_long(self) -> DurationExceeded:
        return DurationExceeded(f"the stream lasted {self._schedule.max_duration} seconds")

    def _fail(self, error: BaseException, now: float) -> None:
        self._ending = error
        self._ending_until = now + HAND_OVER_SECONDS
        self.pump.fail(error)

    def _last_word(self) -> bytes | Wait:
        self._came_back = True
        pump = self.pump
        response, pump.response = pump.response, None
        if response is None:
            return _END
        # It came too late for `prime`, and nothing was streamed.
        self._came_back = False
        pump.error = too_late(response)
        frames = self._machine.fail(pump.error)
        pump.bytes_sent += len(frames)
        return frames

    def _wait_for_terminal(self, error: BaseException, now: float) -> Wait:
        # The source's loop writes the terminal; if the source itself blocks
        # that loop, nothing is being fed there, and the reader writes it.
        if now >= self._ending_until:
            self.pump.end(error)
            return Wait(now)
        return Wait(self._ending_until)

    def _unprimed_until(self, deadline: float) -> float | None:
        """Return until when to wait for the first part, None to wait no more."""
        if self.pump.ended or self._machine.parts or self._left or not self._inbox.is_empty():
            return None
        now = self._clock.now()
        if self._ending is None and not self._expire(now):
            return None if now >= deadline else min(deadline, self._schedule.limit())
        assert self._ending is not None
        return self._wait_for_terminal(self._ending, now).until

    def _has_failed_early(self) -> bool:
        pump = self.pump
        return (
            pump.ended
            and not self._machine.parts
            and (pump.error is not None or pump.response is not None)
        )

    def _primed(self) -> object | None:
        self._schedule.wrote(self._clock.now())
        if not self._has_failed_early():
            return None
        if self.pump.error is not None:
            raise self.pump.error
        return self.pump.response

    def settle(self) -> None:
        """Say how it ended, as far as the reader knows."""
        pump = self.pump
        if self._alarm is not None:
            self._alarm.cancel()
        if pump.result is not None:
            return
        if pump.error is not None:
            self._log(pump.error)
        if self._came_back or (self._inbox.finished and not self._unsent):
            pump.settle(pump.outcome())
        else:
            pump.leave()

    def _settle_early(self) -> None:
        # Not logged: it is raised, or it is a response and no error.
        self.pump.settle(self.pump.outcome())

    def _log(self, error: BaseException) -> None:
        log.log(
            logging.WARNING if isinstance(error, SourceError) else logging.ERROR,
            "stream failed after %d parts: %s",
            self._machine.parts,
            type(error).__name__,
            exc_info=error,
        )

    def _patience(self, seconds: float) -> float | None:
        # A source that ended by itself closes, and `on_finish` runs, as long as
        # it takes. One that was told to stop may never return from `next()`.
        return seconds if self.pump.stopping else None


def _resumed(running: Running, waits_for: Any) -> Generator[Any, Any, None]:
    """Go on with what has been run to its first wait."""
    while True:
        try:
            yield waits_for
            break
        except BaseException as error:
            # What a server wrote in another language, as granian, may have `__next__` alone.
            if (throw := getattr(running, "throw", None)) is None:
                raise
            try:
                waits_for = throw(error)
            except StopIteration:
                return
    yield from running
