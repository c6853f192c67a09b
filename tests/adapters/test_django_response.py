"""The Django response, read by Django's own clients and through its ASGI handler."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import django
import httpx
import pytest
from django.core.asgi import get_asgi_application
from django.core.signals import request_finished
from django.test import AsyncClient, AsyncRequestFactory, Client, RequestFactory
from django.views.decorators.csrf import csrf_exempt

from tokenstream import Result, TokenStream
from tokenstream.errors import ForeignLoop, InvalidOption, NotASource, UnknownWire
from tokenstream.testing import (
    WAIT,
    AsyncScriptedSource,
    FakeClock,
    ScriptedSource,
    forever,
    read_stream,
)
from tokenstream.testing.transport import ASGITransport
from tokenstream_django import TokenStreamResponse

KINDS = pytest.mark.parametrize("kind", [ScriptedSource, AsyncScriptedSource])
EVENTS = {"Accept": "text/event-stream"}
GZIP = "django.middleware.gzip.GZipMiddleware"
Serve = Callable[..., str]


def streaming(source: object, wire: Any = "json", **options: Any) -> Callable[..., Any]:
    def view(request: Any) -> TokenStreamResponse:
        return TokenStreamResponse(source, wire, request=request, **options)

    return csrf_exempt(view)


def astreaming(source: object, wire: Any = "json", **options: Any) -> Callable[..., Any]:
    async def view(request: Any) -> TokenStreamResponse:
        return TokenStreamResponse(source, wire, request=request, **options)

    return csrf_exempt(view)


def served() -> httpx.AsyncClient:
    """A client of the project behind Django's own ASGI handler."""
    transport = ASGITransport(get_asgi_application())
    return httpx.AsyncClient(transport=transport, base_url="http://testserver")


VIEWS = pytest.mark.parametrize("make", [streaming, astreaming])


# Streaming, in the pairings of source, view and server.


@KINDS
@VIEWS
def test_tokens_arrive_one_by_one_under_wsgi(kind: Any, make: Any, serve: Serve) -> None:
    source = kind(WAIT, "a", WAIT, "b")
    source.release()
    if kind is AsyncScriptedSource:
        response = Client().post(serve(make(lambda: source)))
    else:
        response = Client().post(serve(make(source)))
    seen = []
    for event in read_stream(response):
        seen.append(event.data)
        source.release()
    assert seen == ['{"token":"a"}', '{"token":"b"}', "[DONE]"]
    assert response.is_async is False


@KINDS
@VIEWS
async def test_tokens_arrive_one_by_one_under_asgi(kind: Any, make: Any, serve: Serve) -> None:
    source = kind(WAIT, "a", WAIT, "b")
    source.release()
    path = serve(make(source))
    async with served() as http, http.stream("POST", path) as response:
        seen = []
        async for event in read_stream(response):
            seen.append(event.data)
            source.release()
    assert seen == ['{"token":"a"}', '{"token":"b"}', "[DONE]"]


@KINDS
async def test_the_async_client_reads_it(kind: Any, serve: Serve) -> None:
    response = await AsyncClient().post(serve(streaming(kind("a", "b"))))
    transcript = await read_stream(response).aread()
    assert (transcript.tokens, transcript.done) == (["a", "b"], True)
    assert response.is_async is True


@KINDS
def test_without_keep_alive_it_streams_too(kind: Any, serve: Serve) -> None:
    response = Client().post(serve(streaming(lambda: kind("a"), keep_alive=None)))
    assert read_stream(response).read().tokens == ["a"]


# Headers.


def test_headers(rf: RequestFactory) -> None:
    response = TokenStreamResponse(["a"], request=rf.post("/"))
    assert response.headers == {
        "Content-Type": "text/event-stream; charset=utf-8",
        "Cache-Control": "no-cache, no-transform",
        "X-Accel-Buffering": "no",
    }
    assert response.status_code == 200


def test_own_status_and_headers(rf: RequestFactory) -> None:
    headers = {"X-Chat": "7", "cache-control": "no-store"}
    response = TokenStreamResponse(["a"], request=rf.post("/"), status=201, headers=headers)
    assert (response.status_code, response["X-Chat"]) == (201, "7")
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", ["Connection", "transfer-encoding"])
def test_what_belongs_to_the_server_is_dropped(
    name: str, rf: RequestFactory, caplog: pytest.LogCaptureFixture
) -> None:
    response = TokenStreamResponse(["a"], request=rf.post("/"), headers={name: "keep-alive"})
    response[name] = "chunked"
    assert name not in response
    warned = [r for r in caplog.records if r.levelno == logging.WARNING and name in r.getMessage()]
    assert len(warned) == 2


