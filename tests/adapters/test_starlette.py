"""The Starlette and FastAPI adapter, in real apps."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import fastapi
import httpx
import pydantic
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from tokenstream.errors import NotASource
from tokenstream.testing import WAIT, AsyncScriptedSource, ScriptedSource, forever, read_stream
from tokenstream.testing.transport import ASGITransport
from tokenstream_starlette import TokenStreamResponse, token_stream

tenant = contextvars.ContextVar("tenant", default="lost")

KINDS = pytest.mark.parametrize("kind", [ScriptedSource, AsyncScriptedSource])


class Ask(pydantic.BaseModel):
    q: str


def user() -> str:
    return "ada"


def client(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=ASGITransport(app), base_url="http://test")


def returning(source: object, **options: Any) -> Starlette:
    async def view(request: Request) -> TokenStreamResponse:
        return TokenStreamResponse(source, "text", **options)

    return Starlette(routes=[Route("/", view, methods=["GET", "POST"])])


@KINDS
async def test_tokens_arrive_one_by_one(kind: Any) -> None:
    source = kind(WAIT, "a", WAIT, "b")
    source.release()
    async with client(returning(source)) as http, http.stream("POST", "/") as response:
        seen = []
        async for event in read_stream(response):
            seen.append(event.data)
            source.release()
    assert seen == ["a", "b", "[DONE]"]
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"


@KINDS
def test_starlettes_own_test_client_streams_an_endless_source(kind: Any) -> None:
    source = kind(script=forever())
    with TestClient(returning(source)) as http, http.stream("GET", "/") as response:
        transcript = read_stream(response, limit=5).read()
    assert transcript.data == ["x"] * 5
    assert source.closed.wait(5)


@KINDS
async def test_a_reader_that_leaves_stops_the_source(kind: Any) -> None:
    source = kind("a", WAIT, "b")
    async with client(returning(source)) as http, http.stream("GET", "/") as response:
        async for _ in read_stream(response, limit=1):
            pass
    source.release()  # a sync source ends at its next step
    assert await asyncio.to_thread(source.closed.wait, 5)
    assert source.yielded <= 2


async def test_background_tasks_run_after_the_last_token() -> None:
    order: list[str] = []

    def source() -> Iterator[str]:
        yield "a"
        order.append("source")

    app = returning(source, background=BackgroundTask(order.append, "background"))
    async with client(app) as http:
        await http.get("/")
    assert order == ["source", "background"]


async def test_fastapis_own_background_tasks_run() -> None:
    app = FastAPI()
    order: list[str] = []

    @app.post("/", response_class=TokenStreamResponse)
    @token_stream
    async def view(background: BackgroundTasks) -> AsyncIterator[str]:
        background.add_task(order.append, "background")
        yield "a"
        order.append("source")

    async with client(app) as http:
        await http.post("/")
    assert order == ["source", "background"]


async def test_every_kind_of_endpoint_under_fastapi() -> None:
    app = FastAPI()
    threads: set[str] = set()

    @app.post("/async-generator")
    @token_stream("text")
    async def one(ask: Ask) -> AsyncIterator[str]:
        yield ask.q

    @app.post("/generator")
    @token_stream("text")
    def two(ask: Ask) -> Iterator[str]:
        threads.add(threading.current_thread().name)
        yield ask.q

    @app.post("/coroutine")
    @token_stream("text")
    async def three(ask: Ask) -> Any:
        return [ask.q]

    @app.post("/plain")
    @token_stream("text")
    def four(ask: Ask) -> Any:
        return [ask.q]

    @app.post("/response", response_class=TokenStreamResponse)
    async def five(ask: Ask) -> Any:
        return TokenStreamResponse(lambda: [ask.q], "text")

    async with client(app) as http:
        for path in ("async-generator", "generator", "coroutine", "plain", "response"):
            response = await http.post(f"/{path}", json={"q": "hi"})
            assert response.content == b"data: hi\n\ndata: [DONE]\n\n", path
        assert (await http.post("/generator", json={})).status_code == 422
    assert threads == {"tokenstream-pump"}


async def test_dependencies_and_string_annotations_are_found() -> None:
    app = FastAPI()

    @app.get("/{n}")
    @token_stream("text", on_reconnect="rerun")
    async def view(n: int, who: Annotated[str, Depends(user)]) -> AsyncIterator[str]:
        for _ in range(n):
            yield who

    async with client(app) as http:
        assert read_stream(await http.get("/2")).read().text == "adaada"


def test_openapi_names_the_media_type() -> None:
    app = FastAPI()

    @app.post("/", response_class=TokenStreamResponse)
    @token_stream
    async def view(ask: Ask) -> AsyncIterator[str]:
        yield ask.q

    operation = app.openapi()["paths"]["/"]["post"]
    assert list(operation["responses"]["200"]["content"]) == ["text/event-stream"]
    assert "requestBody" in operation


@pytest.mark.parametrize("style", ["generator", "coroutine", "response"])
async def test_an_error_before_the_first_part_is_an_http_error(style: str) -> None:
    app = FastAPI()

    async def failing() -> AsyncIterator[str]:
        raise HTTPException(429, "later")
        yield ""

    async def opens() -> Any:
        raise HTTPException(429, "later")

    @app.get("/")
    async def view() -> Any:
        if style == "response":
            return TokenStreamResponse(lambda: failing())
        return await token_stream(failing if style == "generator" else opens)()

    async with client(app) as http:
        response = await http.get("/")
    assert (response.status_code, response.json()) == (429, {"detail": "later"})


async def test_the_view_reads_the_requests_body() -> None:
    @token_stream
    async def coroutine(request: Request) -> list[str]:
        return list((await request.json())["words"])

    @token_stream
    async def generator(request: Request) -> AsyncIterator[str]:
        async for piece in request.stream():
            yield piece.decode()

    app = Starlette(
        routes=[Route("/c", coroutine, methods=["POST"]), Route("/g", generator, methods=["POST"])]
    )
    async with client(app) as http:
        words = read_stream(await http.post("/c", json={"words": ["a", "b"]})).read()
        pieces = read_stream(await http.post("/g", content="a b")).read()
    assert words.tokens == ["a", "b"]
    assert pieces.text == "a b"


async def test_a_form_that_fastapi_has_read() -> None:
    app = FastAPI()

    @app.post("/")
    @token_stream
    async def view(request: Request, q: Annotated[str, fastapi.Form()]) -> AsyncIterator[str]:
        yield q
        yield str((await request.form())["q"])

    async with client(app) as http:
        reply = read_stream(await http.post("/", data={"q": "hi"})).read()
    assert reply.tokens == ["hi", "hi"]


async def test_a_finished_response_passes_through() -> None:
    @token_stream
    def generator(request: Request) -> Any:
        return JSONResponse({"error": "no"}, 400)
        yield

    @token_stream
    async def coroutine(request: Request) -> Any:
        return JSONResponse({"error": "no"}, 400)

    app = Starlette(routes=[Route("/g", generator), Route("/c", coroutine)])
    async with client(app) as http:
        for path in ("/g", "/c"):
            response = await http.get(path)
            assert (response.status_code, response.json()) == (400, {"error": "no"})


async def test_head_and_reconnects_never_call_the_endpoint() -> None:
    calls: list[str] = []

    @token_stream
    async def view(request: Request) -> AsyncIterator[str]:
        calls.append(request.method)
        yield "a"

    app = Starlette(routes=[Route("/", view)])
    async with client(app) as http:
        head = await http.head("/")
        lost = await http.get("/", headers={"last-event-id": "abc"})
        over = await http.get("/", headers={"last-event-id": "abc.end"})
    assert (head.status_code, head.content) == (200, b"")
    assert lost.content.startswith(b"id: abc.end\nevent: error\n")
    assert over.status_code == 204
    assert calls == []


async def test_a_failure_behind_base_http_middleware_looks_like_one() -> None:
    async def passing(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    app = returning(AsyncScriptedSource("a", ValueError("secret")))
    app.add_middleware(BaseHTTPMiddleware, dispatch=passing)
    async with client(app) as http:
        transcript = read_stream(await http.get("/")).read()
    assert transcript.error == "generation failed"
    assert not transcript.done


async def test_gzip_middleware_does_not_buffer() -> None:
    source = AsyncScriptedSource("a", WAIT, "b")
    app = returning(source)
    app.add_middleware(GZipMiddleware, minimum_size=0)
    headers = {"accept-encoding": "gzip"}
    async with client(app) as http, http.stream("POST", "/", headers=headers) as response:
        seen = []
        async for event in read_stream(response):
            seen.append(event.data)
            source.release()
    assert seen == ["a", "b", "[DONE]"]
    assert "content-encoding" not in response.headers


async def test_headers_and_cookies_set_on_the_response_are_sent() -> None:
    async def view(request: Request) -> TokenStreamResponse:
        response = TokenStreamResponse(["a"], status=201, headers={"x-own": "1"})
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    async with client(Starlette(routes=[Route("/", view)])) as http:
        response = await http.get("/")
    assert response.status_code == 201
    assert response.headers["x-own"] == "1"
    assert len(response.headers.get_list("set-cookie")) == 2
    assert "content-length" not in response.headers


def test_what_is_no_source_is_an_error_and_not_half_a_stream() -> None:
    with pytest.raises(NotASource, match="give an iterable of tokens"):
        TokenStreamResponse("a whole text")
    with pytest.raises(NotASource, match="int"):
        TestClient(returning(lambda: 3)).get("/")


def test_fastapi_is_the_version_that_finds_generators_by_itself() -> None:
    # The decorator hides the view for its sake: look again when this changes.
    assert hasattr(fastapi, "sse")


@pytest.mark.parametrize("view_is_async", [True, False])
@pytest.mark.parametrize("source_is_async", [True, False])
async def test_what_a_view_binds_is_there_in_its_source(
    view_is_async: bool, source_is_async: bool
) -> None:
    def sync_source() -> Iterator[str]:
        yield tenant.get()

    async def async_source() -> AsyncIterator[str]:
        yield tenant.get()

    source = async_source if source_is_async else sync_source

    @token_stream("text")
    async def async_view(request: Request) -> Any:
        tenant.set("bob")
        return source()

    @token_stream("text")
    def sync_view(request: Request) -> Any:
        tenant.set("bob")
        return source()

    app = Starlette(routes=[Route("/", async_view if view_is_async else sync_view)])
    async with client(app) as http:
        assert read_stream(await http.get("/")).read().text == "bob"
