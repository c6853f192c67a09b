"""The response: a `StreamingHttpResponse` that streams under WSGI and under ASGI."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

import django
from asgiref.sync import SyncToAsync, async_to_sync, sync_to_async
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from tokenstream import Result, TokenStream, Wire, WireName
from tokenstream.asgi import byte_limit
from tokenstream.headers import merged
from tokenstream.host import Host
from tokenstream.native import are_greenlets
from tokenstream.opening import is_async, refuse_opened
from tokenstream.reconnect import Answer, OnReconnect, answer, run_id_for
from tokenstream.refusal import refusal
from tokenstream.warn import warn_of_server
from tokenstream.wires import find_wire
from tokenstream.wsgi import disconnect_probe, hanger_up

from .body import AsyncBody, SyncBody, Writing, running_loop
from .database import Lender, release_here
from .requests import asked, is_asgi, plain_request, read_body
from .threads import OwnThread

__all__ = ["RequestLike", "TokenStreamResponse", "http_response", "refused_or_raised"]


class RequestLike(Protocol):
    """What wraps a request, as Django REST framework's `Request` does."""

    _request: HttpRequest


class TokenStreamResponse(StreamingHttpResponse):
    """A response that streams one source, whatever the server.

    source, wire, **stream_options: see `tokenstream.TokenStream`.
    request: the view's request, Django's or REST framework's; required.
    status, headers: the response's; the stream's own headers are added.
    on_reconnect: what an EventSource that comes back gets: "refuse" (an error
        event, then 204) or "rerun" (the generation again).
    release_db: give the request's database connections back before the first
        token, and those that the source has used until then (False: they stay
        open as long as the stream, as Django has it). Not those in a transaction.

    The source is not started before someone reads: HEAD and reconnects never
    start it. What it raises is then too late for an HTTP error; `prime`, which
    the decorator `token_stream` calls, waits for its first part before. What has a
    status of its own then (`UpstreamError`, `PromptTooLong`, `BodyTooLarge`,
    `BadRequest`, a limit that passed) gets it, in the wire's own shape.

    Raises `TypeError` without a request, `ForeignLoop` for a source that is
    bound to the passing loop of an async view under WSGI, and what
    `TokenStream` raises.
    """

    def __init__(
        self,
        source: object,
        wire: WireName | Wire = "json",
        *,
        request: HttpRequest | RequestLike | None = None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        on_reconnect: OnReconnect = "refuse",
        release_db: bool = False,
        **stream_options: Any,
    ) -> None:
        http = plain_request(request)
        if http is None:
            raise TypeError(
                f"TokenStreamResponse(..., request={request!r}): it needs the view's request, "
                "which tells WSGI from ASGI: add request=request"
            )
        wire, ask = find_wire(wire), asked(http)
        self._own_headers = headers
        self._lender = Lender(releases=release_db)
        self._thread = OwnThread(self._lender.scope)
        self._writing = Writing()
        run_id = run_id_for(ask, wire, on_reconnect)
        self._stream = self._made(source, wire, http, run_id, stream_options)
        self._body: AsyncBody | SyncBody = (
            AsyncBody(self._stream, self._lender, self._writing)
            if is_asgi(http)
            else SyncBody(self._stream, self._lender)
        )
        self._whole = answer(ask, wire, on_reconnect)
        if self._whole is not None:
            self._body.close()
            self._send_whole(self._whole, status if ask.method == "HEAD" else None, headers)
            return
        headers = merged(self._stream.headers, headers)
        super().__init__(self._body, status=status, headers=headers)

    def prime(self) -> HttpResponseBase:
        """Wait for the first part, at most `prime` seconds, in a sync view.

        Returns the response to send: this one, the finished one that the source
        returned instead of parts, or that of an error which has a status of its
        own. Raises what else the source raised.
        """
        if self._whole is not None:
            return self
        self._lender.look()
        try:
            awaits = self._is_awaited()
            return self._chosen((async_to_sync(self._aprimed) if awaits else self._stream.prime)())
        except Exception as error:
            return refused_or_raised(
                error, self._stream.wire, self._own_headers, self._stream.on_error
            )
        finally:
            self._lender.look_again()  # middleware comes after the view

    async def aprime(self) -> HttpResponseBase:
        """Do what `prime` does, in an async view."""
        if self._whole is not None:
            return self
        # The request's connections are where its sync code runs.
        await sync_to_async(self._lender.look)()
        try:
            return self._chosen(await self._aprimed())
        except Exception as error:
            return refused_or_raised(
                error, self._stream.wire, self._own_headers, self._stream.on_error
            )
        finally:
            self._lender.look_again()

    def collect(self) -> tuple[Result | None, bytes]:
        """Read the stream to its end, in a sync view that has primed it."""
        try:
            body = (async_to_sync(self._acollected) if self._is_awaited() else self._collected)()
            return self._stream.result, body
        finally:
            self._stream.close()

    def __setitem__(self, header: str, value: Any) -> None:
        # Hand-written streams often set `Connection`, which several servers answer with 500.
        if merged({}, {header: value}):
            super().__setitem__(header, value)

    def has_header(self, header: str) -> bool:
        """Tell whether there is such a header; one who asks for an encoding finds one."""
        # Only what would compress the response asks: GZipMiddleware, and `gzip_page` on a
        # view. Before 6.1 they hold a stream back, or cut it into members of which several
        # clients read only the first, or make a body of a 204. They leave an encoded one alone.
        if django.VERSION < (6, 1) and header.lower() == "content-encoding":
            self.headers.setdefault("Content-Encoding", "identity")
        return super().has_header(header)

    def __aiter__(self) -> AsyncIterator[bytes]:
        # Django warns of any sync content under ASGI, though this is a few bytes at hand.
        if self._whole is not None and not self.is_async:
            return _each(self)
        return super().__aiter__()

    def _made(
        self,
        source: object,
        wire: Wire,
        request: HttpRequest,
        run_id: str | None,
        options: dict[str, Any],
    ) -> TokenStream:
        asgi, loop = is_asgi(request), running_loop()
        if not asgi:
            warn_of_server(request.META)
            if are_greenlets() and is_async(source):
                read_body(request)
        if loop is not None and not asgi:
            refuse_opened(source)
        host = Host(
            scope=self._lender.scope,
            on_first_part=_giving_back(self._lender, self._thread),
            is_response=_is_response,
            shared_loop=not asgi,
            run_id=run_id,
            has_left=None if asgi else disconnect_probe(request.META),
            hang_up=self._writing.cancel if asgi else hanger_up(request.META),
            inline=not asgi,  # a sync view is primed in its own thread, then a loop reads
        )
        stream = self._placed(source, wire, host, asgi and loop is not None, options)
        if asgi:
            stream.byte_limit = byte_limit()
        return stream

    def _placed(
        self, source: object, wire: Wire, host: Host, is_on_loop: bool, options: dict[str, Any]
    ) -> TokenStream:
        if is_on_loop:
            # A view on the server's loop shares the request's thread with its source.
            return TokenStream(source, wire, host=host, **options)
        options["on_finish"] = self._thread.ending_after(options.get("on_finish"))
        make = functools.partial(TokenStream, source, wire, host=host, **options)
        return self._thread.lend_to(make)

    def _is_awaited(self) -> bool:
        # A loop that waits for this thread hears of a reader that leaves, and asgiref then
        # cancels what the thread awaits on it.
        return isinstance(self._body, AsyncBody) and _loop_waits()

    async def _aprimed(self) -> object | None:
        try:
            return await self._stream.aprime()
        except asyncio.CancelledError:
            await self._stream.aclose()
            raise

    def _collected(self) -> bytes:
        return b"".join(self._stream)

    async def _acollected(self) -> bytes:
        try:
            return b"".join([chunk async for chunk in self._stream])
        except asyncio.CancelledError:
            await self._stream.aclose()
            raise

    def _chosen(self, finished: object | None) -> HttpResponseBase:
        if not isinstance(finished, HttpResponseBase):
            return self
        self._thread.end()  # there is no `on_finish` without a stream
        return finished

    def _send_whole(self, whole: Answer, status: int | None, own: Mapping[str, str] | None) -> None:
        """Send an answer that needs no source: sync, since there is nothing to wait for."""
        headers = whole.headers if whole.status == 204 else merged(whole.headers, own)
        body = [whole.body] if whole.body else []
        super().__init__(body, status=status or whole.status, headers=headers)
        if "Content-Type" not in headers:
            del self["Content-Type"]  # Django's own default