@pytest.mark.parametrize("middleware", [(), (GZIP,), ("django_project.middleware.OwnGZip",)])
@pytest.mark.parametrize("method", ["post", "head"])
def test_identity_only_against_gzip(middleware: Any, method: str, serve: Serve) -> None:
    response = getattr(Client(), method)(serve(streaming(["a"]), middleware=middleware))
    against = bool(middleware) and django.VERSION < (6, 1)
    assert response.headers.get("Content-Encoding") == ("identity" if against else None)


def test_an_encoding_of_the_apps_own_stays(serve: Serve) -> None:
    view = streaming(["a"], headers={"Content-Encoding": "br"})
    response = Client().post(serve(view, middleware=(GZIP,)))
    assert response["Content-Encoding"] == "br"


@pytest.mark.skipif(django.VERSION >= (6, 1), reason="it flushes each chunk there, zipped")
def test_gzip_middleware_does_not_hold_the_stream_back_under_wsgi(serve: Serve) -> None:
    source = ScriptedSource("a", WAIT, "b")
    path = serve(streaming(source), middleware=(GZIP,))
    response = Client().post(path, headers={"Accept-Encoding": "gzip"})
    reader = iter(read_stream(response))
    assert next(reader).data == '{"token":"a"}'
    source.release()
    assert [event.data for event in reader] == ['{"token":"b"}', "[DONE]"]
    assert response["Content-Encoding"] == "identity"


async def test_gzip_middleware_does_not_hold_the_stream_back_under_asgi(serve: Serve) -> None:
    source = AsyncScriptedSource("a", WAIT, "b")
    path = serve(streaming(source), middleware=(GZIP,))
    asking = {"Accept-Encoding": "gzip"}
    async with served() as http, http.stream("POST", path, headers=asking) as response:
        reader = aiter(read_stream(response))
        assert (await anext(reader)).data == '{"token":"a"}'
        source.release()
        assert [event.data async for event in reader] == ['{"token":"b"}', "[DONE]"]
    zipped = django.VERSION >= (6, 1)  # it flushes each chunk there
    assert response.headers["content-encoding"] == ("gzip" if zipped else "identity")


# Middleware.

MAPPING = "django_project.middleware.mapping"
BRIDGES = pytest.mark.parametrize(
    "bridge", ["django_project.middleware.AsyncOnly", "django_project.middleware.SyncOnly"]
)


@KINDS
def test_middleware_that_asks_and_maps_under_wsgi(kind: Any, serve: Serve) -> None:
    path = serve(streaming(kind("a cat")), middleware=(MAPPING,))
    response = Client().post(path)
    assert read_stream(response).read().tokens == ["a dog"]
    assert response["X-Is-Async"] == "False"


@KINDS
async def test_middleware_that_asks_and_maps_under_asgi(kind: Any, serve: Serve) -> None:
    path = serve(streaming(kind("a cat")), middleware=(MAPPING,))
    async with served() as http, http.stream("POST", path) as response:
        assert (await read_stream(response).aread()).tokens == ["a dog"]
    assert response.headers["x-is-async"] == "True"


@KINDS
@BRIDGES
def test_middleware_of_the_other_kind_under_wsgi(kind: Any, bridge: str, serve: Serve) -> None:
    path = serve(streaming(lambda: kind("a", "b")), middleware=(bridge,))
    assert read_stream(Client().post(path)).read().tokens == ["a", "b"]


@KINDS
@BRIDGES
async def test_middleware_of_the_other_kind_under_asgi(
    kind: Any, bridge: str, serve: Serve
) -> None:
    path = serve(streaming(kind("a", "b")), middleware=(bridge,))
    async with served() as http, http.stream("POST", path) as response:
        assert (await read_stream(response).aread()).tokens == ["a", "b"]


def test_csrf_is_still_checked(serve: Serve) -> None:
    source = ScriptedSource("a")

    def view(request: Any) -> TokenStreamResponse:
        return TokenStreamResponse(source, request=request)

    response = Client(enforce_csrf_checks=True).post(serve(view))
    assert response.status_code == 403
    assert not source.started.is_set()


# Context.

