"""Middleware as people write it around `streaming_content`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.utils.decorators import sync_and_async_middleware


def _with_dogs(chunk: bytes) -> bytes:
    return chunk.replace(b"cat", b"dog")


def _asking(response: Any) -> HttpResponseBase:
    """What Django's own documentation shows: ask `is_async`, then wrap that way."""
    content = response.streaming_content
    response["X-Is-Async"] = str(response.is_async)
    if response.is_async:

        async def amapped() -> AsyncIterator[bytes]:
            async for chunk in content:
                yield _with_dogs(chunk)

        response.streaming_content = amapped()
    else:

        def mapped() -> Iterator[bytes]:
            for chunk in content:
                yield _with_dogs(chunk)

        response.streaming_content = mapped()
    return response


@sync_and_async_middleware
def mapping(get_response: Any) -> Any:
    if iscoroutinefunction(get_response):

        async def amiddleware(request: Any) -> Any:
            return _asking(await get_response(request))

        return amiddleware

    def middleware(request: Any) -> Any:
        return _asking(get_response(request))

    return middleware


WHERE: ContextVar[str] = ContextVar("where", default="nowhere")


@sync_and_async_middleware
def setting(get_response: Any) -> Any:
    """Set a context variable, as those do that trace or log."""
    if iscoroutinefunction(get_response):

        async def amiddleware(request: Any) -> Any:
            WHERE.set("middleware")
            return await get_response(request)

        return amiddleware

    def middleware(request: Any) -> Any:
        WHERE.set("middleware")
        return get_response(request)

    return middleware


class OwnGZip(GZipMiddleware):
    """People set `max_random_bytes`, say."""


class AsyncOnly:
    """Runs on a loop even under WSGI, so that a sync view runs below two bridges."""

    async_capable = True
    sync_capable = False

    def __init__(self, get_response: Any) -> None:
        self._get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: Any) -> Any:
        return await self._get_response(request)


class SyncOnly:
    """Runs on the request's thread even under ASGI."""

    async_capable = False
    sync_capable = True

    def __init__(self, get_response: Any) -> None:
        self._get_response = get_response

    def __call__(self, request: Any) -> Any:
        return self._get_response(request)


class Mapping(SyncOnly):
    """Maps what there is with `map`, and asks for nothing."""

    def __call__(self, request: Any) -> Any:
        response = self._get_response(request)
        response.streaming_content = map(_with_dogs, response.streaming_content)
        return response


class SyncAsking(SyncOnly):
    """Sync itself, so that under ASGI it maps an async stream from the request's thread."""

    def __call__(self, request: Any) -> Any:
        return _asking(self._get_response(request))
