"""Through each middleware a token is read before the next is made: what buffers, deadlocks."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.asgi import get_asgi_application
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client
from django.views.decorators.gzip import gzip_page
from django_project.middleware import WHERE

from tokenstream.testing import WAIT, AsyncScriptedSource, ScriptedSource, read_stream
from tokenstream.testing.transport import ASGITransport
from tokenstream_django import TokenStreamResponse, token_stream

Serve = Callable[..., str]
Open = Callable[..., Any]

KINDS = pytest.mark.parametrize("kind", [ScriptedSource, AsyncScriptedSource])
TOKENS = ['{"token":"a"}', '{"token":"b"}', '{"token":"c"}', "[DONE]"]

PROJECT = "django_project.middleware."
STACKS = {
    "gzip": ["django.middleware.gzip.GZipMiddleware"],
    "conditional get": ["django.middleware.http.ConditionalGetMiddleware"],
    "locale": ["django.middleware.locale.LocaleMiddleware"],
    "session": ["django.contrib.sessions.middleware.SessionMiddleware"],
    "csrf": ["django.middleware.csrf.CsrfViewMiddleware"],
    "cache": [
        "django.middleware.cache.UpdateCacheMiddleware",
        "django.middleware.cache.FetchFromCacheMiddleware",
    ],
    "maps as it is asked": [PROJECT + "mapping"],
    "maps, and is sync": [PROJECT + "SyncAsking"],
    "async alone": [PROJECT + "AsyncOnly"],
    "sync alone": [PROJECT + "SyncOnly"],
    "all": [
        "django.middleware.cache.UpdateCacheMiddleware",
        "django.middleware.gzip.GZipMiddleware",
        "django.middleware.http.ConditionalGetMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.locale.LocaleMiddleware",
        PROJECT + "mapping",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.cache.FetchFromCacheMiddleware",
    ],
}
EACH = pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)


def make_response(source: Any) -> Any:
    def view(request: Any) -> TokenStreamResponse:
        return TokenStreamResponse(lambda: source, request=request)

    return view


def make_async_response(source: Any) -> Any:
    async def view(request: Any) -> TokenStreamResponse:
        return TokenStreamResponse(lambda: source, request=request)

    return view


def make_decorated(source: Any) -> Any:
    return token_stream(lambda request: source)


VIEWS = pytest.mark.parametrize("make", [make_response, make_async_response, make_decorated])


class Unzipped:
    """What a WSGI server sends, as a browser reads it. httpx unzips by itself."""

    def __init__(self, response: Any) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        if self._response.get("Content-Encoding") != "gzip":
            yield from self._response
            return
        decoder = zlib.decompressobj(wbits=31)
        yield from (decoder.decompress(chunk) for chunk in self._response)

    def close(self) -> None:
        self._response.close()


def read_in_lock_step(response: Any, source: Any) -> list[str]:
    seen = []
    for event in read_stream(Unzipped(response)):
        seen.append(event.data)
        assert source.yielded == min(len(seen), 3)
        source.release()
    return seen


async def aread_in_lock_step(response: Any, source: Any) -> list[str]:
    seen = []
    async for event in read_stream(response):
        seen.append(event.data)
        assert source.yielded == min(len(seen), 3)
        source.release()
    return seen


def served() -> httpx.AsyncClient:
    transport = ASGITransport(get_asgi_application())
    return httpx.AsyncClient(transport=transport, base_url="http://testserver")


@pytest.fixture
def use(settings: Any, serve: Serve) -> Callable[..., str]:
    def put(view: Any, stack: list[str]) -> str:
        settings.MIDDLEWARE = []
        return serve(view, middleware=tuple(stack))

    return put


ASKED = {"Accept-Encoding": "gzip, deflate", "Accept-Language": "de", "If-None-Match": '"x"'}


@KINDS
@VIEWS
@EACH
def test_wsgi(kind: Any, make: Any, stack: list[str], use: Any) -> None:
    source = kind("a", WAIT, "b", WAIT, "c")
    response = Client().get(use(make(source), stack), headers=ASKED)
    assert read_in_lock_step(response, source) == TOKENS


@KINDS
@VIEWS
@EACH
async def test_asgi(kind: Any, make: Any, stack: list[str], use: Any) -> None:
    source = kind("a", WAIT, "b", WAIT, "c")
    path = use(make(source), stack)
    async with served() as http, http.stream("GET", path, headers=ASKED) as response:
        assert await aread_in_lock_step(response, source) == TOKENS


# `gzip_page`, which no setting tells of.


@KINDS
@VIEWS
def test_gzip_page_wsgi(kind: Any, make: Any, use: Any) -> None:
    source = kind("a", WAIT, "b", WAIT, "c")
    response = Client().get(use(gzip_page(make(source)), []), headers=ASKED)
    assert read_in_lock_step(response, source) == TOKENS


@KINDS
@VIEWS
async def test_gzip_page_asgi(kind: Any, make: Any, use: Any) -> None:
    source = kind("a", WAIT, "b", WAIT, "c")
    path = use(gzip_page(make(source)), [])
    async with served() as http, http.stream("GET", path, headers=ASKED) as response:
        assert await aread_in_lock_step(response, source) == TOKENS


def test_gzip_page_still_zips_pages(use: Any) -> None:
    path = use(gzip_page(lambda request: HttpResponse(b"word " * 1000)), [])
    assert Client().get(path, headers=ASKED)["Content-Encoding"] == "gzip"


# What each middleware is there for.


def test_a_stream_is_not_cached(use: Any) -> None:
    cache.clear()
    sources = [ScriptedSource("a"), ScriptedSource("b")]
    rest = iter(sources)
    path = use(lambda request: TokenStreamResponse(next(rest), request=request), STACKS["cache"])
    tokens = [read_stream(Client().get(path)).read().tokens for _ in sources]
    assert tokens == [["a"], ["b"]]


@KINDS
@pytest.mark.parametrize("decorated", [True, False])
def test_a_session_changed_in_the_view_is_kept(kind: Any, decorated: bool, use: Any) -> None:
    source = kind("a", WAIT, "b", WAIT, "c")

    def view(request: Any) -> object:
        request.session["asked"] = request.session.get("asked", 0) + 1
        return source if decorated else TokenStreamResponse(lambda: source, request=request)

    client = Client()
    path = use(token_stream(view) if decorated else view, STACKS["session"])
    response = client.get(path)
    assert client.session["asked"] == 1  # before the stream has ended
    assert read_in_lock_step(response, source) == TOKENS


def test_the_locale_is_the_response_s(use: Any) -> None:
    path = use(lambda request: TokenStreamResponse(["a"], request=request), STACKS["locale"])
    response = Client().get(path, headers={"Accept-Language": "de"})
    assert response["Content-Language"] == "de"
    assert read_stream(response).read().tokens == ["a"]


@KINDS
def test_csrf_lets_who_has_the_token_through(kind: Any, use: Any) -> None:
    source = kind("a", WAIT, "b", WAIT, "c")
    client = Client(enforce_csrf_checks=True)
    path = use(make_decorated(source), STACKS["csrf"])
    assert client.post(path).status_code == 403
    assert not source.started.is_set()
    client.cookies["csrftoken"] = secret = "a" * 32
    response = client.post(path, headers={"X-CSRFToken": secret})
    assert read_in_lock_step(response, source) == TOKENS


# Middleware that maps and does not ask.


@KINDS
def test_map_streams_under_wsgi(kind: Any, use: Any) -> None:
    source = kind("cat", WAIT, "cats", WAIT, "c")
    response = Client().get(use(make_response(source), [PROJECT + "Mapping"]))
    assert read_in_lock_step(response, source) == [
        '{"token":"dog"}',
        '{"token":"dogs"}',
        *TOKENS[2:],
    ]


@KINDS
@VIEWS
async def test_map_under_asgi_is_an_error_and_leaves_nothing_open(
    kind: Any, make: Any, use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pytest keeps what is logged, and with it the response.
    monkeypatch.setattr(logging.getLogger("django.request"), "disabled", True)
    # As it is for each async stream of Django's own.
    source = kind("a", WAIT, "b")
    path = use(make(source), [PROJECT + "Mapping"])
    async with served() as http:
        assert (await http.get(path)).status_code == 500
    gc.collect()
    source.release()
    assert not source.started.is_set() or await asyncio.to_thread(source.closed.wait, 10)


# The user and the context, in the source.

WHO: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")

IDENTIFIED = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    PROJECT + "setting",
]
in_database = pytest.mark.django_db(transaction=True)


def naming(request: Any) -> Iterator[str]:
    for _ in range(3):
        yield f"{request.user} {request.user.is_authenticated} {WHERE.get()} {WHO.get()}"


async def anaming(request: Any) -> AsyncIterator[str]:
    for _ in range(3):
        user = await request.auser()
        yield f"{user} {user.is_authenticated} {WHERE.get()} {WHO.get()}"


def _returning(source: Any) -> Any:
    @token_stream
    def view(request: Any) -> object:
        WHO.set("view")
        return source(request)

    return view


def _areturning(source: Any) -> Any:
    @token_stream
    async def view(request: Any) -> object:
        WHO.set("view")
        return source(request)

    return view


def _response(source: Any) -> Any:
    def view(request: Any) -> TokenStreamResponse:
        WHO.set("view")
        return TokenStreamResponse(lambda: source(request), request=request)

    return view


def _aresponse(source: Any) -> Any:
    async def view(request: Any) -> TokenStreamResponse:
        WHO.set("view")
        return TokenStreamResponse(lambda: source(request), request=request)

    return view


SOURCES = pytest.mark.parametrize("source", [naming, anaming])
STYLES = pytest.mark.parametrize("style", [_returning, _areturning, _response, _aresponse])
NAMED = ["ada True middleware view"] * 3


def log_in(settings: Any) -> str:
    """Return the session of a user who has logged in; the middleware has to find both."""
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    client = Client()
    client.force_login(User.objects.create_user("ada"))
    return client.cookies["sessionid"].value


@in_database
@SOURCES
@STYLES
def test_user_and_context_wsgi(source: Any, style: Any, use: Any, settings: Any) -> None:
    client = Client()
    client.cookies["sessionid"] = log_in(settings)
    path = use(style(source), IDENTIFIED)
    # As a server's thread: a context of the request's own.
    response = contextvars.copy_context().run(client.get, path)
    assert read_stream(response).read().tokens == NAMED


@in_database
@SOURCES
@STYLES
async def test_user_and_context_asgi(source: Any, style: Any, use: Any, settings: Any) -> None:
    session = await sync_to_async(log_in)(settings)
    path = use(style(source), IDENTIFIED)
    cookies = {"Cookie": f"sessionid={session}"}
    async with served() as http, http.stream("GET", path, headers=cookies) as response:
        assert (await read_stream(response).aread()).tokens == NAMED
