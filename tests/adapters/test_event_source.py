"""`EventSourceResponse`: what sse-starlette's does, written anew, and what ours does better."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket

from tokenstream import Result, sse
from tokenstream.errors import InvalidOption, NotASource
from tokenstream.testing import WAIT, AsyncScriptedSource, FakeClock, ScriptedSource, read_stream
from tokenstream.testing.transport import ASGITransport
from tokenstream_starlette import EventSourceResponse, JSONServerSentEvent, ServerSentEvent

from ..pairings import turns, turns_until

tenant = contextvars.ContextVar("tenant", default="lost")

KINDS = pytest.mark.parametrize("kind", [ScriptedSource, AsyncScriptedSource])

ERROR = b"event: error\r\ndata: generation failed\r\n\r\n"


def client(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=ASGITransport(app), base_url="http://test")


def returning(content: object, **options: Any) -> Starlette:
    async def view(request: Request) -> EventSourceResponse:
        return EventSourceResponse(content, **options)

    return Starlette(routes=[Route("/", view, methods=["GET", "POST"])])


async def body(content: object, **options: Any) -> bytes:
    async with client(returning(content, **options)) as http:
        return (await http.get("/")).content


class Exchange:
    """A request in ASGI's messages; what is sent is kept, and a reader leaves when it is told to.

    waits: bodies that are not empty take a permit each.
    """

    def __init__(self, response: EventSourceResponse, *, waits: bool = False) -> None:
        self.sent: list[Any] = []
        self.left = asyncio.Event()
        self.permits = asyncio.Semaphore(0) if waits else None
        scope = {"type": "http", "method": "GET", "headers": []}
        self.task = asyncio.create_task(response(scope, self._receive, self._send))

    async def _receive(self) -> Any:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if self.permits is not None and message.get("body"):
            await self.permits.acquire()
        self.sent.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def is_ended(self) -> bool:
        return self.sent[-1].get("more_body") is False

    async def until(self, expected: bytes) -> None:
        await turns_until(lambda: expected in self.body)


# Items and framing; byte by byte in test_starlette_events.py.


@pytest.mark.parametrize("sep", ["\r\n", "\r", "\n"])
async def test_each_item_is_an_event(sep: str) -> None:
    items = [1, "two", {"data": 3, "event": "e"}, ServerSentEvent("4", sep=sep), b": 5\n\n"]
    lines = ["data: 1", "", "data: two", "", "event: e", "data: 3", "", "data: 4", "", ": 5\n\n"]
    assert await body(items, sep=sep) == sep.join(lines).encode()


async def test_the_end_is_an_empty_last_body() -> None:
    for items in ([], ["a"]):
        exchange = Exchange(EventSourceResponse(items))
        await exchange.task
        assert exchange.body == b"data: a\r\n\r\n" * len(items)
        assert exchange.is_ended
        assert sum(message.get("more_body") is False for message in exchange.sent) == 1


async def test_any_kind_of_content() -> None:
    async def agenerator() -> AsyncIterator[str]:
        yield "a"

    def generator() -> Iterator[str]:
        yield "a"

    async def opens() -> list[str]:
        return ["a"]

    for content in (agenerator(), generator(), ["a"], iter("a"), agenerator, generator, opens):
        assert await body(content) == b"data: a\r\n\r\n"
    with pytest.raises(NotASource):  # theirs would send its characters, one by one
        EventSourceResponse("abc")


@KINDS
async def test_each_event_is_read_before_the_next_is_made(kind: Any) -> None:
    source = kind({"data": "a", "id": "1"}, WAIT, ServerSentEvent("b"), WAIT, "c")
    async with client(returning(source)) as http, http.stream("POST", "/") as response:
        seen = []
        async for event in read_stream(response):
            seen.append(event.data)
            assert source.yielded == len(seen)
            source.release()
    assert seen == ["a", "b", "c"]


async def test_a_memory_channel_and_what_fills_it() -> None:
    send_channel, receive_channel = anyio.create_memory_object_stream[Any](0)
    log = []

    async def produce(channel: Any, last: int) -> None:
        async with channel:
            for number in range(last + 1):
                await channel.send({"data": number})
        log.append("done")

    response = EventSourceResponse(
        receive_channel, data_sender_callable=partial(produce, send_channel, 3)
    )
    exchange = Exchange(response)
    await exchange.task
    assert exchange.body == b"".join(b"data: %d\r\n\r\n" % number for number in range(4))
    assert log == ["done"]


# The head.


async def test_the_headers() -> None:
    headers = {"x-own": "1", "cache-control": "no-store", "Connection": "keep-alive"}
    async with client(returning(["a"], headers=headers, status_code=201)) as http:
        response = await http.get("/")
        plain = await (client(returning(["a"]))).get("/")
    assert response.status_code == 201
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["x-own"] == "1"
    assert "connection" not in response.headers  # the server's to send
    assert plain.headers["cache-control"] == "no-cache, no-transform"


async def test_another_media_type() -> None:
    async with client(returning(["a"], media_type="application/x-events")) as http:
        assert (await http.get("/")).headers["content-type"] == "application/x-events"


@KINDS
async def test_the_head_is_sent_before_there_is_an_event(kind: Any) -> None:
    source = kind(WAIT, "a")
    async with client(returning(source)) as http, http.stream("GET", "/") as response:
        assert response.status_code == 200
        source.release()
        assert [event.data async for event in read_stream(response)] == ["a"]


async def test_head_starts_nothing() -> None:
    log: list[str] = []

    async def source() -> AsyncIterator[str]:
        log.append("source")
        yield "a"

    async def sender() -> None:
        log.append("sender")

    background = BackgroundTask(log.append, "background")
    app = returning(source(), status_code=202, data_sender_callable=sender, background=background)
    async with client(app) as http:
        head = await http.head("/")
    assert (head.status_code, head.content, log) == (202, b"", ["background"])
    assert head.headers["content-type"] == "text/event-stream; charset=utf-8"


async def test_head_closes_what_was_opened() -> None:
    send_channel, receive_channel = anyio.create_memory_object_stream[Any](0)
    async with client(returning(receive_channel)) as http:
        await http.head("/")
    with pytest.raises(anyio.BrokenResourceError):
        await send_channel.send("a")
    send_channel.close()


async def test_a_browsers_own_ids_are_the_apps() -> None:
    # It reads `Last-Event-ID` itself: nothing is answered in its place, and no id is added.
    async def view(request: Request) -> EventSourceResponse:
        return EventSourceResponse([request.headers["last-event-id"]])

    headers = {"last-event-id": "7.end", "accept": "text/event-stream"}
    async with client(Starlette(routes=[Route("/", view)])) as http:
        response = await http.get("/", headers=headers)
    assert (response.status_code, response.content) == (200, b"data: 7.end\r\n\r\n")


# What can't be.


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"sep": "\t"}, ValueError, "sep must be one of"),
        ({"ping": "ten"}, TypeError, "ping interval must be int"),
        ({"ping": -1}, ValueError, ">= 0"),
        ({"shutdown_grace_period": -1}, ValueError, "shutdown_grace_period must be >= 0"),
        ({"cleanup_timeout": -1}, ValueError, "cleanup_timeout must be >= 0"),
        ({"shutdown_event": threading.Event()}, InvalidOption, "asyncio.Event or an anyio.Event"),
        ({"wire": "json"}, TypeError, "wire"),
        ({"prme": 3}, TypeError, "prme"),
    ],
)
def test_an_argument_that_cant_be(options: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        EventSourceResponse([], **options)


async def test_the_defaults_of_a_subclass() -> None:
    class Own(EventSourceResponse):
        DEFAULT_PING_INTERVAL = 2
        DEFAULT_SEPARATOR = "\n"

    with FakeClock() as clock:
        source = AsyncScriptedSource(WAIT, "a")
        exchange = Exchange(Own(source))
        await turns(10)
        clock.advance(2)
        await exchange.until(b": ping\n\n")
        source.release()
        await exchange.task
    assert exchange.body == b": ping\n\ndata: a\n\n"


# Pings.


async def test_a_ping_comes_when_idle_and_not_between_events() -> None:
    with FakeClock() as clock:
        source = AsyncScriptedSource(*["a", WAIT] * 4)
        factory = partial(ServerSentEvent, comment="here")
        exchange = Exchange(EventSourceResponse(source, ping=10, ping_message_factory=factory))
        for count in (1, 2, 3):  # 27 seconds of talk
            await turns_until(lambda n=count: exchange.body.count(b"data: a") == n)
            await turns(10)
            clock.advance(9)
            source.release()
        await turns_until(lambda: exchange.body.count(b"data: a") == 4)
        assert b": here" not in exchange.body
        for count in (1, 2):
            await turns(10)
            clock.advance(10)
            await turns_until(lambda n=count: exchange.body.count(b": here\r\n\r\n") == n)
        source.release()
        await exchange.task


async def test_no_ping_at_all() -> None:
    with FakeClock() as clock:
        source = AsyncScriptedSource("a", WAIT)
        exchange = Exchange(EventSourceResponse(source, ping=0))
        await exchange.until(b"data: a")
        clock.advance(10_000)  # nor a limit on its silence
        await turns(20)
        source.release()
        await exchange.task
    assert exchange.body == b"data: a\r\n\r\n"
    assert exchange.is_ended


# Failing.


@KINDS
async def test_a_failure_is_an_error_event_logged_once(kind: Any, caplog: Any) -> None:
    response = await body(kind("a", LookupError("secret")))
    assert response == b"data: a\r\n\r\n" + ERROR
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [LookupError]


async def test_so_is_one_behind_base_http_middleware() -> None:
    async def passing(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    app = returning(AsyncScriptedSource("a", ValueError("secret")))
    app.add_middleware(BaseHTTPMiddleware, dispatch=passing)
    async with client(app) as http:
        assert (await http.get("/")).content.endswith(ERROR)


async def test_the_public_message_and_the_result_are_the_apps() -> None:
    results: list[Result] = []
    source = AsyncScriptedSource("a", ValueError("secret"))
    text = await body(source, on_error=lambda error: "sorry\nyou", on_finish=results.append)
    assert text.endswith(b"event: error\r\ndata: sorry\r\ndata: you\r\n\r\n")
    assert (results[0].outcome, results[0].text) == ("failed", "a")


@pytest.mark.parametrize("item", [{"dta": "a"}, {"retry": "1"}], ids=["field", "retry"])
async def test_an_item_that_cant_be_framed_fails_the_stream(item: Any) -> None:
    source = AsyncScriptedSource("a", item, "b")
    assert await body(source) == b"data: a\r\n\r\n" + ERROR
    assert source.closed.is_set()


async def test_primed_an_error_is_the_apps_http_error() -> None:
    app = returning(AsyncScriptedSource(LookupError("secret")), prime=15)
    app.add_exception_handler(LookupError, lambda request, error: PlainTextResponse("no", 404))
    async with client(app) as http:
        assert (await http.get("/")).status_code == 404


# Leaving.


@KINDS
async def test_a_reader_that_leaves_stops_the_source(kind: Any) -> None:
    source = kind("a", WAIT, "b")
    async with client(returning(source)) as http, http.stream("GET", "/") as response:
        async for _ in read_stream(response, limit=1):
            pass
    source.release()  # a sync source ends at its next step
    assert await asyncio.to_thread(source.closed.wait, 5)
    assert source.yielded <= 2


async def test_clean_up_may_await_and_runs_in_the_sources_own_task() -> None:
    log: list[str] = []
    tasks = set()

    async def source() -> AsyncIterator[str]:
        tasks.add(asyncio.current_task())
        try:
            yield "a"
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            log.append("cancelled")
            raise
        finally:
            tasks.add(asyncio.current_task())
            await asyncio.sleep(0)  # theirs is cancelled again here
            log.append("closed")

    exchange = Exchange(EventSourceResponse(source()))
    await exchange.until(b"data: a")
    exchange.left.set()
    await exchange.task
    assert log == ["cancelled", "closed"]
    assert len(tasks) == 1


async def test_clean_up_is_not_waited_for_beyond_its_time() -> None:
    may_end, log = asyncio.Event(), []

    async def source() -> AsyncIterator[str]:
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            await may_end.wait()
            log.append("closed")

    exchange = Exchange(EventSourceResponse(source(), cleanup_timeout=0))
    await exchange.until(b"data: a")
    exchange.left.set()
    await exchange.task
    assert log == []
    may_end.set()
    await turns_until(lambda: log)


async def test_the_app_is_told_once_and_first() -> None:
    log: list[Any] = []

    async def told(message: Any) -> None:
        log.append(message)
        await asyncio.sleep(0)
        log.append("told")

    async def source() -> AsyncIterator[str]:
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            log.append("closed")

    background = BackgroundTask(log.append, "background")
    response = EventSourceResponse(
        source(), client_close_handler_callable=told, background=background
    )
    exchange = Exchange(response)
    await exchange.until(b"data: a")
    exchange.left.set()
    await exchange.task
    assert log[0] == {"type": "http.disconnect"}
    assert sorted(log[1:3]) == ["closed", "told"]
    assert log[3:] == ["background"]


@pytest.mark.parametrize("raises", [False, True])
async def test_a_write_may_be_the_first_to_show_it(raises: bool, caplog: Any) -> None:
    told: list[Any] = []

    async def handler(message: Any) -> None:
        told.append(message)
        if raises:
            raise LookupError("the app's own")

    async def send(message: Any) -> None:
        if message.get("body"):
            raise OSError("gone")

    async def receive() -> Any:
        await asyncio.Event().wait()

    source = AsyncScriptedSource("a", WAIT)
    response = EventSourceResponse(source, client_close_handler_callable=handler)
    await response({"type": "http", "method": "GET", "headers": []}, receive, send)
    assert told == [{"type": "http.disconnect"}]
    assert source.closed.is_set()
    assert ("client_close_handler_callable raised" in caplog.text) == raises


async def test_the_app_is_not_told_of_an_end() -> None:
    told: list[Any] = []

    async def handler(message: Any) -> None:
        told.append(message)

    for source in (AsyncScriptedSource("a"), AsyncScriptedSource(ValueError())):
        exchange = Exchange(EventSourceResponse(source, client_close_handler_callable=handler))
        await exchange.task
    assert told == []


async def test_nor_when_the_server_gives_up_its_request() -> None:
    log: list[Any] = []

    async def handler(message: Any) -> None:
        log.append(message)

    async def sender() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            log.append("sender")

    source = AsyncScriptedSource("a", WAIT)
    response = EventSourceResponse(
        source, client_close_handler_callable=handler, data_sender_callable=sender
    )
    exchange = Exchange(response)
    await exchange.until(b"data: a")
    exchange.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await exchange.task
    assert source.closed.is_set()
    assert log == ["sender"]


async def test_nor_of_a_reader_that_leaves_when_it_has_all() -> None:
    told: list[Any] = []
    results: list[Result] = []

    async def handler(message: Any) -> None:
        told.append(message)

    async def on_finish(result: Result) -> None:
        exchange.left.set()
        await turns(20)
        results.append(result)

    response = EventSourceResponse(
        AsyncScriptedSource("a"), client_close_handler_callable=handler, on_finish=on_finish
    )
    exchange = Exchange(response)
    await exchange.task
    assert [result.outcome for result in results] == ["completed"]
    assert told == []


@KINDS
async def test_a_reader_that_takes_nothing_is_gone(kind: Any) -> None:
    with FakeClock() as clock:
        source = kind("a", WAIT, "b")
        exchange = Exchange(EventSourceResponse(source, send_timeout=5), waits=True)
        await turns_until(lambda: source.yielded)
        await turns(20)
        clock.advance(4)
        await turns(20)
        assert not exchange.task.done()
        clock.advance(1)
        source.release()
        await exchange.task
    assert await asyncio.to_thread(source.closed.wait, 5)
    assert exchange.body == b""
    assert not exchange.is_ended


async def test_a_slow_reader_holds_the_source_back() -> None:
    made = 0

    async def source() -> AsyncIterator[str]:
        nonlocal made
        for _ in range(1000):
            made += 1
            yield "x" * 1000

    exchange = Exchange(EventSourceResponse(source(), send_timeout=None), waits=True)
    await turns(5000)
    assert 0 < made < 200
    assert exchange.permits is not None
    while not exchange.task.done():
        exchange.permits.release()
        await asyncio.sleep(0)
    assert exchange.body.count(b"data: ") == made == 1000


# A data sender.


async def test_a_sender_that_raises_fails_the_stream(caplog: Any) -> None:
    async def sender() -> None:
        raise LookupError("secret")

    source = AsyncScriptedSource("a", WAIT)
    exchange = Exchange(EventSourceResponse(source, data_sender_callable=sender))
    await exchange.task
    assert exchange.body.endswith(ERROR)
    assert exchange.is_ended
    assert source.closed.is_set() or not source.started.is_set()
    assert caplog.text.count("LookupError: secret") == 1


async def test_a_sender_is_cancelled_at_the_end_and_cleans_up() -> None:
    log: list[str] = []

    async def sender() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            log.append("sender")

    for leaves in (False, True):
        source = AsyncScriptedSource("a", WAIT)
        exchange = Exchange(EventSourceResponse(source, data_sender_callable=sender))
        await exchange.until(b"data: a")
        if leaves:
            exchange.left.set()
        else:
            source.release()
        await exchange.task
    assert log == ["sender", "sender"]


async def test_a_sender_whose_channel_is_closed_makes_no_noise(caplog: Any) -> None:
    send_channel, receive_channel = anyio.create_memory_object_stream[Any](0)

    async def sender() -> None:
        while True:
            await send_channel.send("a")
            await asyncio.sleep(0)

    exchange = Exchange(EventSourceResponse(receive_channel, data_sender_callable=sender))
    await exchange.until(b"data: a")
    exchange.left.set()
    await exchange.task
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


# Ending with the server.


EVENTS = pytest.mark.parametrize("event_type", [asyncio.Event, anyio.Event])


@EVENTS
async def test_a_source_says_goodbye_in_its_grace(event_type: Any) -> None:
    shutdown = event_type()

    async def source() -> AsyncIterator[Any]:
        yield "tick"
        await shutdown.wait()
        await turns(20)
        yield {"event": "shutdown", "data": "bye"}

    response = EventSourceResponse(source(), shutdown_event=shutdown, shutdown_grace_period=3600)
    exchange = Exchange(response)
    await exchange.until(b"data: tick")
    shutdown.set()
    await exchange.task
    assert exchange.body.endswith(b"event: shutdown\r\ndata: bye\r\n\r\n")
    assert exchange.is_ended


@EVENTS
async def test_a_source_that_goes_on_is_closed(event_type: Any) -> None:
    shutdown, log = event_type(), []

    async def source() -> AsyncIterator[Any]:
        try:
            yield "tick"
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            log.append("cancelled")
            raise
        finally:
            await asyncio.sleep(0)
            log.append("closed")

    results: list[Result] = []
    response = EventSourceResponse(source(), shutdown_event=shutdown, on_finish=results.append)
    exchange = Exchange(response)
    await exchange.until(b"data: tick")
    shutdown.set()
    await exchange.task
    assert log == ["cancelled", "closed"]
    assert exchange.body.endswith(b"event: error\r\ndata: the server is shutting down\r\n\r\n")
    assert exchange.is_ended
    assert [result.outcome for result in results] == ["shutdown"]


async def test_nothing_is_left_of_a_stream_that_ends_before() -> None:
    shutdown = asyncio.Event()
    before = asyncio.all_tasks()
    exchange = Exchange(EventSourceResponse(["a"], shutdown_event=shutdown))
    await exchange.task
    assert asyncio.all_tasks() == before


# Where it is returned.


async def test_under_fastapi() -> None:
    app = FastAPI()

    async def events(question: str) -> AsyncIterator[Any]:
        yield JSONServerSentEvent({"q": question}, event="question")

    @app.get("/plain")
    async def plain(q: str) -> EventSourceResponse:
        return EventSourceResponse(events(q))

    @app.get("/class", response_class=EventSourceResponse)
    def in_a_thread(q: str) -> Any:
        return EventSourceResponse(events(q))

    async with client(app) as http:
        for path in ("/plain", "/class"):
            response = await http.get(path, params={"q": "why"})
            assert response.content == b'event: question\r\ndata: {"q":"why"}\r\n\r\n', path
    operation = app.openapi()["paths"]["/class"]["get"]
    assert list(operation["responses"]["200"]["content"]) == ["text/event-stream"]


async def test_a_sync_generator_is_one_thread_and_one_context() -> None:
    seen: set[Any] = set()

    def source() -> Iterator[str]:
        seen.add((threading.get_ident(), tenant.get()))
        token = tenant.set("here")
        yield "a"
        seen.add((threading.get_ident(), "bob" if tenant.get() == "here" else "lost"))
        yield "b"
        tenant.reset(token)  # a ValueError in another context

    async def view(request: Request) -> EventSourceResponse:
        tenant.set("bob")
        return EventSourceResponse(source())

    async with client(Starlette(routes=[Route("/", view)])) as http:
        assert (await http.get("/")).content == b"data: a\r\n\r\ndata: b\r\n\r\n"
    assert [context for _, context in seen] == ["bob"]


async def test_gzip_middleware_does_not_buffer() -> None:
    source = AsyncScriptedSource("a", WAIT, "b")
    app = returning(source)
    app.add_middleware(GZipMiddleware, minimum_size=0)
    async with client(app) as http, http.stream("GET", "/") as response:
        async for _ in read_stream(response):
            source.release()
    assert "content-encoding" not in response.headers


def test_a_websocket_is_denied_with_it() -> None:
    async def refuse(websocket: WebSocket) -> None:
        await websocket.send_denial_response(EventSourceResponse(["no"], status_code=403))

    app = Starlette(routes=[WebSocketRoute("/", refuse)])
    with (
        pytest.raises(WebSocketDenialResponse) as denial,
        TestClient(app).websocket_connect("/"),
    ):
        pass
    assert (denial.value.status_code, denial.value.content) == (403, b"data: no\r\n\r\n")


def test_it_is_an_event_stream_for_our_decoder() -> None:
    with TestClient(returning([{"data": "a\r\nb", "id": "1"}])) as http:
        events = sse.Decoder().feed(http.get("/").content)
    assert events == [sse.Event("a\nb", id="1")]
