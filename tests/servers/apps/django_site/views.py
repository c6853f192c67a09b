"""Views of every kind, sync and async, functions and a class."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from django.http import HttpRequest
from django.views import View
from scripts import BROKEN, INLINE, KEPT, MODELS, QUIET, TIMED, aecho, answer_of, echo, run_of

from tokenstream_django import (
    TokenStreamResponse,
    chat_endpoint,
    models_endpoint,
    token_stream,
)


@token_stream(**QUIET)
def yielding_sync(request: HttpRequest, script: str) -> Iterator[object]:
    yield from run_of(request.GET).source("sync", script)


@token_stream(**QUIET)
async def yielding_async(request: HttpRequest, script: str) -> AsyncIterator[object]:
    async for token in run_of(request.GET).source("async", script):
        yield token


@token_stream(**QUIET)
def returning(request: HttpRequest, kind: str, script: str) -> Any:
    run_of(request.GET).called += 1
    return run_of(request.GET).source(kind, script)


class Coroutine(View):
    @token_stream(**QUIET)
    async def get(self, request: HttpRequest, kind: str, script: str) -> Any:
        run_of(request.GET).called += 1
        return run_of(request.GET).source(kind, script)

    post = head = get


def response_sync(request: HttpRequest, script: str) -> TokenStreamResponse:
    return TokenStreamResponse(
        lambda: run_of(request.GET).source("sync", script), request=request, **QUIET
    )


async def response_async(request: HttpRequest, script: str) -> TokenStreamResponse:
    return TokenStreamResponse(
        lambda: run_of(request.GET).source("async", script), request=request, **QUIET
    )


@token_stream(**KEPT)
def kept(request: HttpRequest, kind: str, script: str) -> Any:
    return run_of(request.GET).source(kind, script)


@token_stream(**INLINE)
def inline(request: HttpRequest, kind: str, script: str) -> Any:
    return run_of(request.GET).source(kind, script)


@token_stream(**TIMED)
def timed(request: HttpRequest, kind: str, script: str) -> Any:
    return run_of(request.GET).source(kind, script)


@token_stream(**BROKEN)
def broken(request: HttpRequest, kind: str, script: str) -> Any:
    return run_of(request.GET).source(kind, script)


@token_stream
def echo_sync(request: HttpRequest) -> Iterator[str]:
    yield from echo(request.body)


@token_stream
async def echo_async(request: HttpRequest) -> AsyncIterator[str]:
    async for word in aecho(request.body):
        yield word


chat = chat_endpoint("openai-chat", lambda ask: answer_of(ask.request.GET, ask), **QUIET)
models = models_endpoint(*MODELS)
