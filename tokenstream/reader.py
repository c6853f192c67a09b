"""The reader's side of a stream that has started: what comes next, and how to wait for it."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Callable, Generator
from math import inf
from typing import Any, TypeAlias

from .clock import Clock
from .drivers import InlineDriver
from .errors import DurationExceeded, ReaderLeft, SizeExceeded, SourceTimeout
from .gates import Alarm, LoopGate, ThreadGate
from .opening import too_late
from .pump import Pump
from .schedule import Schedule

__all__ = ["CLOSE_SECONDS", "Reader", "Write"]

CLOSE_SECONDS = 1.0
"""How long `close` waits for a thread: a `next()` that blocks in C can't be ended."""

LOOK_SECONDS = 0.1
"""How often a thread that waits looks whether its reader has gone, where it can."""

HAND_OVER_SECONDS = 1.0
"""How long the source's place has to write a terminal, before the reader writes it."""

Write: TypeAlias = Callable[[bytes, bool], Awaitable[None]]
"""Sends a chunk; the flag says whether there are more."""


Running: TypeAlias = Generator[Any, Any, Any]
"""Something awaited, between two of its waits."""


class Wait(float):
    """What a reader does when there is nothing to send: until then, by the stream's clock."""

    __slots__ = ()


_FOR_EVER = Wait(inf)
_END = Wait(inf)


