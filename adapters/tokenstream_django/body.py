"""The two bodies of a response. Each has one side only.

Django looks at its content once: what has `__iter__` is sync, else it is async.
A `TokenStream` has both sides, so it goes in by the one that the server reads,
and `is_async` is right for every middleware that asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

from asgiref.sync import sync_to_async

from tokenstream import TokenStream

from .database import Lender

__all__ = ["AsyncBody", "SyncBody", "Writing", "running_loop"]

_closing: set[asyncio.Task[None]] = set()  # a loop holds its tasks only weakly


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that runs in this thread."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class SyncBody:
    """What a WSGI server reads."""

    def __init__(self, stream: TokenStream, lender: Lender) -> None:
        self._stream = stream
        self._lender = lender

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._lender.is_due:
            self._lender.look()
        return next(self._stream)

    def close(self) -> None:
        """Stop the source; the response's `close` calls this, whatever the end."""
        # A server that has written the last chunk comes back for the next.
        self._stream.leave(unsent=True)
        self._stream.close()


class Writing:
    """The task in which Django reads a body and writes what it has read."""

    def __init__(self) -> None:
        # The pump knows this object: it must not hold the task, which holds the stream.
        self.task: weakref.ref[asyncio.Task[Any]] | None = None

    def begin(self) -> None:
        """Know the task that runs."""
        task = asyncio.current_task()
        self.task = None if task is None else weakref.ref(task)

    def cancel(self) -> None:
        """End a write to a reader that takes nothing, as Django does for one that left."""
        task = None if self.task is None else self.task()
        if task is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                task.get_loop().call_soon_threadsafe(task.cancel)


class AsyncBody:
    """What an ASGI server reads."""

    def __init__(self, stream: TokenStream, lender: Lender, writing: Writing) -> None:
        self._stream = stream
        self._lender = lender
        self._writing = writing
        self._loop = running_loop()
        self._over = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self._loop = asyncio.get_running_loop()
        if self._writing.task is None:
            self._writing.begin()
        try:
            if self._lender.is_due:
                # The request's connections are where its sync code runs.
                await sync_to_async(self._lender.look)()
            return await anext(self._stream)
        except StopAsyncIteration:
            self._over = True
            raise
        except asyncio.CancelledError:
            # The reader has left. The source's clean-up may await: it gets the time.
            await self._stream.aclose()
            raise

    def close(self) -> None:
        """Stop the source; the response's `close` calls this, whatever the end.

        For a reader that leaves while it is being written to this is the only
        sign. Django calls it on the request's thread for sync code, which the
        source's clean-up may need: so nothing is waited for here.
        """
        if self._over:
            return
        self._over = True
        self._stream.leave(unsent=True)  # it would have come back for the next chunk
        try:
            if self._loop is None:
                self._stream.close()
            elif running_loop() is self._loop:
                self._begin_close()
            else:
                self._loop.call_soon_threadsafe(self._begin_close)
        except RuntimeError:
            self._stream.close()  # the loop has ended

    def _begin_close(self) -> None:
        task = asyncio.get_running_loop().create_task(self._stream.aclose())
        _closing.add(task)
        task.add_done_callback(_closing.discard)
