"""The views. `?tokens=500&pause=0.02`: how many tokens, and the seconds before each.

With no pause the source never waits.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator

from django.http import HttpRequest, StreamingHttpResponse

from tokenstream import Result
from tokenstream_django import token_stream

TOKEN = " token"
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}

outcomes: Counter[str] = Counter()


def asked(request: HttpRequest) -> tuple[int, float]:
    return int(request.GET["tokens"]), float(request.GET.get("pause", 0))


def tokens(request: HttpRequest) -> Iterator[str]:
    count, pause = asked(request)
    for _ in range(count):
        if pause:
            time.sleep(pause)
        yield TOKEN


async def atokens(request: HttpRequest) -> AsyncIterator[str]:
    count, pause = asked(request)
    for _ in range(count):
        if pause:
            await asyncio.sleep(pause)
        yield TOKEN


def note(result: Result) -> None:
    outcomes[result.outcome] += 1


async def anote(result: Result) -> None:
    note(result)


def hand(request: HttpRequest) -> StreamingHttpResponse:
    def events() -> Iterator[str]:
        for token in tokens(request):
            yield f"data: {token}\n\n"
        yield "data: [DONE]\n\n"

    return StreamingHttpResponse(events(), content_type="text/event-stream", headers=HEADERS)


async def hand_async(request: HttpRequest) -> StreamingHttpResponse:
    async def events() -> AsyncIterator[str]:
        async for token in atokens(request):
            yield f"data: {token}\n\n"
        yield "data: [DONE]\n\n"

    return StreamingHttpResponse(events(), content_type="text/event-stream", headers=HEADERS)


@token_stream("text", on_finish=note)
def ours(request: HttpRequest) -> Iterator[str]:
    yield from tokens(request)


@token_stream("text", on_finish=note, keep_alive=None)
def ours_no_keep_alive(request: HttpRequest) -> Iterator[str]:
    yield from tokens(request)


@token_stream("text", on_finish=anote)
async def ours_async(request: HttpRequest) -> AsyncIterator[str]:
    async for token in atokens(request):
        yield token