name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="nobody")


def _named(kind: Any) -> Callable[[], object]:
    def tokens() -> Iterator[str]:
        yield name.get()

    async def atokens() -> AsyncIterator[str]:
        yield name.get()

    return tokens if kind is ScriptedSource else atokens


@KINDS
def test_context_variables_of_the_view_under_wsgi(kind: Any, serve: Serve) -> None:
    def view(request: Any) -> TokenStreamResponse:
        name.set("ada")
        return TokenStreamResponse(_named(kind), request=request)

    response = contextvars.copy_context().run(Client().post, serve(view))
    assert read_stream(response).read().tokens == ["ada"]


@KINDS
async def test_context_variables_of_the_view_under_asgi(kind: Any, serve: Serve) -> None:
    @csrf_exempt
    async def view(request: Any) -> TokenStreamResponse:
        name.set("ada")
        return TokenStreamResponse(_named(kind), request=request)

    async with served() as http, http.stream("POST", serve(view)) as response:
        assert (await read_stream(response).aread()).tokens == ["ada"]


# Keep-alive.


def test_keep_alive_under_wsgi(fake_clock: FakeClock, rf: RequestFactory) -> None:
    source = ScriptedSource(WAIT, "a")
    response = TokenStreamResponse(source, request=rf.post("/"))
    chunks = iter(response)

    def let_time_pass() -> None:
        assert source.started.wait(10)
        fake_clock.advance(15)

    ticker = threading.Thread(target=let_time_pass)
    ticker.start()
    assert next(chunks) == b": keep-alive\n\n"
    ticker.join()
    source.release()
    assert b"".join(chunks) == b'data: {"token":"a"}\n\ndata: [DONE]\n\n'


async def test_keep_alive_under_asgi(fake_clock: FakeClock, async_rf: AsyncRequestFactory) -> None:
    source = AsyncScriptedSource(WAIT, "a")
    chunks = aiter(TokenStreamResponse(source, request=async_rf.post("/")))
    first = asyncio.ensure_future(anext(chunks))
    assert await asyncio.to_thread(source.started.wait, 10)
    fake_clock.advance(15)
    assert await first == b": keep-alive\n\n"
    source.release()
    assert [chunk async for chunk in chunks] == [b'data: {"token":"a"}\n\n', b"data: [DONE]\n\n"]


# Leaving.


@KINDS
def test_closing_half_way_stops_the_source_under_wsgi(kind: Any, serve: Serve) -> None:
    results: list[Result] = []
    source = kind(script=forever())
    response = Client().post(serve(streaming(source, on_finish=results.append)))
    read_stream(response, limit=2).read()
    assert source.closed.wait(10)
    assert [result.outcome for result in results] == ["disconnected"]


@KINDS
@VIEWS
async def test_a_reader_that_leaves_a_silent_source_under_asgi(
    kind: Any, make: Any, serve: Serve
) -> None:
    results: list[Result] = []
    source = kind("a", WAIT, "b")
    path = serve(make(source, on_finish=results.append))
    async with served() as http, http.stream("POST", path) as response:
        await read_stream(response, limit=1).aread()
    if kind is AsyncScriptedSource:
        # Django has waited for the source's own clean-up, and for `on_finish`.
        assert source.closed.is_set()
        assert [result.outcome for result in results] == ["disconnected"]
    source.release()  # a thread in `next()` ends with its next part
    assert await asyncio.to_thread(source.closed.wait, 10)


@pytest.mark.parametrize("make", [streaming, astreaming])
@pytest.mark.parametrize("hot", [True, False], ids=["hot", "at its end"])
@pytest.mark.parametrize("leaves", [True, False], ids=["leaves", "takes nothing"])
async def test_a_reader_that_leaves_while_it_is_written_to(
    leaves: bool, hot: bool, make: Any, serve: Serve
) -> None:
    # The task is cancelled inside of `send`, which tells Django that the reader has gone.
    results: list[Result] = []
    closed = asyncio.Event()

    async def source() -> AsyncIterator[str]:
        try:
            yield "x"
            while hot:
                yield "x"
        finally:
            await asyncio.sleep(0)
            closed.set()

    patience = 20 if leaves else 0.05
    path = serve(make(source, send_timeout=patience, on_finish=results.append))
    app, scope = get_asgi_application(), AsyncRequestFactory().post(path).scope
    blocked, left = asyncio.Event(), asyncio.Event()
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        if (message := next(messages, None)) is not None:
            return message
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            blocked.set()
            await asyncio.Event().wait()

    async with asyncio.timeout(20):
        call = asyncio.ensure_future(app(scope, receive, send))
        await blocked.wait()
        if leaves:
            left.set()
        await call
        await closed.wait()
    assert [result.outcome for result in results] == ["disconnected"]


