"""TokenStream: a source, a wire and options, read with `for` or `async for`."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from math import inf, isfinite
from typing import Any

from . import sse
from .clock import Clock, current_clock
from .drivers import inline, place
from .errors import AlreadyRead, InvalidOption
from .headers import HEADERS
from .host import Host
from .inbox import Inbox
from .machine import Machine
from .opening import check_source, is_async, loop_runs_here
from .pump import Pump
from .reader import CLOSE_SECONDS, Reader, Write
from .result import Result
from .schedule import Schedule
from .wires import Wire, WireName, find_wire

__all__ = ["TokenStream"]

_NO_HOST = Host()


class TokenStream:
    """Tokens in, whole frames out, kept alive, ended once, and stopped when the reader leaves.

    source: an iterable or async iterable of parts (of one that is both, the
        reader's kind is used), an awaitable or a context manager of one, or a
        callable that returns one. It is called once, where it is read, never
        before someone reads. What SDKs yield becomes parts, see docs/sources.md.
    wire: a name or a wire object.
    keep_alive: idle seconds before a comment is sent (15); None turns it off.
        With None, a sync source under a sync reader needs no thread: it runs in
        the reader's, where `source_timeout` can't interrupt it.
    prime: longest wait, in seconds, for the first part in `prime()` (15), which
        adapters call before the response is committed; 0 does not wait, None
        waits as long as `source_timeout` and `max_duration` let it.
    source_timeout: seconds without a part before the stream fails (300), or None.
    send_timeout: seconds a reader may make no room, or take nothing after the
        source's end, before it counts as gone (30), or None. Not where the
        source runs in the reader's own thread, see `keep_alive`.
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

    __slots__ = (
        "__weakref__",
        "_clock",
        "_closed",
        "_context",
        "_high_water",
        "_keep_alive",
        "_left",
        "_max_duration",
        "_on_finish",
        "_prime",
        "_reader",
        "_source",
        "_source_timeout",
        "_unread",
        "_unsent",
        "byte_limit",
        "host",
        "on_error",
        "run_id",
        "send_timeout",
        "wire",
    )

    def __init__(
        self,
        source: object,
        wire: WireName | Wire = "json",
        *,
        keep_alive: float | None = 15.0,
        prime: float | None = 15.0,
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
        if prime is not None and not (_is_finite(prime) and prime >= 0):
            raise InvalidOption(
                f"prime={prime!r}: give seconds, 0 for not to wait, or None for no limit"
            )
        if not (_is_finite(high_water) and high_water >= 1):
            raise InvalidOption(f"high_water={high_water!r}: give a number of bytes above 0")
        self.wire = find_wire(wire)
        self.host = host or _NO_HOST
        self.run_id = self.host.run_id  # an adapter may learn it later, from the request
        self.byte_limit: int | None = None  # an adapter may set one, for its server
        self._source = source
        self._keep_alive = keep_alive
        self._prime = inf if prime is None else prime
        self._source_timeout = source_timeout
        self.send_timeout = send_timeout
        self._max_duration = max_duration
        self._high_water = high_water
        self._on_finish = on_finish
        self.on_error = on_error
        self._context = contextvars.copy_context()
        self._clock: Clock = current_clock.get()
        self._reader: Reader | None = None
        self._closed = False
        self._left = False
        self._unsent = False
        self._unread: weakref.finalize[[], TokenStream] | None = None
        if inspect.iscoroutine(source):
            # Nobody may ever read this stream: no "was never awaited" then.
            self._unread = weakref.finalize(self, source.close)
            self._unread.atexit = False

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
        return None if self._reader is None else self._reader.pump.result

    @property
    def at_end(self) -> bool:
        """Whether the terminal has been handed over: what is read next is the end."""
        return self._reader is not None and self._reader.at_end

    # Reading with `for`.

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if (chunk := (self._reader or self._start(None)).read()) is None:
            raise StopIteration
        return chunk

    def prime(self) -> object | None:
        """Wait for the first part, for at most `prime` seconds.

        Raises what the source raised before it. Returns None, or what the
        source returned instead of parts if the host says it is a response.
        """
        return (self._reader or self._start(None)).prime(self._prime)

    def close(self) -> None:
        """Stop reading: the source is closed, on its own thread or loop.

        Waits a moment for that, unless a loop runs in this thread.
        """
        if (reader := self._leave()) is not None:
            if not loop_runs_here():
                reader.wait_done(CLOSE_SECONDS)
        elif not self._closed:
            _close_unread(self._source)
        self._closed = True

    # Reading with `async for`.

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        reader = self._reader or self._start(asyncio.get_running_loop())
        if (chunk := await reader.aread()) is None:
            raise StopAsyncIteration
        return chunk

    async def aprime(self) -> object | None:
        """Do what `prime` does, in a task."""
        reader = self._reader or self._start(asyncio.get_running_loop())
        return await reader.aprime(self._prime)

    def write_to(
        self, write: Write, *, opening: Awaitable[object] | None = None
    ) -> Coroutine[Any, Any, None]:
        """Read to the end, and give each chunk to `await write(chunk, more)`, one at a time.

        more: False with the terminal. opening: awaited before the first chunk,
        such as the response's head.

        What `async for` and a write of each chunk would do, but a source that
        runs on this loop writes from its own task: a token then wakes one
        task, not two. Raises what `write` raises, and `ReaderLeft` where a
        write takes longer than `send_timeout`.
        """
        reader = self._reader or self._start(asyncio.get_running_loop())
        return reader.write_to(write, opening, self)

    async def aclose(self) -> None:
        """Stop reading, and wait for an async source's clean-up; a thread gets a short wait."""
        if (reader := self._leave()) is not None:
            await reader.await_done(reader.clean_up_seconds())
        elif not self._closed:
            await _aclose_unread(self._source)
        self._closed = True

    def fail(self, error: BaseException) -> None:
        """End the stream for `error`, as if the source had raised it. From any thread.

        The reader gets the wire's error frame, and the source is closed. Nothing
        happens where the stream was not begun, or has ended.
        """
        if self._reader is not None:
            self._reader.pump.fail(error)

    def leave(self, *, unsent: bool = False) -> None:
        """The reader has gone: let whoever waits for a chunk know. From any thread.

        unsent: the chunk that was handed over last has not reached it. With the
        terminal in it that is the difference between "completed" and
        "disconnected"; who comes back for the next chunk has written the last.
        """
        self._left = True
        self._unsent = self._unsent or unsent
        if self._reader is not None:
            self._reader.leave(unsent=unsent)

    def _start(self, loop: asyncio.AbstractEventLoop | None) -> Reader:
        if self._closed:
            raise AlreadyRead("this stream was closed before it was read: make a new one")
        may_inline = loop is None and self.host.inline
        needs_no_clock = may_inline and self._keep_alive is None and not is_async(self._source)
        pump = Pump(
            Machine(self.wire, self.run_id, self.on_error),
            Inbox(self._high_water),
            place=inline if needs_no_clock else place,
            host=self.host,
            context=self._context,
            clock=self._clock,
            on_finish=self._on_finish,
            send_timeout=self.send_timeout,
        )
        schedule = Schedule(
            self._clock.now(),
            keep_alive=self._keep_alive,
            source_timeout=self._source_timeout,
            max_duration=self._max_duration,
        )
        pulls = needs_no_clock and self._max_duration is None
        self._reader = reader = Reader(
            pump, schedule, self._clock, pulls=pulls, byte_limit=self.byte_limit
        )
        pump.leave_without(self)
        if self._unread is not None:
            self._unread.detach()  # the pump closes what it opens
        if self._left:
            reader.leave(unsent=self._unsent)
        source, self._source = self._source, None
        pump.start(source, loop=loop)
        return reader

    def _leave(self) -> Reader | None:
        """Stop the pump, if there is one; return the reader."""
        if self._reader is not None:
            self._reader.settle()
            self._reader.leave(unsent=False)  # wakes one that waits in another thread
        return self._reader


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
