"""Through Starlette's middleware a token is read before the next is made."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tokenstream.testing import WAIT, AsyncScriptedSource, ScriptedSource, read_stream
from tokenstream.testing.transport import ASGITransport
from tokenstream_starlette import TokenStreamResponse, token_stream

KINDS = pytest.mark.parametrize("kind", [ScriptedSource, AsyncScriptedSource])
DECORATED = pytest.mark.parametrize("decorated", [True, False])


class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-passed"] = "yes"
        return response


GZIP = Middleware(GZipMiddleware, minimum_size=0)
BASE = Middleware(Passing)
STACKS = pytest.mark.parametrize(
    "stack", [[BASE], [GZIP], [BASE, BASE], [GZIP, BASE], [BASE, GZIP]]
)


def client(source: Any, decorated: bool, stack: Sequence[Middleware]) -> httpx.AsyncClient:
    async def view(request: Request) -> Any:
        return source if decorated else TokenStreamResponse(source, "text")

    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse("word " * 1000)

    routes = [Route("/", token_stream("text")(view) if decorated else view), Route("/page", page)]
    transport = ASGITransport(Starlette(routes=routes, middleware=list(stack)))
    asking = {"accept-encoding": "gzip"}
    return httpx.AsyncClient(transport=transport, base_url="http://test", headers=asking)


@KINDS
@DECORATED
@STACKS
async def test_lock_step(kind: Any, decorated: bool, stack: list[Middleware]) -> None:
    source = kind("a", WAIT, "b", WAIT, "c")
    seen = []
    async with client(source, decorated, stack) as http:
        async with http.stream("GET", "/") as response:
            async for event in read_stream(response):
                seen.append(event.data)
                assert source.yielded == min(len(seen), 3)
                source.release()
        page = await http.get("/page")
    assert seen == ["a", "b", "c", "[DONE]"]
    assert (response.headers.get("x-passed") == "yes") is (BASE in stack)
    assert (page.headers.get("content-encoding") == "gzip") is (GZIP in stack)


@KINDS
@DECORATED
@STACKS
async def test_a_failure_after_the_first_token_is_an_error_event(
    kind: Any, decorated: bool, stack: list[Middleware]
) -> None:
    async with client(kind("a", ValueError("secret")), decorated, stack) as http:
        transcript = read_stream(await http.get("/")).read()
    assert transcript.tokens == ["a"]
    assert transcript.error == "generation failed"
    assert not transcript.done
    assert b"secret" not in transcript.raw


@KINDS
@DECORATED
async def test_a_reader_that_leaves_stops_the_source_behind_it(kind: Any, decorated: bool) -> None:
    source = kind("a", WAIT, "b")
    async with client(source, decorated, [BASE]) as http, http.stream("GET", "/") as response:
        await read_stream(response, limit=1).aread()
    source.release()
    assert await asyncio.to_thread(source.closed.wait, 10)
