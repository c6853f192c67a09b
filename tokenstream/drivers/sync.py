"""Where a sync source runs: a thread of its own, or the reader's thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from functools import partial

from ..gates import ThreadGate
from ..native import start_thread
from ..opening import Returns, close_all, enter, is_factory, open_sync, runs_on_loop
from ..parts import Interruptible
from ..pump import Pump, call_on_finish

__all__ = ["InlineDriver", "ThreadDriver"]

log = logging.getLogger("tokenstream")


class ThreadDriver:
    """A sync source runs on a thread of its own."""

    __slots__ = ("_gate", "_gathered", "_iterator", "_overhead", "_pump", "_room", "_turn")

    loop = None

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self._gate: ThreadGate | None = None  # once it has waited, in its own thread
        # Reentrant: a collection in the middle of a part may drop the stream.
        self._turn = threading.RLock()
        self._overhead = pump.machine.overhead
        self._gathered = 0
        self._room = 0  # none before the first token: it is not to wait
        self._iterator: Iterator[object] | None = None

    def start(self, source: object) -> None:
        """Begin; return at once."""
        context = self._pump.context
        start_thread(lambda: context.run(self._run, source), "tokenstream-pump")

    def wake(self) -> None:
        """Look again."""
        if (gate := self._gate) is not None:
            gate.wake()

    def interrupt(self) -> None:
        """End a `next()` that says it may be ended; another ends with its next part."""
        if isinstance(self._iterator, Interruptible):
            self._iterator.interrupt()
        self.wake()

    def exclusively(self, change: Callable[[], object]) -> None:
        """Make a change between two parts: an end, or the framing of what was gathered."""
        with self._turn:
            change()

    def ask(self, change: Callable[[], object]) -> None:
        """Make a change."""
        change()

    def accept(self, item: object) -> bool:
        """Feed one part, unless the reader's side ends the stream meanwhile."""
        pump = self._pump
        if type(item) is not str:
            with self._turn:
                pump.flush()
                return pump.accept(item)
        # Gathered while the reader is busy: when it comes to wait it sees to what is left here.
        # One turn and one join for many: a token of a hot source costs 0.3 us, not 1.
        pump.texts.append(item)
        self._gathered += self._overhead + len(item)
        if pump.inbox.reader is None and self._gathered < self._room:
            return True
        return self._flush()

    def _flush(self) -> bool:
        with self._turn:
            has_room = self._pump.flush()
            self._gathered, self._room = 0, self._pump.inbox.room()
        return has_room

    def _run(self, source: object) -> None:
        life = _SyncLife(self._pump, self)
        try:
            for _ in life.run(source):
                self._wait(life)
        except BaseException as error:
            log.exception("the host's scope raised")
            self.exclusively(partial(self._pump.end, error))
        finally:
            if not life.handed_over:
                self._pump.finished()

    def _wait(self, life: _SyncLife) -> None:
        pump, inbox = self._pump, self._pump.inbox
        until = pump.room_deadline()
        gate = self._gate = self._gate or ThreadGate(pump.clock)
        while not life.may_go_on():
            inbox.producer = gate
            if not life.may_go_on():
                gate.wait(until)
            if inbox.producer is None:  # it took what there was, maybe the last
                until = pump.room_deadline()
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

    __slots__ = ("_asked", "_life", "_pump", "_running", "_steps")

    loop = None

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self._life = _SyncLife(pump, self)
        self._steps: Iterator[None] = iter(())
        # A lock, for at the process's end another thread may close a source that rests.
        self._running = threading.Lock()
        self._asked: Callable[[], object] | None = None

    def start(self, source: object) -> None:
        """Begin; the first part is pulled by `advance`."""
        self._steps = self._life.run(source)

    def advance(self) -> None:
        """Pull one part, or do what comes after the last."""
        if (asked := self._asked) is not None:
            self._asked = None
            asked()
            return
        self._pull()
        if self._pump.stopping or self._life.closed:
            self.wake()  # the source may have closed its own stream

    def _pull(self) -> None:
        if not self._running.acquire(blocking=False):
            return
        try:
            for _ in self._steps:
                return
        finally:
            self._running.release()
        if not self._life.handed_over:
            self._pump.finished()

    def wake(self) -> None:
        """Do what comes after the last part, if that is what is left; pull no other."""
        pump, life = self._pump, self._life
        while not self._running.locked() and not pump.done.is_open and life.is_ending():
            self._pull()

    def interrupt(self) -> None:
        """Close the source, unless it is the source that interrupts."""
        self.wake()

    def exclusively(self, change: Callable[[], object]) -> None:
        """The only thread makes a change."""
        change()

    def ask(self, change: Callable[[], object]) -> None:
        """Leave a change to the reader's thread, which makes it instead of pulling a part."""
        self._asked = change

    def accept(self, item: object) -> bool:
        """Feed one part; there never is room for another before it is read."""
        self._pump.accept(item)
        return False

    def watch(self, iterator: Iterator[object]) -> None:
        """There is nobody who could interrupt."""


class _SyncLife:
    """The life of a sync source. It yields where it must wait for the reader."""

    __slots__ = ("_driver", "_pump", "closed", "handed_over")

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
            call_on_finish(self._pump)

    def _pull(self, source: object) -> Iterator[None]:
        iterator: Iterator[object] | None = None
        try:
            if self._pump.stopping:
                return
            try:
                source = self._resolve(source)
                if self.handed_over:
                    return
                iterator = open_sync(source)
            except GeneratorExit as error:
                raise _unasked() from error
            self._driver.watch(iterator)
            yield from self._feed(iterator)
        except GeneratorExit:
            raise  # this generator itself is dropped
        except BaseException as error:
            # KeyboardInterrupt and SystemExit, too: on this thread they are
            # the source's, and the reader must not wait for ever.
            self._driver.exclusively(partial(self._pump.end, error))
        finally:
            if not self.handed_over:
                close_all(iterator, source)

    def _resolve(self, source: object) -> object:
        pump = self._pump
        if is_factory(source):
            source = source()
        if pump.host.is_response(source):
            return Returns(source)
        if runs_on_loop(source, wants_async=pump.wants_async):
            self.handed_over = True
            self._driver.exclusively(partial(pump.hand_over, source))
            return source
        return pump.opened(enter(source))

    def _feed(self, iterator: Iterator[object]) -> Iterator[None]:
        pump = self._pump
        accept, end = self._accept_first, pump.end_with
        later = self._driver.accept, pump.end_late
        while not pump.stopping:
            try:
                item = next(iterator)
            except StopIteration as stop:
                self._driver.exclusively(partial(end, stop.value))
                return
            except GeneratorExit as error:
                raise _unasked() from error
            if not accept(item):
                yield
            accept, end = later

    def _accept_first(self, item: object) -> bool:
        self._pump.host.on_first_part()
        return self._driver.accept(item)


def _unasked() -> RuntimeError:
    return RuntimeError("the source raised GeneratorExit, which nobody had asked it for")
