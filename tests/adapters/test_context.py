"""Context variables and OpenTelemetry's current span hold through the source, in each adapter."""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import flask
import httpx
import pytest
import werkzeug.test
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from starlette.applications import Starlette
from starlette.routing import Route

from tokenstream.testing import read_stream
from tokenstream.testing.transport import ASGITransport

from ..needs import need_module

need_module("opentelemetry.sdk")

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

Serve = Callable[..., str]

_exporter = InMemorySpanExporter()
_provider = TracerProvider()
_provider.add_span_processor(SimpleSpanProcessor(_exporter))
tracer = _provider.get_tracer(__name__)

OUTER: contextvars.ContextVar[str] = contextvars.ContextVar("outer", default="lost")
OWN: contextvars.ContextVar[str] = contextvars.ContextVar("own", default="lost")


def tokens(*_: Any) -> Iterator[str]:
    """A step that ran in another context would lose the span, and could not leave its block."""
    own = OWN.set("0")
    with tracer.start_as_current_span("generation"):
        for step in range(1, 4):
            yield f"{_current()} {OUTER.get()} {OWN.get()}"
            OWN.set(str(step))
    OWN.reset(own)


async def atokens(*_: Any) -> AsyncIterator[str]:
    own = OWN.set("0")
    with tracer.start_as_current_span("generation"):
        for step in range(1, 4):
            yield f"{_current()} {OUTER.get()} {OWN.get()}"
            OWN.set(str(step))
            await asyncio.sleep(0)
    OWN.reset(own)


def _current() -> str:
    return f"{trace.get_current_span().get_span_context().span_id:x}"


# What a server's instrumentation does: a span around the call, over before the body is read.


def traced_wsgi(app: Any) -> Any:
    def call(environ: Any, start_response: Any) -> Any:
        with tracer.start_as_current_span("request"):
            OUTER.set("request")
            return app(environ, start_response)

    return call


def traced_asgi(app: Any) -> Any:
    async def call(scope: Any, receive: Any, send: Any) -> None:
        with tracer.start_as_current_span("request"):
            OUTER.set("request")
            await app(scope, receive, send)

    return call


def _read_wsgi(app: Any, path: str) -> list[str]:
    return read_stream(werkzeug.test.Client(traced_wsgi(app)).get(path)).read().tokens


async def read_wsgi(app: Any, path: str = "/") -> list[str]:
    return await asyncio.to_thread(_read_wsgi, app, path)


async def read_asgi(app: Any, path: str = "/") -> list[str]:
    transport = ASGITransport(traced_asgi(app))
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://test") as http,
        http.stream("GET", path) as response,
    ):
        return (await read_stream(response).aread()).tokens


# Each adapter: a decorated view, or one that returns a response.


def _view(adapter: str, source: Any, decorated: bool) -> Any:
    package: Any = importlib.import_module(f"tokenstream_{adapter}")
    if decorated:
        return package.token_stream("text")(source)

    def view(*request: Any) -> Any:
        options = {"request": request[0]} if adapter == "django" else {}
        return package.TokenStreamResponse(source, "text", **options)

    return view


async def django_wsgi(source: Any, decorated: bool, serve: Serve) -> list[str]:
    return await read_wsgi(get_wsgi_application(), serve(_view("django", source, decorated)))


async def django_asgi(source: Any, decorated: bool, serve: Serve) -> list[str]:
    return await read_asgi(get_asgi_application(), serve(_view("django", source, decorated)))


async def flask_wsgi(source: Any, decorated: bool, serve: Serve) -> list[str]:
    app = flask.Flask(__name__)
    app.add_url_rule("/", "view", _view("flask", source, decorated))
    return await read_wsgi(app)


async def starlette(source: Any, decorated: bool, serve: Serve) -> list[str]:
    return await read_asgi(Starlette(routes=[Route("/", _view("starlette", source, decorated))]))


async def raw_asgi(source: Any, decorated: bool, serve: Serve) -> list[str]:
    view = _view("asgi", source, decorated)
    if decorated:
        return await read_asgi(view)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await view()(scope, receive, send)

    return await read_asgi(app)


@pytest.mark.parametrize("adapter", [django_wsgi, django_asgi, flask_wsgi, starlette, raw_asgi])
@pytest.mark.parametrize("source", [tokens, atokens])
@pytest.mark.parametrize("decorated", [True, False])
async def test_the_source_runs_in_the_context_of_its_request(
    adapter: Any, source: Any, decorated: bool, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    _exporter.clear()
    caplog.set_level(logging.DEBUG, "opentelemetry")
    seen = await adapter(source, decorated, serve)
    spans = {span.name: span for span in _exporter.get_finished_spans()}
    generation, request = spans["generation"], spans["request"]
    assert seen == [f"{generation.context.span_id:x} request {step}" for step in range(3)]
    assert generation.parent is not None
    assert generation.parent.span_id == request.context.span_id
    assert generation.status.is_ok or generation.status.is_unset
    assert "Failed to detach context" not in caplog.text
    assert trace.get_current_span() is trace.INVALID_SPAN
