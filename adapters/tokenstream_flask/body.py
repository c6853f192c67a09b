"""A response's body, as Werkzeug sees it and as the server does."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from contextvars import Context

from tokenstream import Result, TokenStream, Wire

from .context import Lease

__all__ = ["Body", "Chunks"]


class Chunks:
    """The stream, for Werkzeug and for what wraps its response.

    Each step is made in one context: with `keep_alive=None` the source runs
    right here, and what it sets in a context variable must still be there at
    the next step, and must not be there for the thread's next request.
    """

    def __init__(self, stream: TokenStream, context: Context, lease: Lease) -> None:
        self._stream = stream
        self._context = context
        self._lease = lease
        self._started = False
        self._stepping = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if not self._started:
            self._start()
        self._stepping = True
        try:
            return self._context.run(next, self._stream)
        finally:
            self._stepping = False

    @property
    def wire(self) -> Wire:
        """The stream's wire."""
        return self._stream.wire

    @property
    def on_error(self) -> Callable[[BaseException], str] | None:
        """The stream's option."""
        return self._stream.on_error

    @property
    def result(self) -> Result | None:
        """The stream's result, once it has ended."""
        return self._stream.result

    def prime(self) -> object | None:
        """Do what `TokenStream.prime` does."""
        self._start()
        return self._context.run(self._stream.prime)

    def close(self) -> None:
        """Stop the source."""
        # A server that has written the last chunk comes back for the next.
        self._stream.leave(unsent=True)
        if self._stepping:
            self._stream.close()  # from another thread: the context is in use
        else:
            self._context.run(self._stream.close)

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._lease.join()


class Body:
    """What the server iterates over. The lease ends with it: read to its end, closed, or lost."""

    def __init__(self, chunks: Iterable[bytes], lease: Lease) -> None:
        lease.take()
        self._chunks = iter(chunks)
        self._leaving = ExitStack()  # closing it twice does nothing more
        self._leaving.callback(lease.leave)
        self._ending = weakref.finalize(self, _end, chunks, self._leaving)
        self._ending.atexit = False  # the process's own exit hook closes sources

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._chunks)
        except StopIteration:
            self._leaving.close()
            raise

    def close(self) -> None:
        """Stop the source and let go of the contexts."""
        self._ending()


def _end(chunks: Iterable[bytes], leaving: ExitStack) -> None:
    with leaving:
        if callable(close := getattr(chunks, "close", None)):
            close()
