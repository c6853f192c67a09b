"""The pump owns a source for its whole life.

`next`, `close`, context variables and clean-up all happen in one place: one
thread for a sync source, one task for an async one, in one copy of the
caller's context. What the two places share is `Pump`; a driver is a place.

Which kind a source is may show only when it is called or awaited, so a driver
that comes to a source of the other kind hands it over.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import inspect
import logging
import threading
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Protocol

from . import process
from .clock import Clock
from .errors import (
    DurationExceeded,
    FinishedTooLate,
    ForeignLoop,
    LostInFork,
    NotASource,
    ServerShutdown,
    SourceCancelled,
    SourceTimeout,
)
from .gates import LoopGate, ThreadGate
from .inbox import Inbox
from .machine import Machine
from .parts import Interruptible
from .result import Outcome, Result

__all__ = ["Host", "InlineDriver", "LoopDriver", "Pump", "ThreadDriver", "check_source", "is_async"]

log = logging.getLogger("tokenstream")

SLICE_SECONDS = 0.001
"""How long an async source that never waits may hold its loop."""

LOOK_EVERY = 4
"""Tokens between two looks at the clock; the look costs as much as half a token."""


def _no_response(_: object) -> bool:
    return False


@dataclass(frozen=True)
class Host:
    """What a framework lends to the streams in it.

    scope: entered around all sync work of the stream, on the thread that does it.
    is_response: tells a finished response, which is passed through, from a source.
    shared_loop: run async sources on the process's shared loop, though a loop
        runs where the stream is made: that one is about to end.
    run_id: ids for the first event and the terminal, see `Machine`.
    has_left: looks, from the reader's thread, whether the reader has gone.
    """

    scope: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext
    is_response: Callable[[object], bool] = _no_response
    shared_loop: bool = False
    run_id: str | None = None
    has_left: Callable[[], bool] | None = None


class Driver(Protocol):
    """A place where a source runs."""

    def start(self, source: object) -> None:
        """Begin; return at once."""

    def wake(self) -> None:
        """There may be room, or an end: look again. From any thread."""

    def interrupt(self) -> None:
        """The pump is to stop, now if the source waits. From any thread."""

    def exclusively(self, change: Callable[[], None]) -> None:
        """Make a change while the source is not being fed. From any thread."""


class Pump:
    """What the reader's side and a driver know of each other."""

    def __init__(
        self,
        machine: Machine,
        inbox: Inbox,
        *,
        host: Host,
        context: Context,
        clock: Clock,
        on_finish: Callable[[Result], Any] | None,
        send_timeout: float | None,
    ) -> None:
        self.machine = machine
        self.inbox = inbox
        self.host = host
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
        self.done: concurrent.futures.Future[None] = concurrent.futures.Future()
        self.driver: Driver
        self.reader_loop: asyncio.AbstractEventLoop | None = None
        self.wants_async = False  # of a source that is both, take the async side

    # The reader's side, from any thread.

    def start(self, source: object, *, loop: asyncio.AbstractEventLoop | None) -> None:
        """Begin to pull. `loop`: the reader's, None if it is a thread."""
        self.reader_loop = loop
        self.wants_async = loop is not None
        process.register(self)
        self.driver = self._place_for(source)
        self.driver.start(source)

    def start_inline(self, source: object) -> InlineDriver:
        """Begin to pull in the reader's own thread, a part at a time."""
        self.driver = driver = InlineDriver(self)
        driver.start(source)
        return driver

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
        self.stopping = True
        self.settle(outcome)
        self.driver.interrupt()

    def is_on_loop(self) -> bool:
        """Tell whether the source runs on a loop, where its clean-up can be awaited."""
        return isinstance(self.driver, LoopDriver)

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

    def shut_down(self) -> None:
        """Close the source, for the process ends; a reader that still reads sees why."""
        error = ServerShutdown("the process ends while this stream is open")
        self.driver.exclusively(lambda: self.end(error))
        self.leave("shutdown")

    def wait_closed(self, timeout: float | None) -> None:
        """Block until the source is closed and `on_finish` has run, or for `timeout` seconds."""
        concurrent.futures.wait([self.done], timeout)

    def lost_in_fork(self) -> None:
        """The driver is in the parent: the reader here gets an error frame and the end."""
        # A driver that does nothing, so that no lock of the parent is waited for.
        self.driver = InlineDriver(self)
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
        if self.first_at is None:
            self.first_at = self.clock.now()
            return self.inbox.put(frames)  # wakes a reader that primes, though it be empty
        return self.inbox.put(frames) if frames else self.inbox.has_room()

    def end(self, error: BaseException | None = None) -> None:
        """Hand over the terminal, once."""
        if self.ended:
            return
        self.ended = True
        self.error = error
        self.inbox.end(self.machine.finish() if error is None else self.machine.fail(error))

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

    def hand_over(self, source: object) -> None:
        """Let the other kind of driver go on with `source`, which has been called by now."""
        driver: Driver = LoopDriver(self) if _runs_on_loop(source, self) else ThreadDriver(self)
        self.driver = driver
        driver.start(source)

    def room_deadline(self) -> float | None:
        """Return when a reader that makes no room counts as gone."""
        return None if self.send_timeout is None else self.clock.now() + self.send_timeout

    def is_past(self, until: float | None) -> bool:
        """Tell whether it is later than that."""
        return until is not None and self.clock.now() >= until

    def give_up(self) -> None:
        """The reader made no room for `send_timeout` seconds."""
        self.stopping = True
        self.conclude("disconnected")
        self.inbox.end(b"")

    def finished(self) -> None:
        """All is done: the source is closed and `on_finish` has run."""
        process.unregister(self)
        self._close()

    def _close(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def conclude(self, outcome: Outcome) -> None:
        """Make the result, once. Only where nothing is being fed."""
        if self.result is not None:
            return
        self.ended = True
        gathered = self.machine.gathered
        first = self.first_at
        self.result = Result(
            text="".join(gathered.texts),
            reasoning="".join(gathered.reasoning),
            tool_calls=tuple(gathered.calls[index] for index in sorted(gathered.calls)),
            outcome=outcome,
            error=self.error,
            finish_reason=gathered.finish_reason,
            parts=self.machine.parts,
            usage=gathered.usage,
            ttft=None if first is None else first - self.started_at,
            duration=self.clock.now() - self.started_at,
            bytes_sent=self.bytes_sent,
        )

    def _place_for(self, source: object) -> Driver:
        return LoopDriver(self) if _runs_on_loop(source, self) else ThreadDriver(self)


class ThreadDriver:
    """A sync source runs on a thread of its own."""

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self._gate = ThreadGate(pump.clock)
        self._turn = threading.Lock()
        self._iterator: Iterator[object] | None = None

    def start(self, source: object) -> None:
        """Begin; return at once."""
        threading.Thread(
            target=self._pump.context.copy().run,
            args=(self._run, source),
            name="tokenstream-pump",
            daemon=True,
        ).start()

    def wake(self) -> None:
        """Look again."""
        self._gate.wake()

    def interrupt(self) -> None:
        """End a `next()` that says it may be ended; another ends with its next part."""
        if isinstance(self._iterator, Interruptible):
            self._iterator.interrupt()
        self._gate.wake()

    def exclusively(self, change: Callable[[], None]) -> None:
        """Make a change between two parts. Only a deadline or an end ever asks for it."""
        with self._turn:
            change()

    def accept(self, item: object) -> bool:
        """Feed one part, unless the reader's side ends the stream meanwhile."""
        with self._turn:
            return self._pump.accept(item)

    def _run(self, source: object) -> None:
        life = _SyncLife(self._pump, self)
        try:
            for _ in life.run(source):
                self._wait(life)
        except BaseException as error:
            log.exception("the host's scope raised")
            self.exclusively(lambda error=error: self._pump.end(error))
        finally:
            if not life.handed_over:
                self._pump.finished()

    def _wait(self, life: _SyncLife) -> None:
        pump, inbox = self._pump, self._pump.inbox
        until = None if life.closed else pump.room_deadline()
        while not life.may_go_on():
            inbox.producer = self._gate
            if not life.may_go_on():
                self._gate.wait(until)
            inbox.producer = None
            if pump.is_past(until) and not life.may_go_on():
                self.exclusively(pump.give_up)

    def watch(self, iterator: Iterator[object]) -> None:
        """Know what may be interrupted."""
        self._iterator = iterator
        if self._pump.stopping:
            self.interrupt()


class InlineDriver:
    """A sync source runs in the reader's thread, a part at a time: nothing else needs a clock."""

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self._life = _SyncLife(pump, self)
        self._steps: Iterator[None] = iter(())
        self._running = False

    def start(self, source: object) -> None:
        """Begin; the first part is pulled by `advance`."""
        self._steps = self._life.run(source)

    def advance(self) -> None:
        """Pull one part, or do what comes after the last."""
        self._running = True
        try:
            for _ in self._steps:
                return
        finally:
            self._running = False
        if not self._life.handed_over:
            self._pump.finished()

    def wake(self) -> None:
        """Do what comes after the last part, if that is what is left; pull no other."""
        pump, life = self._pump, self._life
        while not self._running and not pump.done.done() and life.is_ending():
            self.advance()

    def interrupt(self) -> None:
        """Close the source, unless it is the source that interrupts."""
        self.wake()

    def exclusively(self, change: Callable[[], None]) -> None:
        """The only thread makes a change."""
        change()

    def accept(self, item: object) -> bool:
        """Feed one part; there never is room for another before it is read."""
        self._pump.accept(item)
        return False

    def watch(self, iterator: Iterator[object]) -> None:
        """There is nobody who could interrupt."""


class _SyncLife:
    """The life of a sync source. It yields where it must wait for the reader."""

    def __init__(self, pump: Pump, driver: ThreadDriver | InlineDriver) -> None:
        self._pump = pump
        self._driver = driver
        self.closed = False
        self.handed_over = False

    def may_go_on(self) -> bool:
        """Tell whether what was waited for is there."""
        pump = self._pump
        if self.closed:
            return pump.result is not None
        return pump.stopping or pump.inbox.has_room()

    def is_ending(self) -> bool:
        """Tell whether it may go on, and not to another part."""
        return (self.closed or self._pump.stopping) and self.may_go_on()

    def run(self, source: object) -> Iterator[None]:
        """Yield for each wait; the driver goes on once `may_go_on`."""
        with self._pump.host.scope():
            yield from self._pull(source)
            self.closed = True
            if self.handed_over:
                return
            while self._pump.result is None:
                yield
            _call_on_finish(self._pump)

    def _pull(self, source: object) -> Iterator[None]:
        iterator: Iterator[object] | None = None
        try:
            source = self._resolve(source)
            if self.handed_over:
                return
            iterator = _iter(source)
            self._driver.watch(iterator)
            yield from self._feed(iterator)
        except GeneratorExit:
            raise
        except BaseException as error:
            # KeyboardInterrupt and SystemExit, too: on this thread they are
            # the source's, and the reader must not wait for ever.
            self._driver.exclusively(lambda error=error: self._pump.end(error))
        finally:
            if not self.handed_over:
                _close_all(iterator, source)

    def _resolve(self, source: object) -> object:
        pump = self._pump
        if _is_factory(source):
            source = source()
        if pump.host.is_response(source):
            return _Returns(source)
        if _runs_on_loop(source, pump):
            self.handed_over = True
            self._driver.exclusively(lambda: pump.hand_over(source))
        return source

    def _feed(self, iterator: Iterator[object]) -> Iterator[None]:
        pump, accept = self._pump, self._driver.accept
        try:
            first = next(iterator)
        except StopIteration as stop:
            value = stop.value
            self._driver.exclusively(lambda: pump.end_with(value))
            return
        if not accept(first):
            yield
        value = None
        while not pump.stopping:
            try:
                item = next(iterator)
            except StopIteration as stop:
                value = stop.value
                self._driver.exclusively(lambda: pump.end_late(value))
                return
            if not accept(item):
                yield


class LoopDriver:
    """An async source runs in a task of its own, on the reader's loop or the shared one."""

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        loop = None if pump.host.shared_loop else pump.reader_loop
        self._loop = loop or process.shared_loop()
        self._task: asyncio.Task[None] | None = None
        self._gate: LoopGate
        self._in_source = False
        self._handed_over = False

    def start(self, source: object) -> None:
        """Begin; return at once."""
        if not self._on_loop(lambda: self._start(source)):
            self._pump.finished()

    def wake(self) -> None:
        """Look again."""
        if not self._on_loop(self._wake):
            self._pump.finished()

    def interrupt(self) -> None:
        """Cancel the source where it waits; clean-up, once begun, is left alone."""
        if not self._on_loop(self._interrupt):
            self._pump.finished()

    def exclusively(self, change: Callable[[], None]) -> None:
        """Make a change on the loop, where parts are fed: no lock on the way of a token."""
        if not self._on_loop(change):
            change()

    def _on_loop(self, action: Callable[[], None]) -> bool:
        if _running_loop() is self._loop:
            action()
            return True
        try:
            self._loop.call_soon_threadsafe(action)
        except RuntimeError:
            return False  # the loop is closed, and with it the task
        return True

    def _start(self, source: object) -> None:
        self._gate = LoopGate()
        self._task = self._loop.create_task(
            self._run(source), name="tokenstream-pump", context=self._pump.context.copy()
        )

    def _wake(self) -> None:
        if self._task is not None:
            self._gate.wake()

    def _interrupt(self) -> None:
        self._wake()
        if self._task is not None and self._in_source:
            self._task.cancel()

    async def _run(self, source: object) -> None:
        pump = self._pump
        try:
            await self._pull(source)
            if self._handed_over:
                return
            while pump.result is None:
                waiter = self._gate.arm()
                if pump.result is None:
                    await waiter
            await _acall_on_finish(pump)
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
            iterator = _aiter(source)
            await self._feed(iterator)
        except asyncio.CancelledError as error:
            cancelled = error
        except BaseException as error:
            pump.end(_explained(error))
            if not isinstance(error, Exception):
                raise  # KeyboardInterrupt and SystemExit are the loop's to answer
        finally:
            self._in_source = False
            if cancelled is not None:
                self._was_cancelled(cancelled)
            if not self._handed_over:
                await _aclose_all(iterator, source)

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
        if _is_factory(source) and _makes_async(source):
            source = source()
        if inspect.isawaitable(source) and not isinstance(source, AsyncIterable):
            source = await source
        if pump.host.is_response(source):
            return _Returns(source)
        if not _runs_on_loop(source, pump):
            check_source(source)
            self._handed_over = True
            pump.hand_over(source)
        return source

    async def _feed(self, iterator: AsyncIterator[object]) -> None:
        if isinstance(iterator, _Returns):
            self._pump.end_with(iterator.value)
            return
        pump, accept, look = self._pump, self._pump.accept, time.perf_counter
        count, since = 0, look()
        async for item in iterator:
            if not accept(item):
                await self._room()
                if pump.stopping:
                    return
            count += 1
            if count % LOOK_EVERY == 0 and look() - since > SLICE_SECONDS:
                # A source that never waits must not hold the loop, nor be
                # unstoppable: this is where its cancellation is raised.
                await asyncio.sleep(0)
                since = look()
        pump.end()

    async def _room(self) -> None:
        pump, inbox = self._pump, self._pump.inbox
        until = pump.room_deadline()
        timer = None if until is None else pump.clock.call_at(self._loop, until, self._gate.wake)
        try:
            while not (pump.stopping or pump.ended or inbox.has_room()):
                waiter = self._gate.arm()
                inbox.producer = self._gate
                if not inbox.has_room():
                    await waiter
                inbox.producer = None
                if pump.is_past(until) and not inbox.has_room():
                    pump.give_up()
        finally:
            if timer is not None:
                timer.cancel()


class _Returns:
    """An iterator of nothing that ends with a value, for either kind of driver."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __iter__(self) -> Iterator[object]:
        return self

    def __next__(self) -> object:
        raise StopIteration(self.value)

    def __aiter__(self) -> AsyncIterator[object]:
        return self

    async def __anext__(self) -> object:
        raise StopAsyncIteration


def check_source(source: object) -> None:
    """Raise `NotASource` for what can't be one, before anything is started."""
    if isinstance(source, str | bytes | bytearray | dict):
        raise NotASource(
            f"the source is a {type(source).__name__}, which would be streamed in "
            f"{'keys' if isinstance(source, dict) else 'single characters'}: "
            "give an iterable of tokens, such as [text]"
        )
    if inspect.isgenerator(source) and inspect.getgeneratorstate(source) == inspect.GEN_CLOSED:
        raise NotASource("the source is a generator that is exhausted already: make a new one")
    if inspect.isasyncgen(source) and source.ag_frame is None:
        raise NotASource("the source is a generator that is exhausted already: make a new one")
    if inspect.iscoroutine(source) and inspect.getcoroutinestate(source) == inspect.CORO_CLOSED:
        raise NotASource("the source is a coroutine that was awaited already: call it again")
    if isinstance(source, Iterable | AsyncIterable) or hasattr(source, "__getitem__"):
        return
    if callable(source) or inspect.isawaitable(source):
        return
    raise NotASource(
        f"the source is {type(source).__name__}, which can't be iterated: give an iterable or "
        "async iterable of tokens, an awaitable of one, or a callable that returns one"
    )


def is_async(source: object) -> bool:
    """Tell whether a source can only be read on a loop, as far as can be seen before it is called."""
    if isinstance(source, AsyncIterable):
        return not isinstance(source, Iterable)
    return inspect.isawaitable(source) or (_is_factory(source) and _makes_async(source))


def too_late(response: object) -> FinishedTooLate:
    """Return the error for a response that came after the stream had begun."""
    return FinishedTooLate(
        f"the source returned {type(response).__name__} after the stream had begun: "
        "return a response before the first token, and within `prime` seconds"
    )


def _runs_on_loop(source: object, pump: Pump) -> bool:
    if isinstance(source, AsyncIterable) and isinstance(source, Iterable):
        return pump.wants_async
    return is_async(source)


def _is_factory(source: object) -> bool:
    return callable(source) and not isinstance(source, Iterable | AsyncIterable)


def _makes_async(source: object) -> bool:
    function = inspect.unwrap(getattr(source, "func", source))
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _iter(source: object) -> Iterator[object]:
    check_source(source)
    try:
        return iter(source)
    except TypeError:
        raise NotASource(
            f"the source gave {type(source).__name__}, which can't be iterated: "
            "return an iterable or async iterable of tokens"
        ) from None


def _aiter(source: object) -> AsyncIterator[object]:
    check_source(source)
    return aiter(source)


def _close_all(*things: object) -> None:
    for thing in _each(things):
        close = getattr(thing, "close", None)
        if not callable(close):
            continue
        try:
            close()
        except Exception:
            log.exception("closing the source raised")


async def _aclose_all(*things: object) -> None:
    for thing in _each(things):
        close = getattr(thing, "aclose", None) or getattr(thing, "close", None)
        if not callable(close):
            continue
        try:
            closing = close()
            if inspect.isawaitable(closing):
                await closing
        except Exception:
            log.exception("closing the source raised")


def _each(things: Iterable[object]) -> Iterable[object]:
    seen: list[object] = []
    for thing in things:
        if thing is not None and not any(thing is other for other in seen):
            seen.append(thing)
    return seen


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _explained(error: BaseException) -> BaseException:
    """asyncio says in words only that a thing belongs to another loop, or to a closed one."""
    words = ("attached to a different loop", "bound to a different event loop", "loop is closed")
    if not isinstance(error, RuntimeError) or not any(word in str(error) for word in words):
        return error
    explained = ForeignLoop(
        "the source belongs to another event loop than the one that reads it: "
        "give a callable, such as `lambda: client.create(...)`, so that it is opened where it is read"
    )
    explained.__cause__ = error
    return explained


def _call_on_finish(pump: Pump) -> None:
    """Call it in a thread; what it returns may have to be awaited on a loop."""
    if pump.on_finish is None or pump.result is None or pump.response is not None:
        return
    try:
        awaitable = pump.on_finish(pump.result)
        if inspect.isawaitable(awaitable):
            loop = pump.reader_loop or process.shared_loop()
            asyncio.run_coroutine_threadsafe(_awaited(awaitable), loop).result()
    except Exception:
        log.exception("on_finish raised")


async def _acall_on_finish(pump: Pump) -> None:
    """Call it on the loop if it is async, else in a thread, in the stream's context and scope."""
    if pump.on_finish is None or pump.result is None or pump.response is not None:
        return
    if not inspect.iscoroutinefunction(pump.on_finish):
        await asyncio.to_thread(_call_in_scope, pump)
        return
    try:
        await pump.on_finish(pump.result)
    except Exception:
        log.exception("on_finish raised")


def _call_in_scope(pump: Pump) -> None:
    with pump.host.scope():
        _call_on_finish(pump)


async def _awaited(awaitable: Awaitable[object]) -> None:
    await awaitable