def refused_or_raised(
    error: Exception,
    wire: Wire,
    headers: Mapping[str, str] | None = None,
    on_error: Callable[[BaseException], str] | None = None,
) -> HttpResponse:
    """Return the response of an error that has a status of its own; raise another."""
    if (answer := refusal(error, wire, headers, on_error)) is None:
        raise error
    return http_response(answer)


def http_response(answer: Answer) -> HttpResponse:
    """Return a whole answer as a response of Django's."""
    response = HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))
    if "Content-Type" not in answer.headers:
        del response["Content-Type"]  # Django's own default
    return response


def _loop_waits() -> bool:
    """Tell whether an ASGI server's loop waits for this thread, as it does for a sync view."""
    loop = getattr(SyncToAsync.threadlocal, "main_event_loop", None)
    return loop is not None and loop.is_running()


def _giving_back(lender: Lender, thread: OwnThread) -> Callable[[], None]:
    """Return what gives back the connections that a source has used until its first part.

    Of the response it knows nothing: a stream that nobody reads must be dropped.
    """

    def give_back() -> None:
        if running_loop() is None:
            release_here()  # a sync source's are its own thread's
        thread.tell(release_here)  # an async one's are here,
        lender.look_again()  # or where the request's are

    return give_back if lender.releases else _nothing


def _nothing() -> None:
    pass


def _is_response(value: object) -> bool:
    return isinstance(value, HttpResponseBase)


async def _each(response: StreamingHttpResponse) -> AsyncIterator[bytes]:
    for chunk in response:
        yield chunk
