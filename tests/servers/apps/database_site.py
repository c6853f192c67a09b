"""A Django project in one file whose middleware and views ask the database before they stream.

Started with the database's settings in the environment, as JSON.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import django
from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpRequest
from django.urls import path
from django.utils.decorators import sync_and_async_middleware
from scripts import INLINE, KEPT, QUIET, run_of

from tokenstream import Result
from tokenstream_django import TokenStreamResponse, token_stream


def ask() -> None:
    """Use this thread's connection, and leave it open."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


aask = sync_to_async(ask)


@sync_and_async_middleware
def asking(get_response: Any) -> Any:
    """Ask before the view and after it, as sessions in a database do."""
    if iscoroutinefunction(get_response):

        async def amiddleware(request: HttpRequest) -> Any:
            await aask()
            response = await get_response(request)
            await aask()
            return response

        return amiddleware

    def middleware(request: HttpRequest) -> Any:
        ask()
        response = get_response(request)
        ask()
        return response

    return middleware


settings.configure(
    SECRET_KEY="for tests only",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[f"{__name__}.asking"],
    DATABASES={"default": json.loads(os.environ["DATABASE"])},
)
django.setup()


def save(result: Result) -> None:
    ask()


OPTIONS: dict[str, Any] = {
    **QUIET,
    "on_finish": save,
    "release_db": os.environ["RELEASE_DB"] == "1",
}


def sources(request: HttpRequest, kind: str) -> Any:
    return run_of(request.GET).source(kind, "five")


def asking_sync(request: HttpRequest) -> Iterator[object]:
    ask()
    yield from sources(request, "sync")


async def asking_async(request: HttpRequest) -> AsyncIterator[object]:
    await aask()
    async for token in sources(request, "async"):
        yield token


ASKING = {"sync": asking_sync, "async": asking_async}


def silent_sync(request: HttpRequest) -> Iterator[object]:
    yield from (token for token in sources(request, "sync") if token != "t0")


async def silent_async(request: HttpRequest) -> AsyncIterator[object]:
    async for token in sources(request, "async"):
        if token != "t0":
            yield token


SILENT = {"sync": silent_sync, "async": silent_async}

yielding_sync = token_stream(**OPTIONS)(asking_sync)
yielding_async = token_stream(**OPTIONS)(asking_async)


@token_stream(**OPTIONS)
def returning(request: HttpRequest, kind: str) -> Any:
    ask()
    return sources(request, kind)


@token_stream(**OPTIONS)
async def coroutine(request: HttpRequest, kind: str) -> Any:
    await aask()
    return sources(request, kind)


def response(request: HttpRequest, kind: str) -> TokenStreamResponse:
    ask()
    return TokenStreamResponse(ASKING[kind](request), request=request, **OPTIONS)


async def aresponse(request: HttpRequest, kind: str) -> TokenStreamResponse:
    await aask()
    return TokenStreamResponse(ASKING[kind](request), request=request, **OPTIONS)


@token_stream(**{**OPTIONS, **KEPT, "prime": 0})
def silent(request: HttpRequest, kind: str) -> Any:
    """Show nothing but comments until it is released."""
    ask()
    return SILENT[kind](request)


@token_stream(**{**OPTIONS, **KEPT, "prime": 0})
async def asilent(request: HttpRequest, kind: str) -> Any:
    await aask()
    return SILENT[kind](request)


inline = token_stream(**{**OPTIONS, **INLINE})(asking_sync)


urlpatterns = [
    path("yielding/sync", yielding_sync),
    path("yielding/async", yielding_async),
    path("returning/<kind>", returning),
    path("coroutine/<kind>", coroutine),
    path("response/<kind>", response),
    path("aresponse/<kind>", aresponse),
    path("inline/sync", inline),
    path("silent/<kind>", silent),
    path("asilent/<kind>", asilent),
]
wsgi = get_wsgi_application()
asgi = get_asgi_application()
