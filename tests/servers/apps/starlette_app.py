"""Starlette without FastAPI, behind a middleware that wraps what it sends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from scripts import (
    BROKEN,
    INLINE,
    KEPT,
    MODELS,
    QUIET,
    TIMED,
    Busy,
    Run,
    aecho,
    answer_of,
    echo,
    run_of,
)
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tokenstream_starlette import (
    TokenStreamResponse,
    chat_endpoint,
    models_endpoint,
    token_stream,
)


def run_in(request: Request) -> Run:
    return run_of(request.query_params)


def source_of(request: Request) -> Any:
    return run_in(request).source(request.path_params["kind"], request.path_params["script"])


@token_stream(**QUIET)
def yielding_sync(request: Request) -> Iterator[object]:
    yield from run_in(request).source("sync", request.path_params["script"])


@token_stream(**QUIET)
async def yielding_async(request: Request) -> AsyncIterator[object]:
    async for token in run_in(request).source("async", request.path_params["script"]):
        yield token


@token_stream(**QUIET)
def returning(request: Request) -> Any:
    run_in(request).called += 1
    return source_of(request)


@token_stream(**QUIET)
async def coroutine(request: Request) -> Any:
    run_in(request).called += 1
    return source_of(request)


async def response(request: Request) -> TokenStreamResponse:
    return TokenStreamResponse(lambda: source_of(request), **QUIET)


@token_stream(**KEPT)
def kept(request: Request) -> Any:
    return source_of(request)


@token_stream(**INLINE)
def inline(request: Request) -> Any:
    return source_of(request)


@token_stream(**TIMED)
def timed(request: Request) -> Any:
    return source_of(request)


@token_stream(**BROKEN)
def broken(request: Request) -> Any:
    return source_of(request)


@token_stream
async def echo_sync(request: Request) -> Iterator[str]:
    return echo(await request.body())


@token_stream
async def echo_async(request: Request) -> AsyncIterator[str]:
    async for word in aecho(await request.body()):
        yield word


async def busy(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 503)


async def passed_on(request: Request, call_next: Any) -> Any:
    return await call_next(request)


VIEWS = {
    "/yielding/sync/{script}": yielding_sync,
    "/yielding/async/{script}": yielding_async,
    "/returning/{kind}/{script}": returning,
    "/coroutine/{kind}/{script}": coroutine,
    "/response/{kind}/{script}": response,
    "/kept/{kind}/{script}": kept,
    "/inline/{kind}/{script}": inline,
    "/timed/{kind}/{script}": timed,
    "/broken/{kind}/{script}": broken,
    "/echo/sync": echo_sync,
    "/echo/async": echo_async,
}

chat = chat_endpoint("openai-chat", lambda ask: answer_of(ask.request.query_params, ask), **QUIET)
models = models_endpoint(*MODELS)

app = Starlette(
    routes=[
        *(Route(path, view, methods=["GET", "POST"]) for path, view in VIEWS.items()),
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/models", models),
        Route("/v1/models/{model:path}", models),
    ],
    middleware=[Middleware(BaseHTTPMiddleware, dispatch=passed_on)],
    exception_handlers={Busy: busy},
)
