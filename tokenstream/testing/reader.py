"""Read a streamed response in a test, whatever client it came from, and never hang.

Known are the responses of Django's `Client` and `AsyncClient`, Flask's test
client, Starlette's `TestClient` and httpx (use `client.stream(...)`, and
`ASGITransport` of this package: httpx's own collects the whole body first),
a `TokenStream`, and anything that iterates over bytes.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import threading
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from tokenstream import process, sse

__all__ = ["StreamReader", "Transcript", "read_stream"]


@dataclass
class Transcript:
    """What was read.

    events: all of them. raw: the bytes.
    """

    events: list[sse.Event] = field(default_factory=list)
    raw: bytes = b""

    @property
    def comments(self) -> int:
        """How many comments came, keep-alives that is."""
        return sum(line.startswith(b":") for line in self.raw.split(b"\n"))

    @property
    def data(self) -> list[str]:
        """The data of each event."""
        return [event.data for event in self.events]

    @property
    def done(self) -> bool:
        """Whether the stream ended with `[DONE]`."""
        return bool(self.events) and self.events[-1].data == "[DONE]"

    @property
    def error(self) -> str | None:
        """The data of the error event, if the stream ended with one."""
        errors = [event.data for event in self.events if event.event == "error"]
        return errors[-1] if errors else None

    @property
    def tokens(self) -> list[str]:
        """The text of each token, of the wires json, text and openai-chat."""
        return [token for event in self.events for token in _token(event)]

    @property
    def text(self) -> str:
        """The text, joined."""
        return "".join(self.tokens)


def read_stream(response: Any, *, limit: int | None = None, timeout: float = 10.0) -> StreamReader:
    """Return a reader of `response`.

    `for event in read_stream(response)` and `async for` give each event as it
    comes; `.read()` and `await .aread()` read all and return a `Transcript`.

    limit: stop after so many events and close the response: for endless streams.
    timeout: real seconds without a byte before `TimeoutError`. A sync read ends
        the process's open streams to get free, so use it in tests only.
    """
    return StreamReader(response, limit, timeout)


class StreamReader:
    """Reads a response once; see `read_stream`."""

    def __init__(self, response: Any, limit: int | None, timeout: float) -> None:
        self.transcript = Transcript()
        self._response = response
        self._limit = limit
        self._timeout = timeout
        self._decoder = sse.Decoder()

    def __iter__(self) -> Iterator[sse.Event]:
        chunks = iter(_sync_chunks(self._response))
        try:
            while (chunk := _guarded(lambda: next(chunks, None), self._timeout)) is not None:
                for event in self._decoded(chunk):
                    yield event
                    if self._is_full():
                        return
        finally:
            _close(self._response, chunks)

    async def __aiter__(self) -> AsyncIterator[sse.Event]:
        chunks = aiter(_async_chunks(self._response))
        try:
            while True:
                try:
                    async with asyncio.timeout(self._timeout):
                        chunk = await anext(chunks)
                except StopAsyncIteration:
                    return
                for event in self._decoded(chunk):
                    yield event
                    if self._is_full():
                        return
        finally:
            await _aclose(self._response, chunks)

    def read(self) -> Transcript:
        """Read all there is, or `limit` events."""
        for _ in self:
            pass
        return self.transcript

    async def aread(self) -> Transcript:
        """Read all there is, or `limit` events."""
        async for _ in self:
            pass
        return self.transcript

    def _decoded(self, chunk: bytes) -> Iterator[sse.Event]:
        self.transcript.raw += chunk
        for event in self._decoder.feed(chunk):
            self.transcript.events.append(event)
            yield event

    def _is_full(self) -> bool:
        return self._limit is not None and len(self.transcript.events) >= self._limit


def _token(event: sse.Event) -> Iterator[str]:
    if event.event is not None or event.data == "[DONE]":
        return
    try:
        value = json.loads(event.data)
    except ValueError:
        yield event.data
        return
    match value:
        case {"token": str(token)}:
            yield token
        case {"choices": [{"delta": {"content": str(token)}}]} if token:
            yield token
        case dict():
            return
        case _:
            yield event.data


def _sync_chunks(response: Any) -> Iterable[bytes]:
    if (body := _collected(response)) is not None:
        return [body]
    for name in ("iter_bytes", "iter_encoded"):  # httpx, which decodes; werkzeug
        if callable(method := getattr(response, name, None)):
            return cast("Iterable[bytes]", method())
    if not isinstance(response, Iterable):
        raise TypeError(f"{type(response).__name__} can't be read with `for`: use `async for`")
    return response


def _collected(response: Any) -> bytes | None:
    """Return the body of a response that is no stream, or was read by its client already."""
    if not getattr(response, "is_stream_consumed", not getattr(response, "streaming", False)):
        return None
    body = getattr(response, "content", None)
    return body if isinstance(body, bytes) else None


def _async_chunks(response: Any) -> AsyncIterable[bytes]:
    if (body := _collected(response)) is not None:
        return _each([body])
    if callable(method := getattr(response, "aiter_bytes", None)):  # httpx
        return cast("AsyncIterable[bytes]", method())
    if getattr(response, "streaming", False):  # Django, the content itself
        content: Any = response.streaming_content
        return content if isinstance(content, AsyncIterable) else _each(content)
    if not isinstance(response, AsyncIterable):
        raise TypeError(f"{type(response).__name__} can't be read with `async for`: use `for`")
    return response


async def _each(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def _guarded(pull: Callable[[], bytes | None], timeout: float) -> bytes | None:
    """Pull in this thread, since the stream may depend on it; another one keeps watch."""
    pulled, timed_out = threading.Event(), threading.Event()

    def watch() -> None:
        if not pulled.wait(timeout):
            timed_out.set()
            process.shut_down()

    watcher = threading.Thread(target=watch, name="tokenstream-read-watchdog", daemon=True)
    watcher.start()
    try:
        chunk = pull()
    finally:
        pulled.set()
        watcher.join()
    if timed_out.is_set():
        raise TimeoutError(f"no byte came for {timeout} s")
    return chunk


def _close(response: Any, chunks: Iterator[bytes]) -> None:
    # Closed by the iterator that Django's client puts around, the response keeps its database
    # connections; there is no public way to that iterator once it was begun.
    wrapped = getattr(response, "_iterator", None)
    for thing in (chunks, wrapped, response):
        if callable(close := getattr(thing, "close", None)) and not _is_closed(thing):
            with _without_django_closing_connections():
                close()


def _is_closed(thing: Any) -> bool:
    return getattr(thing, "is_closed", False) is True or getattr(thing, "closed", False) is True


@contextmanager
def _without_django_closing_connections() -> Iterator[None]:
    """Do as Django's test client does: a response's `close` would end a test's transaction."""
    db, signals = sys.modules.get("django.db"), sys.modules.get("django.core.signals")
    if db is None or signals is None:
        yield
        return
    was_connected = signals.request_finished.disconnect(db.close_old_connections)
    try:
        yield
    finally:
        if was_connected:
            signals.request_finished.connect(db.close_old_connections)


async def _aclose(response: Any, chunks: AsyncIterator[bytes]) -> None:
    for thing in (chunks, response):
        if callable(close := getattr(thing, "aclose", None)):
            await cast("Awaitable[object]", close())
        elif callable(close := getattr(thing, "close", None)):
            # Django closes its response on a thread.
            closing = await asyncio.to_thread(close)
            if inspect.isawaitable(closing):
                await closing
