"""What has an HTTP status of its own gets it in each adapter's plain streams, too."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import flask
import httpx
import pytest
from django.core.asgi import get_asgi_application
from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from fastapi import FastAPI, Request

import tokenstream_asgi
import tokenstream_django
import tokenstream_flask
import tokenstream_starlette
from tokenstream.errors import BadRequest, PromptTooLong, UpstreamError
from tokenstream.testing.transport import ASGITransport

PACKAGES = {
    "django-wsgi": tokenstream_django,
    "django-asgi": tokenstream_django,
    "flask": tokenstream_flask,
    "fastapi": tokenstream_starlette,
    "asgi": tokenstream_asgi,
}


ANY: Any = None


class Own(Exception):
    """What is the framework's to answer."""


ERRORS = {
    "upstream": (UpstreamError("busy", status=429, retry_after="7", public="busy"), 429),
    "prompt": (PromptTooLong("too long"), 400),
    "request": (BadRequest("no", "q"), 400),
}
errors = pytest.mark.parametrize("error, status", ERRORS.values(), ids=ERRORS)


def app_of(name: str, view: Any, settings: Any) -> Any:
    """Return an app that has the view, which is decorated, at "/"."""
    if name.startswith("django"):
        settings.ROOT_URLCONF = (path("", csrf_exempt(view)),)
        return get_wsgi_application() if name == "django-wsgi" else get_asgi_application()
    if name == "flask":
        app = flask.Flask(__name__)
        app.add_url_rule("/", view_func=view, methods=["POST"])
        return app
    if name == "fastapi":
        fastapi_app = FastAPI()
        fastapi_app.post("/")(view)
        return fastapi_app
    return view


def posted(app: Any) -> httpx.Response:
    if isinstance(app, flask.Flask | WSGIHandler):
        transport = httpx.WSGITransport(app)
        with httpx.Client(transport=transport, base_url="http://test") as client:
            return client.post("/")
    return asyncio.run(aposted(app))


async def aposted(app: Any) -> httpx.Response:
    async with httpx.AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        return await client.post("/")


# Flask gives no argument, an ASGI handler gets two; FastAPI reads the annotations.


def plain(error: Exception) -> Any:
    def view(request: Request = ANY, receive: str = "") -> Any:
        raise error

    return view


def generator(error: Exception) -> Any:
    def view(request: Request = ANY, receive: str = "") -> Iterator[str]:
        raise error
        yield

    return view


def async_generator(error: Exception) -> Any:
    async def view(request: Request = ANY, receive: str = "") -> AsyncIterator[str]:
        raise error
        yield

    return view


def coroutine(error: Exception) -> Any:
    async def view(request: Request = ANY, receive: str = "") -> Any:
        raise error

    return view


VIEWS = [plain, generator, async_generator, coroutine]


@pytest.mark.parametrize("make", VIEWS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("name", PACKAGES)
@errors
def test_before_the_first_part(
    settings: Any, name: str, make: Any, error: Exception, status: int
) -> None:
    stream = PACKAGES[name].token_stream("openai-chat", headers={"X-Own": "1"})
    view = stream(make(error))
    response = posted(app_of(name, view, settings))
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-own"] == "1"
    assert response.headers.get("retry-after") == getattr(error, "retry_after", None)
    assert response.json()["error"]["message"] == str(error)
    assert response.json()["error"]["param"] == getattr(error, "field", None)


@pytest.mark.parametrize("make", VIEWS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("name", PACKAGES)
def test_the_rest_goes_the_frameworks_own_way(
    settings: Any, caplog: pytest.LogCaptureFixture, name: str, make: Any
) -> None:
    app = app_of(name, PACKAGES[name].token_stream(make(Own())), settings)
    if name == "flask":
        app.register_error_handler(Own, lambda error: ("own", 418))
        assert (posted(app)).status_code == 418
        return
    if name.startswith("django"):
        assert (posted(app)).status_code == 500
        assert any(it.name == "django.request" and it.exc_info for it in caplog.records)
        return
    with pytest.raises(Own):
        posted(app)
    assert not [it for it in caplog.records if it.levelno >= logging.WARNING]


@pytest.mark.parametrize("make", VIEWS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("name", PACKAGES)
def test_on_error_has_the_words(settings: Any, name: str, make: Any) -> None:
    stream = PACKAGES[name].token_stream("openai-chat", on_error=lambda error: "come back")
    response = posted(app_of(name, stream(make(UpstreamError("secret"))), settings))
    assert response.status_code == 502
    assert response.json()["error"]["message"] == "come back"