async def test_django_waits_for_an_async_clean_up(serve: Serve) -> None:
    order = []

    def note(**_: Any) -> None:
        order.append("request finished")

    async def source() -> AsyncIterator[str]:
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            for _ in range(5):
                await asyncio.to_thread(str)
            order.append("cleaned up")

    request_finished.connect(note)
    try:
        async with served() as http, http.stream("POST", serve(astreaming(source))) as response:
            await read_stream(response, limit=1).aread()
    finally:
        request_finished.disconnect(note)
    assert order == ["cleaned up", "request finished"]


async def test_clean_up_may_use_the_request_s_thread(serve: Serve) -> None:
    from asgiref.sync import sync_to_async

    cleaned = threading.Event()

    async def source() -> AsyncIterator[str]:
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            await sync_to_async(cleaned.set)()

    async with served() as http, http.stream("POST", serve(astreaming(source))) as response:
        await read_stream(response, limit=1).aread()
    assert cleaned.is_set()


def test_a_probe_is_taken_from_the_environ(rf: RequestFactory) -> None:
    import socket

    ours, theirs = socket.socketpair()
    source = ScriptedSource("a", WAIT, "b")
    response = TokenStreamResponse(source, request=rf.post("/", **{"gunicorn.socket": ours}))
    chunks = iter(response)
    assert next(chunks) == b'data: {"token":"a"}\n\n'
    theirs.close()
    with ours:
        assert list(chunks) == []  # the source is silent, and no write was tried
    source.release()
    assert source.closed.wait(10)


# Failing, after the first part.


