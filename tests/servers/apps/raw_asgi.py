"""An app with no framework: each view is an ASGI app of its own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qsl

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

from tokenstream_asgi import (
    TokenStreamResponse,
    chat_endpoint,
    models_endpoint,
    read_body,
    token_stream,
)

Scope = dict[str, Any]


def query_of(scope: Scope) -> dict[str, str]:
    return dict(parse_qsl(scope["query_string"].decode()))


def run_in(scope: Scope) -> Run:
    return run_of(query_of(scope))


def asked(scope: Scope) -> tuple[str, str]:
    """Return the kind and the script, of `/style/kind/script`."""
    _, _, kind, script = scope["path"].split("/")
    return kind, script


@token_stream(**QUIET)
def yielding_sync(scope: Scope, receive: Any) -> Iterator[object]:
    yield from run_in(scope).source(*asked(scope))


@token_stream(**QUIET)
async def yielding_async(scope: Scope, receive: Any) -> AsyncIterator[object]:
    async for token in run_in(scope).source(*asked(scope)):
        yield token


@token_stream(**QUIET)
def returning(scope: Scope, receive: Any) -> Any:
    run_in(scope).called += 1
    return run_in(scope).source(*asked(scope))


@token_stream(**QUIET)
async def coroutine(scope: Scope, receive: Any) -> Any:
    run_in(scope).called += 1
    return run_in(scope).source(*asked(scope))


@token_stream(**KEPT)
def kept(scope: Scope, receive: Any) -> Any:
    return run_in(scope).source(*asked(scope))


@token_stream(**INLINE)
def inline(scope: Scope, receive: Any) -> Any:
    return run_in(scope).source(*asked(scope))


@token_stream(**TIMED)
def timed(scope: Scope, receive: Any) -> Any:
    return run_in(scope).source(*asked(scope))


@token_stream(**BROKEN)
def broken(scope: Scope, receive: Any) -> Any:
    return run_in(scope).source(*asked(scope))


async def response(scope: Scope, receive: Any, send: Any) -> None:
    streaming = TokenStreamResponse(lambda: run_in(scope).source(*asked(scope)), **QUIET)
    await streaming(scope, receive, send)


@token_stream
async def echo_async(scope: Scope, receive: Any) -> AsyncIterator[str]:
    async for word in aecho(await read_body(receive)):
        yield word


@token_stream
async def echo_sync(scope: Scope, receive: Any) -> Iterator[str]:
    return echo(await read_body(receive))


chat = chat_endpoint("openai-chat", lambda ask: answer_of(query_of(ask.request), ask), **QUIET)
models = models_endpoint(*MODELS)

VIEWS: dict[str, Any] = {
    "/yielding/sync": yielding_sync,
    "/yielding/async": yielding_async,
    "/returning": returning,
    "/coroutine": coroutine,
    "/response": response,
    "/kept": kept,
    "/inline": inline,
    "/timed": timed,
    "/broken": broken,
    "/echo/sync": echo_sync,
    "/echo/async": echo_async,
    "/v1/chat/completions": chat,
    "/v1/models": models,
}


async def app(scope: Scope, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        await returning(scope, receive, send)
        return
    for path, view in VIEWS.items():
        if scope["path"].startswith(path):
            try:
                await view(scope, receive, send)
            except Busy as error:  # no status is out yet
                await send_json(send, 503, {"detail": str(error)})
            return


async def send_json(send: Any, status: int, value: object) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(value).encode()})
