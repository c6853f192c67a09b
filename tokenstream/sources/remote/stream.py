"""`stream_chat`, and its two readers: a thread with httpx.Client, a task with httpx.AsyncClient.

What they share is no I/O: the request, what an answer means, its bytes to parts.
"""

from __future__ import annotations

import asyncio
import functools
import random
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, aclosing, suppress
from math import isfinite
from typing import Any, overload

import httpx

from ...clock import current_clock
from ...errors import AlreadyRead, InvalidOption, UpstreamError
from ...shown import shown
from ...sse import MEDIA_TYPE
from .ask import Api, Ask, ask
from .failures import BODY_LIMIT, Failure, is_encoded, noted, refused, seconds_of, unanswered
from .line import Line
from .reply import reply_of

__all__ = ["AsyncRemote", "Remote", "SyncRemote", "stream_chat"]

FIRST_WAIT = 0.5
"""Seconds before the second try; twice as many before the third, and so on."""

LONGEST_WAIT = 8.0
"""Seconds: an upstream that asks for more by `Retry-After` is not asked again."""


class _Remote:
    """What both readers share."""

    def __init__(
        self,
        ask: Ask,
        timeout: httpx.Timeout,
        retries: int,
        client: httpx.Client | httpx.AsyncClient | None,
    ) -> None:
        self._ask = ask
        self._timeout = timeout
        self._retries = retries
        self._client = client
        self._tries = 0
        self._line = Line()
        self._reply = reply_of(ask.protocol, ask.secrets)
        self._is_taken = False
        self._relays = False

    def __repr__(self) -> str:
        return f"<stream_chat from {self._ask.url.host}>"

    def relay_protocol(self, protocol: str) -> None:
        """Give what comes as it comes, if the upstream speaks `protocol`. See `parts.Relays`."""
        self._relays = protocol == self._ask.protocol

    def _read(self, data: bytes) -> Iterator[object]:
        return self._reply.relay(data) if self._relays else self._reply.feed(data)

    def _take(self) -> None:
        if self._is_taken:
            raise AlreadyRead("this reply has been read or closed: call stream_chat again")
        self._is_taken = True

    def _request(
        self, client: httpx.Client | httpx.AsyncClient, **extensions: Any
    ) -> httpx.Request:
        return client.build_request(
            "POST",
            self._ask.url,
            content=self._ask.body,
            headers=self._ask.headers,
            timeout=self._timeout,
            extensions=extensions,
        )

    def _wait_after(self, failure: Failure) -> float:
        """Return the seconds before another try. Raises the failure where there is none."""
        self._tries += 1
        wait = FIRST_WAIT * 2 ** (self._tries - 1) * random.uniform(0.75, 1.0)
        asked = seconds_of(failure.error.retry_after)
        wait = wait if asked is None else asked
        if not failure.may_retry or self._tries > self._retries or wait > LONGEST_WAIT:
            raise failure.error
        return wait

    def _refused(self, response: httpx.Response, body: bytes) -> Failure:
        return refused(response.status_code, response.headers, body, self._ask.secrets)

    def _lost(self, error: httpx.HTTPError) -> UpstreamError:
        if isinstance(error, httpx.TimeoutException):
            told = self._reply.broken("the upstream fell silent", status=504)
        else:
            told = self._reply.broken("the connection to the upstream was lost")
        return noted(told, error, self._ask.secrets)


