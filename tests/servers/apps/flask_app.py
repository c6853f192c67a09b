"""Flask, with a compressor that was told to compress event streams too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from flask import Flask, request
from flask_compress import Compress
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

from tokenstream_flask import (
    TokenStreamResponse,
    chat_endpoint,
    models_endpoint,
    token_stream,
)

app = Flask(__name__)
app.config["COMPRESS_MIMETYPES"] = ["application/json", "text/event-stream"]
app.config["COMPRESS_MIN_SIZE"] = 1
Compress(app)


def run() -> Run:
    return run_of(request.args)


@app.errorhandler(Busy)
def busy(error: Busy) -> Any:
    return {"detail": str(error)}, 503


def route(path: str) -> Any:
    return app.route(path, methods=["GET", "POST"])


@route("/yielding/sync/<script>")
@token_stream(**QUIET)
def yielding_sync(script: str) -> Iterator[object]:
    yield from run().source("sync", script)


@route("/yielding/async/<script>")
@token_stream(**QUIET)
async def yielding_async(script: str) -> AsyncIterator[object]:
    async for token in run().source("async", script):
        yield token


@route("/returning/<kind>/<script>")
@token_stream(**QUIET)
def returning(kind: str, script: str) -> Any:
    run().called += 1
    return run().source(kind, script)


@route("/coroutine/<kind>/<script>")
@token_stream(**QUIET)
async def coroutine(kind: str, script: str) -> Any:
    run().called += 1
    return run().source(kind, script)


@route("/response/<kind>/<script>")
def response(kind: str, script: str) -> TokenStreamResponse:
    return TokenStreamResponse(lambda: run().source(kind, script), **QUIET)


@route("/kept/<kind>/<script>")
@token_stream(**KEPT)
def kept(kind: str, script: str) -> Any:
    return run().source(kind, script)


@route("/inline/<kind>/<script>")
@token_stream(**INLINE)
def inline(kind: str, script: str) -> Any:
    return run().source(kind, script)


@route("/timed/<kind>/<script>")
@token_stream(**TIMED)
def timed(kind: str, script: str) -> Any:
    return run().source(kind, script)


@route("/broken/<kind>/<script>")
@token_stream(**BROKEN)
def broken(kind: str, script: str) -> Any:
    return run().source(kind, script)


@app.post("/echo/sync")
@token_stream
def echo_sync() -> Iterator[str]:
    yield from echo(request.get_data())


@app.post("/echo/async")
@token_stream
async def echo_async() -> AsyncIterator[str]:
    async for word in aecho(request.get_data()):
        yield word


chat = chat_endpoint("openai-chat", lambda ask: answer_of(ask.request.args, ask), **QUIET)
models = models_endpoint(*MODELS)
app.add_url_rule("/v1/chat/completions", view_func=chat)
app.add_url_rule("/v1/models", view_func=models)
app.add_url_rule("/v1/models/<path:model>", view_func=models)