class Reader:
    """One reader of one pump. Its two kinds, a thread and a task, differ in how they wait.

    pulls: the source runs in the reader's thread and has no deadline, so that
        there is nothing to look at before it has run for another part.
    byte_limit: bytes after which the stream fails, None for no limit.
    """

    __slots__ = (
        "_alarm",
        "_byte_limit",
        "_came_back",
        "_clock",
        "_ending",
        "_ending_until",
        "_fault",
        "_has_left",
        "_inbox",
        "_left",
        "_limit",
        "_loop_gate",
        "_machine",
        "_overslept",
        "_pulls",
        "_schedule",
        "_thread_gate",
        "_unsent",
        "_waited",
        "_write",
        "_writing_since",
        "pump",
    )

    def __init__(
        self,
        pump: Pump,
        schedule: Schedule,
        clock: Clock,
        *,
        pulls: bool,
        byte_limit: int | None = None,
    ) -> None:
        self.pump = pump
        self._inbox = pump.inbox
        self._machine = pump.machine
        self._schedule = schedule
        self._byte_limit = byte_limit
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
        self._writing_since: float | None = None  # by the pump's task
        self._overslept = False  # it took so long that the reader had looked
        self._fault: BaseException | None = None  # that it raised
        self._limit: _Limit | None = None

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
        if self._limit is not None and self._limit.is_on and not self._inbox.finished:
            self.pump.leave()  # a server may let its write wait on: gunicorn's asgi worker does

    # A thread that reads.

    def read(self) -> bytes | None:
        """Return the next chunk, None at the end, which has been settled then."""
        if self._pulls and (frames := self._pulled()):
            return frames
        while not isinstance(step := self._step(), bytes):
            if step is _END:
                self.settle()
                self.wait_done(self._patience(CLOSE_SECONDS))
                return None
            self._wait(step)
        return step

    def _pulled(self) -> bytes:
        """Return the next part's frames; none where there is anything else to look at."""
        pump, inbox = self.pump, self._inbox
        if pump.ended or inbox.frames or not self._pull():
            return b""
        # It may have ended now, or have turned out to be one for a loop.
        if pump.ended or self._left or pump.driver.loop is not None:
            return b""
        frames = inbox.take()
        pump.bytes_sent += len(frames)
        return frames

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

    def _wait(self, until: float) -> None:
        if self._pull():
            return
        inbox = self._inbox
        if self._thread_gate is None:
            self._thread_gate = ThreadGate(self._clock)
        if self._has_left is not None:
            until = min(until, self._clock.now() + LOOK_SECONDS)
        inbox.reader = self._thread_gate
        if self.pump.texts:
            self._collect()
        if not (inbox.frames or self._left):
            self._thread_gate.wait(None if until == inf else until)
        inbox.reader = None
        if self._has_left is not None and not inbox.frames and self._has_left():
            self._left = True

    # A task that reads.

    async def aread(self) -> bytes | None:
        """Do what `read` does, in a task."""
        while not isinstance(step := self._step(), bytes):
            if step is _END:
                self.settle()
                await self.await_done(self._patience(self.clean_up_seconds()))
                return None
            await self._await(step)
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
        self._come_to_loop()
        self._write = write
        if opening is not None:
            await self._guarded(opening)
            del opening
        while (chunk := await self.aread()) is not None:
            await self._guarded(write(chunk, not self.at_end))

    async def await_done(self, seconds: float | None) -> None:
        """Do what `wait_done` does, in a task."""
        if not self.pump.done.is_open and not self._waited:
            await self.pump.await_closed(seconds)
            self._waited = True

    def clean_up_seconds(self) -> float | None:
        """Return how long a task waits for a source that was told to stop."""
        return self.pump.host.clean_up_seconds if self.pump.is_on_loop() else CLOSE_SECONDS

    async def _await(self, until: float) -> None:
        if self._write is None:
            # Once for all of `write_to`: in 3.11 asyncio asks the kernel which process it is in.
            self._come_to_loop()
        inbox, gate, alarm = self._inbox, self._loop_gate, self._alarm
        assert gate is not None
        assert alarm is not None
        waiter = gate.arm()
        if self._write is not None and self.pump.driver.loop is gate.loop:
            inbox.lend(gate, self._pass_on)
            if self.pump.send_timeout is not None:  # to look at the writes of the other
                until = min(until, self._clock.now() + self.pump.send_timeout)
        else:
            inbox.reader = gate
            if self.pump.texts:
                self._collect()
        try:
            if not (inbox.frames or self._left) or self._writing_since is not None:
                alarm.set(None if until == inf else until)
                await waiter
        finally:
            inbox.withdraw()
            alarm.clear()
        if self._fault is not None:
            raise self._fault

    def _come_to_loop(self) -> None:
        if self._loop_gate is None or self._loop_gate.loop is not asyncio.get_running_loop():
            self._loop_gate = LoopGate()
            self._alarm = Alarm(self._clock, self._loop_gate)

    # Writing. Nothing here looks at the clock, or sets a timer, for a write that does not wait.

    async def _pass_on(self, frames: bytes) -> None:
        """Write, in the source's task, for a reader that sleeps on and raises what this raises.

        A token that comes alone costs 30 us of CPU under uvicorn, not the 39 of two tasks.
        """
        assert self._write is not None
        self._writing_since = now = self._clock.now()
        self._schedule.wrote(now, self._machine.parts)
        self.pump.bytes_sent += len(frames)
        try:
            await self._write(frames, True)
        except GeneratorExit:
            raise
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and _this_task().cancelling():
                raise  # else the write raised it unasked, and is not the source
            self._fault = error
            self._inbox.wake_reader()
        else:
            if self._is_too_large():
                self._inbox.wake_reader()  # which cancels the source, as this its own task can't
        finally:
            self._writing_since = None
            if self._overslept:
                self._wake_up()

    def _wake_up(self) -> None:
        # The source could give nothing meanwhile.
        self._overslept = False
        self._schedule.wrote(self._clock.now(), self._machine.parts)
        self._inbox.wake_reader()

    def _wait_for_write(self, since: float) -> Wait:
        """Sleep on while the source's task writes, but for no longer than a write may take."""
        self._overslept = True
        seconds = self.pump.send_timeout
        if seconds is None:
            return _FOR_EVER
        if self._clock.now() >= since + seconds:
            raise self._gone()
        return Wait(since + seconds)

    @types.coroutine
    def _guarded(self, write: Awaitable[object]) -> Generator[Any, Any, None]:
        """Await a write of the reader's own: one that waits gets a limit, others cost no look."""
        running = write.__await__()
        try:
            waits_for = next(running)
        except StopIteration:
            return
        yield from self._in_time(running, waits_for)

    def _in_time(self, running: Running, waits_for: Any) -> Generator[Any, Any, None]:
        limit = self._limit = self._limit or _Limit(self._clock)
        limit.begin(self.pump.send_timeout)
        try:
            yield from _resumed(running, waits_for)
        finally:
            # Whatever the write made of its cancellation.
            if limit.end():
                raise self._gone() from None

    def _gone(self) -> ReaderLeft:
        return ReaderLeft(f"the reader took nothing for {self.pump.send_timeout} seconds")

    # What both share.

    def _step(self) -> bytes | Wait:
        inbox = self._inbox
        if self._left and not inbox.finished:
            return _END
        if self._writing_since is not None:
            return self._wait_for_write(self._writing_since)
        if inbox.finished:
            return self._last_word()
        now, schedule = self._clock.now(), self._schedule
        if self._is_too_large() and self._ending is None:
            self._fail(self._too_large(), now)
        if self.pump.texts:
            self._collect()
        if inbox.frames and ((frames := inbox.take()) or self._is_bare_end()):
            schedule.wrote(now, self._machine.parts)
            self.pump.bytes_sent += len(frames)
            if schedule.max_duration is not None and schedule.over(now) and not inbox.finished:
                self._fail(self._too_long(), now)
            return frames
        if inbox.finished:
            return self._last_word()
        if self._ending is not None:
            return self._wait_for_terminal(self._ending, now)
        until = schedule.next(now, self._machine.parts)
        if now < until:
            return Wait(until)
        if schedule.passed(now, self._machine.parts) is None:
            return self._comment(now) or self._step()
        return self._step() if self._expire(now) else Wait(until)

    def _is_bare_end(self) -> bool:
        """Tell whether the end is that of a wire with no terminal: a write must hear of it, too."""
        pump = self.pump
        return self._write is not None and self._inbox.finished and pump.response is None

    def _collect(self) -> None:
        """See to what a thread has gathered while nobody waited for it."""
        try:
            self.pump.driver.exclusively(self.pump.flush)
        except Exception as error:  # of a wire of the app's own: the stream's to tell, not ours
            self.pump.fail(error)

    def _comment(self, now: float) -> bytes:
        try:
            comment = self._machine.keep_alive()
        except Exception as error:  # of a wire of the app's own: the stream's to tell, not ours
            self._fail(error, now)
            return b""
        self._schedule.wrote(now)
        self.pump.bytes_sent += len(comment)
        return comment

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

    def _is_too_large(self) -> bool:
        return self._byte_limit is not None and self.pump.bytes_sent > self._byte_limit

    def _too_large(self) -> SizeExceeded:
        return SizeExceeded(f"the stream has {self.pump.bytes_sent} bytes, over {self._byte_limit}")

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
        return self._wait_for_terminal(self._ending, now)

    def _has_failed_early(self) -> bool:
        pump = self.pump
        failed = pump.error is not None and not self._machine.in_band
        return pump.ended and not self._machine.parts and (failed or pump.response is not None)

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
        for timer in (self._alarm, self._limit):
            if timer is not None:
                timer.cancel()
        if pump.result is not None:
            return
        if pump.error is not None:
            pump.log_failure(pump.error)
        if self._came_back or (self._inbox.finished and not self._unsent):
            pump.settle(pump.outcome())
        else:
            pump.leave()

    def _settle_early(self) -> None:
        # Not logged: it is raised, or it is a response and no error.
        self.pump.settle(self.pump.outcome())

    def _patience(self, seconds: float | None) -> float | None:
        # A source that ended by itself closes, and `on_finish` runs, as long as
        # it takes. One that was told to stop may never return from `next()`.
        return seconds if self.pump.stopping else None


class _Limit:
    """Cancels the task that is in a write for too long: one lazy timer, none a write."""

    __slots__ = ("_alarm", "_cancelled", "_clock", "_is_past", "_task", "is_on", "loop")

    def __init__(self, clock: Clock) -> None:
        self.loop = asyncio.get_running_loop()
        self._clock = clock
        self._alarm = Alarm(clock, self)
        self.is_on = False  # a write waits

    def begin(self, seconds: float | None) -> None:
        self.is_on = True
        self._task = _this_task()
        self._cancelled = self._task.cancelling()
        self._is_past = False
        if seconds is not None:
            self._alarm.set(self._clock.now() + seconds)

    def wake(self) -> None:
        self._is_past = True
        self._task.cancel()

    def end(self) -> bool:
        """Return whether it was too long, and nobody else has cancelled the task."""
        self.is_on = False
        self._alarm.clear()
        return self._is_past and self._task.uncancel() <= self._cancelled

    def cancel(self) -> None:
        self._alarm.cancel()


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


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