class SyncRemote(_Remote, Iterator[object]):
    """A reply that is read with `for`, once. `interrupt` ends a read that waits."""

    _parts: Generator[object, None, None] | None = None

    def __iter__(self) -> Iterator[object]:
        return self

    def __next__(self) -> object:
        if self._parts is None:
            self._take()
            self._parts = self._pull()
        return next(self._parts)

    def interrupt(self) -> None:
        """End the request, from any thread, at any time: `next()` then raises StopIteration."""
        self._line.cut()

    def close(self) -> None:
        """End the request. Another thread may be reading: it sees the end."""
        self._is_taken = True
        self._line.cut()
        if self._parts is not None:
            with suppress(ValueError):  # another thread is in it, and leaves by itself
                self._parts.close()

    def _pull(self) -> Generator[object, None, None]:
        with ExitStack() as held:
            held.callback(self._line.release)
            client = self._client
            if not isinstance(client, httpx.Client):
                client = held.enter_context(httpx.Client(verify=_tls()))
            response = self._answer(client)
            if response is None:
                return
            held.callback(response.close)
            if not self._line.is_held and response.http_version != "HTTP/2":
                self._line.hold(response.extensions.get("network_stream"))
            for data in self._bytes(response):
                yield from self._read(data)
                if self._reply.complete or self._line.is_cut:
                    return
            if not self._line.is_cut:
                self._reply.end()

    def _answer(self, client: httpx.Client) -> httpx.Response | None:
        """Return the answer that streams, None where nobody waits for it any more."""
        while not self._line.is_cut:
            request = self._request(client, trace=self._line.trace)
            try:
                response = client.send(request, stream=True, follow_redirects=False)
                if _is_stream(response):
                    return response
                failure = self._refused(response, _read(response))
            except httpx.HTTPError as error:
                failure = unanswered(error, self._ask.secrets)
            if not self._line.is_cut:
                self._line.wait(self._wait_after(failure), current_clock.get())
        return None

    def _bytes(self, response: httpx.Response) -> Iterator[bytes]:
        try:
            yield from response.iter_bytes()
            return
        except httpx.HTTPError as error:
            lost = self._lost(error)
        if not self._line.is_cut:
            raise lost


class AsyncRemote(_Remote, AsyncIterator[object]):
    """A reply that is read with `async for`, once."""

    _async_parts: AsyncGenerator[object, None] | None = None

    def __aiter__(self) -> AsyncIterator[object]:
        return self

    async def __anext__(self) -> object:
        if self._async_parts is None:
            self._take()
            self._async_parts = self._apull()
        return await anext(self._async_parts)

    async def aclose(self) -> None:
        """End the request."""
        self._is_taken = True
        if self._async_parts is not None:
            await self._async_parts.aclose()

    async def _apull(self) -> AsyncGenerator[object, None]:
        async with AsyncExitStack() as held:
            client = self._client
            if not isinstance(client, httpx.AsyncClient):
                client = await held.enter_async_context(httpx.AsyncClient(verify=_tls()))
            response = await self._aanswer(client)
            held.push_async_callback(response.aclose)
            pieces = await held.enter_async_context(aclosing(self._abytes(response)))
            async for data in pieces:
                for part in self._read(data):
                    yield part
                if self._reply.complete:
                    return
            self._reply.end()

    async def _aanswer(self, client: httpx.AsyncClient) -> httpx.Response:
        while True:
            request = self._request(client)
            try:
                response = await client.send(request, stream=True, follow_redirects=False)
                if _is_stream(response):
                    return response
                failure = self._refused(response, await _aread(response))
            except httpx.HTTPError as error:
                failure = unanswered(error, self._ask.secrets)
            await asyncio.sleep(self._wait_after(failure))

    async def _abytes(self, response: httpx.Response) -> AsyncGenerator[bytes, None]:
        try:
            async for data in response.aiter_bytes():
                yield data
            return
        except httpx.HTTPError as error:
            lost = self._lost(error)
        raise lost


class Remote(SyncRemote, AsyncRemote):
    """A reply that is read with `for` or with `async for`, once."""


@overload
def stream_chat(
    base_url: str,
    messages: Sequence[Mapping[str, Any]],
    *,
    model: str,
    api_key: str | None = None,
    api: Api = "openai",
    connect_timeout: float | None = 10.0,
    idle_timeout: float | None = 120.0,
    retries: int = 2,
    client: None = None,
    headers: Mapping[str, str] | None = None,
    **params: Any,
) -> Remote: ...


@overload
def stream_chat(
    base_url: str,
    messages: Sequence[Mapping[str, Any]],
    *,
    model: str,
    api_key: str | None = None,
    api: Api = "openai",
    connect_timeout: float | None = 10.0,
    idle_timeout: float | None = 120.0,
    retries: int = 2,
    client: httpx.Client,
    headers: Mapping[str, str] | None = None,
    **params: Any,
) -> SyncRemote: ...


@overload
def stream_chat(
    base_url: str,
    messages: Sequence[Mapping[str, Any]],
    *,
    model: str,
    api_key: str | None = None,
    api: Api = "openai",
    connect_timeout: float | None = 10.0,
    idle_timeout: float | None = 120.0,
    retries: int = 2,
    client: httpx.AsyncClient,
    headers: Mapping[str, str] | None = None,
    **params: Any,
) -> AsyncRemote: ...


