"""Where an async source runs: a task of its own."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
import types
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Generator
from typing import Any

from .. import process
from ..errors import SourceCancelled
from ..gates import Alarm, LoopGate
from ..opening import (
    Returns,
    aclose_all,
    aenter,
    check_source,
    explained,
    is_factory,
    makes_async,
    open_async,
    runs_on_loop,
)
from ..pump import Pump, acall_on_finish
from .sync import ThreadDriver

__all__ = ["LoopDriver"]

log = logging.getLogger("tokenstream")

SLICE_SECONDS = 0.001
"""How long an async source that never waits may hold its loop."""


class LoopDriver:
    """An async source runs in a task of its own, on the reader's loop or the shared one."""

    __slots__ = ("_gate", "_handed_over", "_in_source", "_pump", "_slice_end", "_task", "loop")

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        loop = None if pump.host.shared_loop else pump.reader_loop
        self.loop: asyncio.AbstractEventLoop = loop or process.shared_loop()
        self._task: asyncio.Task[None] | None = None
        self._gate: LoopGate
        self._in_source = False
        self._handed_over = False
        self._slice_end = 0.0

    def start(self, source: object) -> None:
        """Begin; return at once."""
        if not self._on_loop(lambda: self._start(source)):
            self._pump.finished()

    def wake(self) -> None:
        """Look again."""
        if not self._on_loop(self._wake):
            self._lost()

    def interrupt(self) -> None:
        """Cancel the source where it waits; clean-up, once begun, is left alone."""
        if not self._on_loop(self._interrupt):
            self._lost()

    def exclusively(self, change: Callable[[], object]) -> None:
        """Make a change on the loop, where parts are fed: no lock on the way of a token."""
        if not self._on_loop(change):
            change()

    def ask(self, change: Callable[[], object]) -> None:
        """Make a change."""
        change()

    def _on_loop(self, action: Callable[[], object]) -> bool:
        if _running_loop() is self.loop:
            action()
            return True
        try:
            self.loop.call_soon_threadsafe(action)
        except RuntimeError:
            return False  # the loop is closed, and with it the task
        return True

    def _lost(self) -> None:
        # The loop was closed with the task in it. asyncio would complain of the
        # task when it is collected, and has no public way to say that it is known.
        task: Any = self._task
        if hasattr(task, "_log_destroy_pending"):
            task._log_destroy_pending = False
        self._pump.finished()

    def _start(self, source: object) -> None:
        self._gate = LoopGate()
        self._task = self.loop.create_task(
            self._run(source), name="tokenstream-pump", context=self._pump.context
        )

    def _wake(self) -> None:
        if self._task is not None:
            self._gate.wake()

    def _interrupt(self) -> None:
        self._wake()
        if self._task is not None and self._in_source:
            self._in_source = False  # once: what follows is clean-up
            self._task.cancel()

    async def _run(self, source: object) -> None:
        pump = self._pump
        try:
            await self._pull(source)
            if self._handed_over:
                return
            await self._reader(lambda: pump.result is not None)
            await acall_on_finish(pump)
        except asyncio.CancelledError:
            # The loop ends while the reader's last word is awaited.
            pump.conclude("cancelled")
            raise
        finally:
            if not self._handed_over:
                pump.finished()

    async def _pull(self, source: object) -> None:
        pump = self._pump
        iterator: AsyncIterator[object] | None = None
        cancelled: asyncio.CancelledError | None = None
        try:
            self._in_source = not pump.stopping
            if pump.stopping:
                return
            source = await self._resolve(source)
            if self._handed_over:
                return
            iterator = open_async(source)
            if isinstance(iterator, Returns):
                pump.end_with(iterator.value)
            else:
                await self._attend(self._take_parts(iterator))
        except asyncio.CancelledError as error:
            cancelled = error
        except BaseException as error:
            pump.end(explained(error))
            self._pass_up(error)
        finally:
            self._in_source = False
            if cancelled is not None:
                self._was_cancelled(cancelled)
                cancelled = None  # its traceback knows this frame, and that all of the stream
            # Collected after its loop was closed, it can await nothing any more.
            if not self._handed_over and _running_loop() is self.loop:
                await self._close(iterator, source)

    def _pass_up(self, error: BaseException) -> None:
        """Raise what is for who runs the loop, if it's not us: Ctrl-C, say."""
        is_ours = self.loop is not self._pump.reader_loop
        if isinstance(error, KeyboardInterrupt | SystemExit) and not is_ours:
            raise error

    async def _close(self, *things: object) -> None:
        try:
            await aclose_all(*things)
        except (KeyboardInterrupt, SystemExit) as error:
            self._pass_up(error)
            log.exception("closing the source raised")

    def _was_cancelled(self, error: asyncio.CancelledError) -> None:
        # Ours, or the loop's, or the source's own: in each case the source is
        # closed next, in this task, and its clean-up must be able to await.
        pump, task = self._pump, self._task
        if pump.stopping:
            return
        reason = SourceCancelled("the source was cancelled from outside")
        reason.__cause__ = error
        pump.end(reason)
        if task is not None and task.cancelling():
            # The loop ends its tasks, and waits for this one: no word of the
            # reader's may be waited for.
            pump.conclude("cancelled")

    async def _resolve(self, source: object) -> object:
        pump = self._pump
        if is_factory(source) and makes_async(source):
            source = source()
        if inspect.isawaitable(source) and not isinstance(source, AsyncIterable):
            source = await source
        if pump.host.is_response(source):
            return Returns(source)
        if not runs_on_loop(source, wants_async=pump.wants_async):
            check_source(source)
            self._handed_over = True
            # A thread in any case: the reader's own may be asleep by now.
            pump.hand_over(source, ThreadDriver(pump))
            return source
        return pump.opened(await aenter(source))

    async def _take_parts(self, iterator: AsyncIterator[object]) -> None:
        pump, inbox, look = self._pump, self._pump.inbox, time.perf_counter
        texts, overhead = pump.texts, pump.machine.overhead
        # A reader on another thread reads while this one runs: it gets each at once.
        gathers = self.loop is pump.reader_loop
        gathered, room = 0, inbox.room()
        is_first = True
        async for item in iterator:
            if is_first:
                is_first = False
                pump.host.on_first_part()
            if gathers and type(item) is str:
                # Framed many at a time: a token of a hot source costs 0.3 us here, not 1.
                texts.append(item)
                gathered = overhead + len(item) + (gathered if len(texts) > 1 else 0)
                if gathered < room and look() < self._slice_end:
                    continue
                has_room = pump.flush()
            else:
                pump.flush()
                has_room = pump.accept(item)
            if not has_room:
                await self._reader(lambda: pump.stopping or pump.ended or inbox.has_room())
                if pump.stopping:
                    return
            if look() >= self._slice_end:
                # A source that never waits must not hold the loop, nor be
                # unstoppable: this is where its cancellation is raised.
                await asyncio.sleep(0)
            room = inbox.room()
        pump.end()

    @types.coroutine
    def _attend(self, taking: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
        """Run it, and before each of its waits hand over what it has taken.

        That the source waits is the sign that a token comes alone: no timer
        and no guess is needed to send it at once, and none to join those of a
        source that is hot.
        """
        pump, inbox = self._pump, self._pump.inbox
        resume: Callable[[Any], Any] = taking.send
        value: Any = None
        while True:
            # None before the first token, which a reader waits for, nor after the end.
            is_open = pump.first_at is not None and not pump.ended
            self._slice_end = time.perf_counter() + SLICE_SECONDS if is_open else 0.0
            try:
                waits_for = resume(value)
            except StopIteration:
                return
            finally:
                value = None  # an exception's traceback knows this frame
            try:
                if (sink := inbox.sink) is None:
                    pump.flush()
                elif frames := pump.ready():
                    yield from sink(frames)
                    if pump.stopping:  # and the write kept its cancellation to itself
                        raise asyncio.CancelledError
            except asyncio.CancelledError as error:
                # As a task does that is cancelled where it waits.
                if waits_for is None or not waits_for.cancel():
                    resume, value = taking.throw, error
                    continue
            except Exception as error:  # of a wire of the app's own
                pump.fail(error)
            except BaseException as error:  # Ctrl-C, or the loop's end: the source's to close by
                resume, value = taking.throw, error
                continue
            try:
                value = yield waits_for
                resume = taking.send
            except BaseException as error:
                resume, value = taking.throw, error

    async def _reader(self, may_go_on: Callable[[], bool]) -> None:
        """Wait for what the reader does; it has `send_timeout` for each time it takes something."""
        pump, inbox = self._pump, self._pump.inbox
        until = pump.room_deadline()
        alarm = Alarm(pump.clock, self._gate)
        try:
            while not may_go_on():
                waiter = self._gate.arm()
                inbox.producer = self._gate
                alarm.set(until)
                if not may_go_on():
                    await waiter
                if inbox.producer is None:  # it took what there was, maybe the last
                    until = pump.room_deadline()
                inbox.producer = None
                if pump.is_past(until) and not may_go_on():
                    pump.give_up()
        finally:
            alarm.cancel()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
