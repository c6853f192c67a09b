"""FastAPI, with a compressor in front, as apps have one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse
from scripts import (
    BROKEN,
    INLINE,
    KEPT,
    MODELS,
    QUIET,
    TIMED,
    Busy,
    aecho,
    answer_of,
    echo,
    run_of,
)

from tokenstream_starlette import (
    TokenStreamResponse,
    chat_endpoint,
    models_endpoint,
    token_stream,
)

app = FastAPI()
app.add_middleware(GZipMiddleware, minimum_size=1)

ANY = ["GET", "HEAD", "POST"]


@app.exception_handler(Busy)
async def busy(request: Request, error: Busy) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 503)


@app.api_route("/yielding/sync/{script}", methods=ANY)
@token_stream(**QUIET)
def yielding_sync(request: Request, script: str) -> Iterator[object]:
    yield from run_of(request.query_params).source("sync", script)


@app.api_route("/yielding/async/{script}", methods=ANY)
@token_stream(**QUIET)
async def yielding_async(request: Request, script: str) -> AsyncIterator[object]:
    async for token in run_of(request.query_params).source("async", script):
        yield token


@app.api_route("/returning/{kind}/{script}", methods=ANY)
@token_stream(**QUIET)
def returning(request: Request, kind: str, script: str) -> Any:
    run_of(request.query_params).called += 1
    return run_of(request.query_params).source(kind, script)


@app.api_route("/coroutine/{kind}/{script}", methods=ANY)
@token_stream(**QUIET)
async def coroutine(request: Request, kind: str, script: str) -> Any:
    run_of(request.query_params).called += 1
    return run_of(request.query_params).source(kind, script)


@app.api_route("/response/sync/{script}", methods=ANY, response_class=TokenStreamResponse)
def response_sync(request: Request, script: str) -> TokenStreamResponse:
    return TokenStreamResponse(lambda: run_of(request.query_params).source("sync", script), **QUIET)


@app.api_route("/response/async/{script}", methods=ANY, response_class=TokenStreamResponse)
async def response_async(request: Request, script: str) -> TokenStreamResponse:
    return TokenStreamResponse(
        lambda: run_of(request.query_params).source("async", script), **QUIET
    )


@app.api_route("/kept/{kind}/{script}", methods=ANY)
@token_stream(**KEPT)
def kept(request: Request, kind: str, script: str) -> Any:
    return run_of(request.query_params).source(kind, script)


@app.api_route("/inline/{kind}/{script}", methods=ANY)
@token_stream(**INLINE)
def inline(request: Request, kind: str, script: str) -> Any:
    return run_of(request.query_params).source(kind, script)


@app.api_route("/timed/{kind}/{script}", methods=ANY)
@token_stream(**TIMED)
def timed(request: Request, kind: str, script: str) -> Any:
    return run_of(request.query_params).source(kind, script)


@app.api_route("/broken/{kind}/{script}", methods=ANY)
@token_stream(**BROKEN)
def broken(request: Request, kind: str, script: str) -> Any:
    return run_of(request.query_params).source(kind, script)


@app.post("/echo/sync")
@token_stream
async def echo_sync(request: Request) -> Iterator[str]:
    return echo(await request.body())


@app.post("/echo/async")
@token_stream
async def echo_async(request: Request) -> AsyncIterator[str]:
    async for word in aecho(await request.body()):
        yield word


chat = chat_endpoint("openai-chat", lambda ask: answer_of(ask.request.query_params, ask), **QUIET)
models = models_endpoint(*MODELS)
app.post("/v1/chat/completions")(chat)
app.get("/v1/models")(models)
app.get("/v1/models/{model:path}")(models)