def stream_chat(
    base_url: str,
    messages: Sequence[Mapping[str, Any]],
    *,
    model: str,
    api_key: str | None = None,
    api: Api = "openai",
    connect_timeout: float | None = 10.0,
    idle_timeout: float | None = 120.0,
    retries: int = 2,
    client: httpx.Client | httpx.AsyncClient | None = None,
    headers: Mapping[str, str] | None = None,
    **params: Any,
) -> SyncRemote | AsyncRemote:
    """Return a source: the reply of a remote API to `messages`, for `for` or `async for`.

    Nothing is sent before it is read. It gives text, `Reasoning`, `ToolCall`, `Source`,
    `Usage` and `Finish`; it is read once, and closing it ends the request.

    base_url: as the API's own SDK takes it, such as https://api.openai.com/v1 or
        https://api.anthropic.com.
    messages: in the shape of OpenAI's chat, for either API: what `ChatRequest` has.
    model: the upstream's name for it.
    api: "openai" for Chat Completions and all who speak it, "anthropic" for Messages.
    connect_timeout: seconds for a connection to come about (10), or None.
    idle_timeout: seconds without a byte from the upstream (120), or None; comments
        count. A stream's `source_timeout` bounds the time without a part.
    retries: tries after the first (2), with 0.5 s before the second and twice as many
        before each next, or what `Retry-After` asks for, up to 8 s: where no connection
        came about, and on 429, 503 and 529. Never once the answer has begun.
    client: an httpx.Client (it is then read with `for` only) or an httpx.AsyncClient
        (`async for` only) with proxies or certificates of your own; else each request
        has its own, with the proxies that the environment names. It stays open.
    headers: what the request has besides; they win over ours.
    params: what the body has besides, by OpenAI's names for either API: `tools`,
        `max_tokens`, `temperature`, `stop` and so on. None and [] are left out. Of
        a browser's `ChatRequest.params` pass on what you know: they are its own words.

    Raises `InvalidOption` at once. When read, `UpstreamError`: with the upstream's own
    status and message for a refusal, 502 where it can't be reached or breaks its
    protocol, 504 where it is silent, and no status once a part came. The key is in no
    message: it is taken out where the upstream repeats it.
    """
    asked = ask(
        base_url,
        messages,
        model=model,
        api_key=api_key,
        api=api,
        headers=headers,
        params=params,
    )
    for name, seconds in (("connect_timeout", connect_timeout), ("idle_timeout", idle_timeout)):
        _check_seconds(name, seconds)
    if not (isinstance(retries, int) and retries >= 0):
        raise InvalidOption(f"retries={shown(retries)}: give a number, 0 for none")
    timeout = httpx.Timeout(idle_timeout, connect=connect_timeout, pool=connect_timeout)
    match client:
        case None:
            return Remote(asked, timeout, retries, None)
        case httpx.Client():
            return SyncRemote(asked, timeout, retries, client)
        case httpx.AsyncClient():
            return AsyncRemote(asked, timeout, retries, client)
    raise InvalidOption(f"client={shown(client)}: give an httpx.Client or an httpx.AsyncClient")


def _check_seconds(name: str, value: float | None) -> None:
    is_number = isinstance(value, int | float) and isfinite(value) and value > 0
    if value is not None and not is_number:
        raise InvalidOption(f"{name}={shown(value)}: give seconds above 0, or None to turn it off")


@functools.cache
def _tls() -> ssl.SSLContext:
    # A client makes one of its own, which takes 20 ms.
    return httpx.create_ssl_context()


def _is_stream(response: httpx.Response) -> bool:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_right = response.status_code == 200 and kind == MEDIA_TYPE
    return is_right and not is_encoded(response.headers)


def _read(response: httpx.Response) -> bytes:
    """Return the beginning of a refusal's body, and close."""
    body = bytearray()
    try:
        if is_encoded(response.headers):
            return b""
        for data in response.iter_bytes():
            body += data
            if len(body) >= BODY_LIMIT:
                break
    except httpx.HTTPError:
        pass  # its status says enough
    finally:
        response.close()
    return bytes(body[:BODY_LIMIT])


async def _aread(response: httpx.Response) -> bytes:
    body = bytearray()
    try:
        if is_encoded(response.headers):
            return b""
        async for data in response.aiter_bytes():
            body += data
            if len(body) >= BODY_LIMIT:
                break
    except httpx.HTTPError:
        pass
    finally:
        await response.aclose()
    return bytes(body[:BODY_LIMIT])
