"""The raw ASGI adapter, driven as a server drives it."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import fastapi
import httpx
import pytest
from starlette.testclient import TestClient

from tokenstream import Data, OpenAIChat, Result, TokenStream
from tokenstream.errors import BodyTooLarge, InvalidOption, ReaderLeft, UnknownWire
from tokenstream.testing import (
    WAIT,
    AsyncScriptedSource,
    FakeClock,
    ScriptedSource,
    forever,
    read_stream,
)
from tokenstream.testing.transport import ASGITransport
from tokenstream_asgi import KeepAliveMiddleware, TokenStreamResponse, read_body, token_stream

EVENTS = {"accept": "text/event-stream"}
KINDS = pytest.mark.parametrize("kind", [ScriptedSource, AsyncScriptedSource])


def client(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=ASGITransport(app), base_url="http://test")


def serving(source: object, wire: Any = "json", **options: Any) -> httpx.AsyncClient:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await TokenStreamResponse(source, wire, **options)(scope, receive, send)

    return client(app)


async def closed(source: ScriptedSource | AsyncScriptedSource) -> bool:
    return await asyncio.to_thread(source.closed.wait, 5)


@KINDS
async def test_tokens_arrive_one_by_one(kind: Any) -> None:
    source = kind(WAIT, "a", WAIT, "b")
    source.release()
    async with serving(source) as http, http.stream("POST", "/") as response:
        seen = []
        async for event in read_stream(response):
            seen.append(event.data)
            source.release()
    assert seen == ['{"token":"a"}', '{"token":"b"}', "[DONE]"]
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache, no-transform"
    assert response.headers["x-accel-buffering"] == "no"
    assert "content-encoding" not in response.headers


@KINDS
async def test_a_reader_that_leaves_stops_the_source(kind: Any) -> None:
    results: list[Result] = []
    source = kind("a", WAIT, "b") if kind is AsyncScriptedSource else kind(script=forever())
    async with (
        serving(source, on_finish=results.append) as http,
        http.stream("POST", "/") as response,
    ):
        async for _ in read_stream(response, limit=1):
            pass
    assert await closed(source)
    assert [result.outcome for result in results] == ["disconnected"]


async def test_a_silent_sync_source_frees_the_request_at_once() -> None:
    source = ScriptedSource("a", WAIT, "b")
    async with serving(source) as http, http.stream("POST", "/") as response:
        async for _ in read_stream(response, limit=1):
            pass
    assert not source.closed.is_set()  # its thread is inside of next()
    source.release()
    assert await closed(source)


async def test_the_last_body_message_goes_out_before_on_finish() -> None:
    order: list[str] = []

    async def on_finish(result: Result) -> None:
        order.append(f"on_finish {result.outcome}")

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            order.append(f"body more={message['more_body']}")

    response = TokenStreamResponse(AsyncScriptedSource("a"), "text", on_finish=on_finish)
    await response(_scope("POST"), _silent_receive, send)
    assert order[-2:] == ["body more=False", "on_finish completed"]
    assert order.count("body more=False") == 1


@KINDS
async def test_an_error_before_the_first_part_is_raised_and_no_status_sent(kind: Any) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(LookupError, match="no model"):
        await TokenStreamResponse(kind(LookupError("no model")))(
            _scope("POST"), _silent_receive, send
        )
    assert sent == []


@KINDS
async def test_an_error_after_it_is_an_error_event(
    kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(kind("a", LookupError("secret"))) as http:
        transcript = read_stream(await http.post("/")).read()
    assert transcript.error == '{"error":"generation failed"}'
    assert not transcript.done
    assert b"secret" not in transcript.raw
    [record] = [record for record in caplog.records if record.name == "tokenstream"]
    assert record.exc_info is not None
    assert "secret" in str(record.exc_info[1])


async def test_head_never_starts_the_source() -> None:
    source = ScriptedSource("a")
    async with serving(source) as http:
        response = await http.head("/")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.content == b""
    assert not source.started.is_set()


@pytest.mark.parametrize("wire", ["json", "text"])
async def test_an_event_source_gets_ids_and_is_stopped_when_it_comes_back(wire: Any) -> None:
    async with serving(AsyncScriptedSource("a", "b"), wire) as http:
        transcript = read_stream(await http.get("/", headers=EVENTS)).read()
    ids = [event.id for event in transcript.events]
    run = ids[0]
    assert run
    assert len(run) >= 20
    assert ids == [run, None, f"{run}.end"]

    source = ScriptedSource("a")
    async with serving(source, wire) as http:
        lost = await http.get("/", headers=EVENTS | {"last-event-id": run})
        over = await http.get("/", headers=EVENTS | {"last-event-id": f"{run}.end"})
    [event] = read_stream(lost).read().events
    assert (lost.status_code, event.event, event.id) == (200, "error", f"{run}.end")
    assert "connection lost, cannot resume" in event.data
    assert (over.status_code, over.content) == (204, b"")
    assert not source.started.is_set()


async def test_html_tells_an_event_source_of_an_early_failure_in_the_stream(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # htmx would take an HTTP error for a reason to ask again.
    results: list[Any] = []
    source = AsyncScriptedSource(LookupError("secret"))
    async with serving(source, "html", on_finish=results.append) as http:
        response = await http.get("/", headers=EVENTS)
    error, close = read_stream(response).read().events
    assert (response.status_code, error.event, close.event) == (200, "error", "close")
    assert error.data == "generation failed"
    assert (error.id or "").endswith(".end")
    assert [result.outcome for result in results] == ["failed"]
    [record] = [record for record in caplog.records if record.name == "tokenstream"]
    assert record.exc_info is not None


async def test_html_answers_a_post_with_an_http_error() -> None:
    with pytest.raises(LookupError, match="no model"):
        async with serving(AsyncScriptedSource(LookupError("no model")), "html") as http:
            await http.post("/")


async def test_a_hostile_last_event_id_is_never_echoed() -> None:
    async with serving(ScriptedSource("a")) as http:
        response = await http.get("/", headers={"last-event-id": "x" * 500})
    assert b"xxx" not in response.content
    assert response.content.count(b"\n\n") == 1


async def test_rerun_is_the_app_choice() -> None:
    async with serving(ScriptedSource("a"), on_reconnect="rerun") as http:
        transcript = read_stream(
            await http.get("/", headers=EVENTS | {"last-event-id": "abc"})
        ).read()
    assert transcript.done
    assert [event.id for event in transcript.events] == [None, None]


async def test_a_post_and_openai_chat_carry_no_ids() -> None:
    async with serving(ScriptedSource("a")) as http:
        response = await http.post("/", headers=EVENTS | {"last-event-id": "abc"})
    assert b"id:" not in response.content
    async with serving(ScriptedSource("a"), OpenAIChat(id="x", created=0)) as http:
        response = await http.get("/", headers=EVENTS | {"last-event-id": "abc"})
    assert b"\nid:" not in response.content
    assert response.content.endswith(b"data: [DONE]\n\n")


async def test_keep_alives_while_the_source_thinks() -> None:
    source = AsyncScriptedSource("a", WAIT, "b")
    with FakeClock() as clock:
        async with serving(source, "text") as http, http.stream("POST", "/") as response:
            chunks = response.aiter_raw()
            assert await anext(chunks) == b"data: a\n\n"
            for _ in range(3):
                pending = asyncio.ensure_future(anext(chunks))
                await asyncio.sleep(0.01)  # the reader is at its gate; nothing comes of itself
                assert not pending.done()
                clock.advance(15)
                assert await pending == b": keep-alive\n\n"
            source.release()
            rest = [chunk async for chunk in chunks]
            assert b"".join(rest) == b"data: b\n\ndata: [DONE]\n\n"


async def test_a_send_that_takes_too_long_frees_everything() -> None:
    blocked = asyncio.Event()
    results: list[Result] = []
    source = AsyncScriptedSource("a", WAIT, "b")

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            blocked.set()
            await asyncio.Event().wait()

    with FakeClock() as clock:
        response = TokenStreamResponse(source, on_finish=results.append, send_timeout=30)
        task = asyncio.create_task(response(_scope("POST"), _silent_receive, send))
        await blocked.wait()
        clock.advance(31)
        async with asyncio.timeout(5):
            await task
    assert source.closed.is_set()
    assert results[0].outcome == "disconnected"


async def test_a_send_that_raises_as_in_asgi_2_4_is_a_reader_that_left() -> None:
    source = AsyncScriptedSource("a", WAIT, "b")

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            raise OSError("gone")

    await TokenStreamResponse(source)(_scope("POST"), _silent_receive, send)
    assert source.closed.is_set()


async def test_clean_up_that_awaits_completes_when_the_server_cancels_the_request() -> None:
    cleaned = asyncio.Event()

    async def source() -> AsyncIterator[str]:
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            cleaned.set()

    sent = asyncio.Event()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            sent.set()

    task = asyncio.create_task(TokenStreamResponse(source())(_scope("GET"), _silent_receive, send))
    await sent.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5):
        await cleaned.wait()


async def test_the_apps_own_connection_header_is_dropped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    own = {"Connection": "keep-alive", "X-Own": "1", "cache-control": "private"}
    with caplog.at_level(logging.WARNING, "tokenstream"):
        async with serving(ScriptedSource("a"), headers=own) as http:
            response = await http.post("/")
    assert "connection" not in response.headers
    assert response.headers["x-own"] == "1"
    assert response.headers.get_list("cache-control") == ["private"]
    assert "Connection" in caplog.text


# The decorator.


async def test_every_kind_of_handler() -> None:
    @token_stream("text")
    async def async_generator(scope: Any, receive: Any) -> AsyncIterator[str]:
        yield (await read_body(receive)).decode()

    @token_stream(wire="text")
    async def coroutine(scope: Any, receive: Any) -> Any:
        body = await read_body(receive)
        return [body.decode()]

    @token_stream("text")
    def generator(scope: Any, receive: Any) -> Iterator[str]:
        yield "hi"

    @token_stream("text", keep_alive=5)
    def plain(scope: Any, receive: Any) -> Any:
        return ["hi"]

    for app in (async_generator, coroutine, generator, plain):
        async with client(app) as http:
            transcript = read_stream(await http.post("/", content=b"hi")).read()
        assert transcript.data == ["hi", "[DONE]"]


async def test_the_decorator_without_arguments() -> None:
    @token_stream
    async def app(scope: Any, receive: Any) -> AsyncIterator[str]:
        yield "hi"

    async with client(app) as http:
        assert read_stream(await http.post("/")).read().text == "hi"


async def test_a_finished_response_passes_through() -> None:
    async def teapot(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": b"short and stout"})

    @token_stream
    async def app(scope: Any, receive: Any) -> Any:
        return teapot

    async with client(app) as http:
        response = await http.get("/")
    assert (response.status_code, response.content) == (418, b"short and stout")


async def test_a_handler_may_return_a_token_stream_response() -> None:
    @token_stream
    async def app(scope: Any, receive: Any) -> Any:
        return TokenStreamResponse(["hi"], "text")

    async with client(app) as http:
        assert (await http.post("/")).content == b"data: hi\n\ndata: [DONE]\n\n"


async def test_a_body_over_the_limit_is_413() -> None:
    @token_stream("text")
    async def app(scope: Any, receive: Any) -> AsyncIterator[str]:
        yield (await read_body(receive, limit=10)).decode()

    async with client(app) as http:
        response = await http.post("/", content=b"x" * 11)
    assert response.status_code == 413
    assert "10 bytes" in response.text


async def test_head_and_reconnects_never_call_the_handler() -> None:
    calls: list[str] = []

    @token_stream
    async def app(scope: Any, receive: Any) -> AsyncIterator[str]:
        calls.append(scope["method"])
        yield "a"

    async with client(app) as http:
        await http.head("/")
        await http.get("/", headers={"last-event-id": "abc"})
        await http.get("/", headers={"last-event-id": "abc.end"})
    assert calls == []


async def test_lifespan_is_acknowledged() -> None:
    @token_stream
    async def app(scope: Any, receive: Any) -> AsyncIterator[str]:
        yield "a"

    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_websocket_is_refused() -> None:
    @token_stream
    async def app(scope: Any, receive: Any) -> AsyncIterator[str]:
        yield "a"

    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app({"type": "websocket"}, receive, send)
    assert sent == ["websocket.close"]


async def test_context_variables_reach_the_source() -> None:
    user = contextvars.ContextVar("user", default="nobody")

    @token_stream("text")
    def app(scope: Any, receive: Any) -> Iterator[str]:
        yield user.get()

    user.set("ada")
    async with client(app) as http:
        assert read_stream(await http.post("/")).read().text == "ada"


# Bad input.


def test_bad_options_are_errors_where_they_are_written() -> None:
    with pytest.raises(UnknownWire, match="json, text"):
        TokenStreamResponse(["a"], "jsonl")
    with pytest.raises(UnknownWire):
        token_stream(wire="jsonl")(lambda scope, receive: None)
    with pytest.raises(InvalidOption, match="keep_alive=-1"):
        TokenStreamResponse(["a"], keep_alive=-1)
    with pytest.raises(InvalidOption, match="interval=0"):
        KeepAliveMiddleware(_never, interval=0)


async def test_a_part_with_no_place_ends_with_an_error_that_names_both(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(["a", Data("x", 1)], "text") as http:
        transcript = read_stream(await http.post("/")).read()
    assert transcript.error == "generation failed"
    assert "'text'" in caplog.text
    assert "Data" in caplog.text


def test_from_fastapi_the_raw_class_refuses_and_names_the_right_one() -> None:
    app = fastapi.FastAPI()

    @app.get("/plain")
    async def plain():
        return TokenStreamResponse(["a"])

    @app.get("/annotated")
    async def annotated() -> dict[str, str]:
        return TokenStreamResponse(["a"])

    for path in ("/plain", "/annotated"):
        with pytest.raises(Exception, match=r"tokenstream_starlette\.TokenStreamResponse"):
            TestClient(app).get(path)


async def test_read_body_when_the_reader_leaves() -> None:
    async def receive() -> Any:
        return {"type": "http.disconnect"}

    with pytest.raises(ReaderLeft):
        await read_body(receive)


async def test_read_body_bounds_what_it_holds() -> None:
    async def receive() -> Any:
        return {"type": "http.request", "body": b"x" * 100, "more_body": True}

    with pytest.raises(BodyTooLarge, match="1000 bytes"):
        await read_body(receive, limit=1000)


# KeepAliveMiddleware.


def _events_app(*steps: Any, headers: dict[str, str] | None = None) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raw = {"content-type": "text/event-stream"} | (headers or {})
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(k.encode(), v.encode()) for k, v in raw.items()],
            }
        )
        for step in steps:
            if isinstance(step, asyncio.Event):
                await step.wait()
            else:
                await send({"type": "http.response.body", "body": step, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


async def _read_idle(app: Any, event: asyncio.Event, method: str = "GET") -> bytes:
    """Read until the app waits, let 40 s pass, 10 at a time, release it, and read the rest."""
    got: list[bytes] = []
    with FakeClock() as clock:
        async with (
            client(KeepAliveMiddleware(app, interval=15)) as http,
            http.stream(method, "/") as response,
        ):

            async def read() -> None:
                async for chunk in response.aiter_raw():
                    got.append(chunk)

            task = asyncio.create_task(read())
            for _ in range(4):
                for _ in range(20):
                    await asyncio.sleep(0)
                clock.advance(10)
            for _ in range(20):
                await asyncio.sleep(0)
            event.set()
            await task
    return b"".join(got)


async def test_comments_go_into_an_idle_event_stream() -> None:
    event = asyncio.Event()
    body = await _read_idle(_events_app(b"data: a\n\n", event, b"data: b\n\n"), event)
    assert body == b"data: a\n\n: keep-alive\n\n: keep-alive\n\ndata: b\n\n"


async def test_comments_never_go_inside_an_event() -> None:
    event = asyncio.Event()
    body = await _read_idle(_events_app(b"data: a", event, b"\n\n"), event)
    assert body == b"data: a\n\n"


async def test_after_an_id_a_comment_has_no_blank_line() -> None:
    event = asyncio.Event()
    body = await _read_idle(_events_app(b"id: 1\ndata: a\n\n", event, b"data: b\n\n"), event)
    assert body == b"id: 1\ndata: a\n\n: keep-alive\n: keep-alive\ndata: b\n\n"


@pytest.mark.parametrize("headers", [{"content-type": "text/plain"}, {"content-encoding": "gzip"}])
async def test_other_bodies_are_left_alone(headers: dict[str, str]) -> None:
    event = asyncio.Event()
    body = await _read_idle(_events_app(b"a\n\n", event, b"b\n\n", headers=headers), event)
    assert body == b"a\n\nb\n\n"


async def test_head_is_left_alone() -> None:
    event = asyncio.Event()
    body = await _read_idle(_events_app(b"a\n\n", event, b"b\n\n"), event, method="HEAD")
    assert body == b"a\n\nb\n\n"


async def test_the_middleware_around_our_own_response_changes_nothing() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await TokenStreamResponse(["a"], "text")(scope, receive, send)

    async with client(KeepAliveMiddleware(app)) as http:
        assert (await http.post("/")).content == b"data: a\n\ndata: [DONE]\n\n"


def _scope(method: str) -> dict[str, Any]:
    return {"type": "http", "method": method, "headers": [], "path": "/"}


async def _silent_receive() -> Any:
    await asyncio.Event().wait()


async def _never(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError


def test_a_stream_names_its_headers() -> None:
    stream = TokenStream(["a"])
    assert stream.headers["X-Accel-Buffering"] == "no"
    assert stream.media_type == "text/event-stream"


@pytest.mark.parametrize("decorated", [True, False])
async def test_an_unread_body_does_not_hide_a_reader_that_leaves(decorated: bool) -> None:
    source = AsyncScriptedSource("a", WAIT, "b")

    async def handler(scope: Any, receive: Any) -> Any:
        return source

    app = token_stream(handler) if decorated else TokenStreamResponse(source)
    chunks = iter([b"x" * 4096] * 100)
    sent = asyncio.Event()

    async def receive() -> Any:
        if (chunk := next(chunks, None)) is not None:
            return {"type": "http.request", "body": chunk, "more_body": True}
        await sent.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            sent.set()

    async with asyncio.timeout(5):
        await app(_scope("POST"), receive, send)
    assert source.closed.is_set()


@KINDS
async def test_a_terminal_that_could_not_be_sent_is_not_completed(kind: Any) -> None:
    results: list[Result] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            raise OSError("gone")

    response = TokenStreamResponse(kind("a"), on_finish=results.append)
    await response(_scope("POST"), _silent_receive, send)
    assert [result.outcome for result in results] == ["disconnected"]


async def test_what_a_source_raises_when_the_reader_has_left_is_not_the_servers() -> None:
    left = asyncio.Event()

    async def source() -> AsyncIterator[str]:
        await left.wait()
        raise ConnectionError("nobody there")
        yield ""

    async def receive() -> Any:
        left.set()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        raise AssertionError(message)

    await TokenStreamResponse(source())(_scope("POST"), receive, send)


async def test_options_are_checked_where_a_decorator_is_written() -> None:
    with pytest.raises(InvalidOption, match="keep_alive=-1"):
        token_stream(keep_alive=-1)(lambda scope, receive: ())


async def test_comments_go_out_before_the_first_event() -> None:
    event = asyncio.Event()
    body = await _read_idle(_events_app(event, b"data: a\n\n"), event)
    assert body == b": keep-alive\n\n: keep-alive\n\ndata: a\n\n"


async def test_a_body_of_a_told_length_is_left_alone() -> None:
    event = asyncio.Event()
    app = _events_app(b"data: a\n\n", event, b"data: b\n\n", headers={"content-length": "18"})
    assert await _read_idle(app, event) == b"data: a\n\ndata: b\n\n"
