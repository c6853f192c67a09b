"""An httpx transport that runs an ASGI app in this loop and streams its body."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import unquote

import httpx

__all__ = ["ASGITransport"]

Message: TypeAlias = MutableMapping[str, Any]
App: TypeAlias = Callable[..., Awaitable[None]]


class ASGITransport(httpx.AsyncBaseTransport):
    """`httpx.AsyncClient(transport=ASGITransport(app), base_url="http://test")`.

    A send by the app returns when the chunk was read, so the app is never
    ahead of the test. Closing the response is a reader that leaves: the app
    gets `http.disconnect`. What the app raises before its body is whole is
    raised in the client.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Run the app until its response begins."""
        exchange = _Exchange(self._app, request)
        return await exchange.response()


class _Exchange:
    def __init__(self, app: App, request: httpx.Request) -> None:
        self._app = app
        self._request = request
        self._left = asyncio.Event()
        self._body_sent = False
        self._error: BaseException | None = None
        self._started: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._chunks: asyncio.Queue[tuple[bytes, bool]] = asyncio.Queue(1)
        self._taken = asyncio.Event()

    async def response(self) -> httpx.Response:
        body = await self._request.aread()
        self._task = asyncio.create_task(self._run(body))
        start = await self._started
        return httpx.Response(
            start["status"],
            headers=start.get("headers", []),
            stream=_Body(self._iterate(), self._leave),
            request=self._request,
        )

    async def _run(self, body: bytes) -> None:
        try:
            await self._app(self._scope(), lambda: self._receive(body), self._send)
            if not self._started.done():
                self._started.set_exception(RuntimeError("the app sent no response"))
        except BaseException as error:
            if not self._started.done():
                self._started.set_exception(error)
                return
            self._error = error
            self._left.set()
            await self._chunks.put((b"", False))

    def _scope(self) -> dict[str, Any]:
        url = self._request.url
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self._request.method,
            "scheme": url.scheme,
            "path": unquote(url.path),
            "raw_path": url.raw_path.split(b"?")[0],
            "query_string": url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in self._request.headers.raw],
            "client": ("127.0.0.1", 50000),
            "server": (url.host, url.port or 80),
        }

    async def _receive(self, body: bytes) -> Message:
        if not self._body_sent:
            self._body_sent = True
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._left.is_set():
            return  # as servers do
        if message["type"] == "http.response.start":
            self._started.set_result(message)
            return
        more = message.get("more_body", False)
        self._taken.clear()
        await self._chunks.put((message.get("body", b""), more))
        if more:
            await self._taken.wait()

    async def _iterate(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            chunk, more = await self._chunks.get()
            if chunk:
                yield chunk
            self._taken.set()
        if self._error is not None:
            raise self._error

    async def _leave(self) -> None:
        self._left.set()
        self._taken.set()
        while not self._chunks.empty():
            self._chunks.get_nowait()
        await asyncio.wait({self._task}, timeout=10)


class _Body(httpx.AsyncByteStream):
    def __init__(self, chunks: AsyncIterator[bytes], leave: Callable[[], Awaitable[None]]) -> None:
        self._chunks = chunks
        self._leave = leave

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def aclose(self) -> None:
        await self._leave()