@KINDS
def test_a_failure_after_the_first_part(
    kind: Any, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    results: list[Result] = []
    source = kind("a", ValueError("secret"))
    response = Client().post(serve(streaming(source, on_finish=results.append)))
    transcript = read_stream(response).read()
    assert transcript.tokens == ["a"]
    assert transcript.error == '{"error":"generation failed"}'
    assert not transcript.done
    assert "secret" not in transcript.raw.decode()
    assert str(results[0].error) == "secret"
    assert sum("stream failed" in record.getMessage() for record in caplog.records) == 1


# HEAD and reconnects.

RECONNECTS = pytest.mark.parametrize(
    "last, status, body",
    [
        (
            "abc",
            200,
            b'id: abc.end\nevent: error\ndata: {"error":"connection lost, cannot resume"}\n\n',
        ),
        ("abc.end", 204, b""),
    ],
)


@KINDS
def test_head_never_starts_the_source_under_wsgi(kind: Any, rf: RequestFactory) -> None:
    source = kind("a")
    response = TokenStreamResponse(source, request=rf.head("/"), status=203, headers={"X-A": "b"})
    assert b"".join(response) == b""
    assert response.is_async is False
    assert (response.status_code, response["X-A"]) == (203, "b")
    assert response["Content-Type"] == "text/event-stream; charset=utf-8"
    assert "Content-Length" not in response
    assert not source.started.is_set()


@KINDS
async def test_head_never_starts_the_source_under_asgi(kind: Any, serve: Serve) -> None:
    source = kind("a")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with served() as http:
            response = await http.head(serve(streaming(source)))
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert not source.started.is_set()


@RECONNECTS
def test_reconnects_never_start_the_source_under_wsgi(
    last: str, status: int, body: bytes, serve: Serve
) -> None:
    source = ScriptedSource("a")
    headers = {**EVENTS, "Last-Event-ID": last}
    response = Client().get(serve(streaming(source)), headers=headers)
    assert (response.status_code, b"".join(response)) == (status, body)
    assert ("Content-Type" in response) is (status == 200)
    assert not source.started.is_set()


@RECONNECTS
async def test_reconnects_never_start_the_source_under_asgi(
    last: str, status: int, body: bytes, serve: Serve
) -> None:
    source = AsyncScriptedSource("a")
    headers = {**EVENTS, "Last-Event-ID": last}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with served() as http:
            response = await http.get(serve(streaming(source)), headers=headers)
    assert (response.status_code, response.content) == (status, body)
    assert not source.started.is_set()


def test_an_event_source_s_ids(serve: Serve) -> None:
    path = serve(streaming(lambda: ["a", "b"]))
    events = read_stream(Client().get(path, headers=EVENTS)).read()
    run = events.events[0].id
    assert run is not None
    assert (
        events.raw
        == (
            f'id: {run}\ndata: {{"token":"a"}}\n\n'
            f'data: {{"token":"b"}}\n\nid: {run}.end\ndata: [DONE]\n\n'
        ).encode()
    )


def test_post_has_no_ids(serve: Serve) -> None:
    response = Client().post(serve(streaming(["a"])), headers={**EVENTS, "Last-Event-ID": "x"})
    assert b"id:" not in read_stream(response).read().raw


def test_rerun(serve: Serve) -> None:
    path = serve(streaming(lambda: ["a"], on_reconnect="rerun"))
    response = Client().get(path, headers={**EVENTS, "Last-Event-ID": "x.end"})
    transcript = read_stream(response).read()
    assert (transcript.tokens, b"id:" in transcript.raw) == (["a"], False)


class Opened:
    """An async source that an SDK has opened: iterable, and to be closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    async def __aiter__(self) -> AsyncIterator[str]:
        yield "a"

    async def close(self) -> None:
        self.closed.set()


async def test_what_was_opened_for_an_answer_without_it_is_closed(serve: Serve) -> None:
    source = Opened()
    async with served() as http:
        await http.head(serve(astreaming(source)))
    assert await asyncio.to_thread(source.closed.wait, 10)


# Bad input.


def test_no_request() -> None:
    with pytest.raises(TypeError, match="add request=request"):
        TokenStreamResponse(["a"])


def test_no_request_but_something_else() -> None:
    with pytest.raises(TypeError, match="request='GET'"):
        TokenStreamResponse(["a"], request="GET")


@pytest.mark.parametrize(
    "source, options, error",
    [
        (["a"], {"wire": "jason"}, UnknownWire),
        (["a"], {"keep_alive": -1}, InvalidOption),
        ("text", {}, NotASource),
        (None, {}, NotASource),
    ],
)
@pytest.mark.parametrize("method", ["post", "head"])
def test_bad_input_shows_at_once(
    source: Any, options: Any, error: Any, method: str, rf: RequestFactory
) -> None:
    with pytest.raises(error):
        TokenStreamResponse(source, request=getattr(rf, method)("/"), **options)


def test_what_an_async_view_has_opened_under_wsgi(serve: Serve) -> None:
    async def view(request: Any) -> TokenStreamResponse:
        return TokenStreamResponse(Opened(), request=request)

    with pytest.raises(ForeignLoop, match="lambda: client"):
        Client().post(serve(view))


def test_what_an_async_view_may_give_under_wsgi(serve: Serve) -> None:
    async def tokens() -> AsyncIterator[str]:
        yield "a"

    async def opened() -> AsyncIterator[str]:
        return tokens()

    for source in (tokens, tokens(), opened, opened(), lambda: Opened()):
        assert read_stream(Client().post(serve(astreaming(source)))).read().tokens == ["a"]


def test_it_is_a_streaming_response_with_a_stream_inside(rf: RequestFactory) -> None:
    response = TokenStreamResponse(["a"], request=rf.post("/"))
    assert response.streaming
    with pytest.raises(AttributeError):
        _ = response.content
    assert not isinstance(response, TokenStream)


def test_importing_it_imports_no_rest_framework_and_needs_no_settings() -> None:
    code = (
        "import sys, tokenstream_django; "
        "bad = [m for m in ('rest_framework', 'torch', 'httpx') if m in sys.modules]; "
        "assert not bad, bad"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("client_kind", ["wsgi", "asgi"])
async def test_gzip_makes_no_body_of_the_204_that_stops_an_event_source(
    client_kind: str, serve: Serve
) -> None:
    path = serve(streaming(ScriptedSource("a")), middleware=(GZIP,))
    headers = {"Accept": "text/event-stream", "Last-Event-ID": "abc.end", "Accept-Encoding": "gzip"}
    if client_kind == "wsgi":
        response = await asyncio.to_thread(Client().get, path, headers=headers)
        body = b"".join(response)
    else:
        async with served() as http:
            response = await http.get(path, headers=headers)
        body = response.content
    assert (response.status_code, body) == (204, b"")
