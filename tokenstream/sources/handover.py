"""One generation of a local model: the hand-over of its text from its thread to its reader.

The thread holds a `Handover` and never the `GenerationStream`: a stream that nobody holds
any more is collected, read or not, and that stops its thread.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from ..errors import AlreadyRead, ForeignLoop
from ..parts import Finish, Usage

__all__ = ["Cancelled", "GenerationStream", "Handover", "Part"]

Part: TypeAlias = str | Usage | Finish


class Cancelled(BaseException):
    """Leaves `generate` when the reader has gone.

    No `Exception`: nothing between the model's layers and us may take it for a failure.
    """


class Handover:
    """Parts on their way from one thread to one reader, who may wait with or without a loop.

    The thread never waits for the reader: what is unread is bounded by `max_new_tokens`.
    """

    def __init__(self) -> None:
        self.stopped = False
        self._parts: deque[Part] = deque()
        self._error: BaseException | None = None
        self._ended = False
        # Its lock is reentrant: a collection may run a finalizer while we hold it.
        self._changed = threading.Condition()
        self._waiter: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    # The thread's side.

    def check(self) -> None:
        """Raise `Cancelled` when nobody reads any more."""
        if self._loop is not None and self._loop.is_closed():
            self._reader_lost()
        if self.stopped:
            raise Cancelled

    def put(self, part: Part) -> None:
        """Add a part and wake the reader."""
        with self._changed:
            self._parts.append(part)
            self._wake()

    def end(self, error: BaseException | None = None) -> None:
        """Nothing follows but the error, if there is one."""
        with self._changed:
            if not self.stopped:
                self._error = error
            self._ended = True
            self._wake()

    def _wake(self) -> None:
        self._changed.notify_all()
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            # A closed loop raises RuntimeError; `check` sees it at the next layer.
            with suppress(RuntimeError):
                waiter.get_loop().call_soon_threadsafe(_resolve, waiter)

    def _reader_lost(self) -> None:
        with self._changed:
            if not self.stopped:
                self.stopped = True
                self._error = ForeignLoop(
                    "the event loop that read this stream was closed before the end, "
                    "so the generation was stopped: read a stream on one loop"
                )

    # The reader's side.

    def stop(self) -> None:
        """End it, from any thread: the model stops within a step, a waiting reader wakes."""
        with self._changed:
            self.stopped = True
            self._wake()
            self._error = None

    def drop(self) -> None:
        """End it from a finalizer, which may run anywhere: nobody waits, so no lock is needed."""
        self.stopped = True

    def take(self) -> Part | None:
        """Wait for the next part; None is the end."""
        with self._changed:
            while not self._ready():
                self._changed.wait()
            return self._next()

    async def take_async(self) -> Part | None:
        """Wait for the next part on the running loop; None is the end."""
        while True:
            with self._changed:
                if self._ready():
                    return self._next()
                waiter = self._wait_on(asyncio.get_running_loop())
            await waiter

    def _wait_on(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        if self._waiter is not None and not self._waiter.done():
            raise AlreadyRead("two tasks read the same stream: give each a stream of its own")
        self._loop = loop
        self._waiter = loop.create_future()
        return self._waiter

    def _ready(self) -> bool:
        return self._ended or self.stopped or bool(self._parts)

    def _next(self) -> Part | None:
        if self._parts and not self.stopped:
            return self._joined_text() or self._parts.popleft()
        error, self._error = self._error, None
        if error is not None:
            raise error
        return None

    def _joined_text(self) -> str:
        pieces: list[str] = []
        while self._parts and isinstance(piece := self._parts[0], str):
            pieces.append(piece)
            self._parts.popleft()
        return "".join(pieces)


class GenerationStream:
    """Text as the model writes it, then one `Usage` and one `Finish`; for `for` or `async for`.

    The model starts with the first `next`, not before. Errors of any kind come from
    `next` too, after the text that precedes them. A reader that keeps up gets a piece a
    token; what has piled up comes joined.
    """

    def __init__(self, start: Callable[[Handover], None]) -> None:
        self._start: Callable[[Handover], None] | None = start
        self._starting = threading.Lock()
        self._handover = Handover()
        weakref.finalize(self, self._handover.drop)

    def __iter__(self) -> GenerationStream:
        return self

    def __aiter__(self) -> GenerationStream:
        return self

    def __next__(self) -> Part:
        self._begin()
        part = self._handover.take()
        if part is None:
            raise StopIteration
        return part

    async def __anext__(self) -> Part:
        self._begin()
        part = await self._handover.take_async()
        if part is None:
            raise StopAsyncIteration
        return part

    def interrupt(self) -> None:
        """Stop the model within a step; return at once. Any thread may, at any time, repeatedly."""
        self._start = None
        self._handover.stop()

    def close(self) -> None:
        """Stop the model within a step; return at once."""
        self.interrupt()

    async def aclose(self) -> None:
        """Stop the model within a step; return at once."""
        self.interrupt()

    def _begin(self) -> None:
        with self._starting:
            start, self._start = self._start, None
        if start is not None and not self._handover.stopped:
            start(self._handover)


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
