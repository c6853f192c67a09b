"""The decorator, on every kind of view."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from asgiref.sync import iscoroutinefunction, sync_to_async
from django.core.asgi import get_asgi_application
from django.core.exceptions import PermissionDenied
from django.core.signals import request_finished
from django.http import Http404, HttpResponse, JsonResponse
from django.test import AsyncClient, Client, RequestFactory
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from tokenstream import OpenAIChat, Result
from tokenstream.errors import FinishedTooLate, InvalidOption, NotASource, UnknownWire
from tokenstream.testing import (
    WAIT,
    AsyncScriptedSource,
    ScriptedSource,
    forever,
    read_stream,
)
from tokenstream.testing.transport import ASGITransport
from tokenstream_django import TokenStreamResponse, token_stream

EVENTS = {"Accept": "text/event-stream"}
Serve = Callable[..., str]


def served() -> httpx.AsyncClient:
    transport = ASGITransport(get_asgi_application())
    return httpx.AsyncClient(transport=transport, base_url="http://testserver")


class Llm:
    """What views read; made for each test."""

    def __init__(self, *steps: object) -> None:
        self.sync = ScriptedSource(*steps)
        self.awaited = AsyncScriptedSource(*steps)

    @property
    def started(self) -> bool:
        return self.sync.started.is_set() or self.awaited.started.is_set()


def generator(llm: Llm) -> Callable[..., Any]:
    def view(request: Any) -> Iterator[object]:
        yield from llm.sync

    return view


def returning(llm: Llm) -> Callable[..., Any]:
    def view(request: Any) -> object:
        return llm.sync

    return view


def returning_async(llm: Llm) -> Callable[..., Any]:
    def view(request: Any) -> object:
        return llm.awaited

    return view


def coroutine(llm: Llm) -> Callable[..., Any]:
    async def view(request: Any) -> object:
        await asyncio.sleep(0)
        return llm.awaited

    return view


def coroutine_sync(llm: Llm) -> Callable[..., Any]:
    async def view(request: Any) -> object:
        await asyncio.sleep(0)
        return llm.sync

    return view


def async_generator(llm: Llm) -> Callable[..., Any]:
    async def view(request: Any) -> AsyncIterator[object]:
        async for token in llm.awaited:
            yield token

    return view


KINDS = [generator, returning, returning_async, coroutine, coroutine_sync, async_generator]
VIEWS = pytest.mark.parametrize("kind", KINDS)


# Streaming.


@VIEWS
def test_tokens_arrive_one_by_one_under_wsgi(kind: Any, serve: Serve) -> None:
    llm = Llm("a", WAIT, "b")
    response = Client().post(serve(token_stream(kind(llm))))
    reader = iter(read_stream(response))
    assert next(reader).data == '{"token":"a"}'
    llm.sync.release()
    llm.awaited.release()
    assert [event.data for event in reader] == ['{"token":"b"}', "[DONE]"]
    assert response.is_async is False


@VIEWS
@pytest.mark.parametrize("keep_alive", [15, None])
async def test_tokens_arrive_one_by_one_under_asgi(
    kind: Any, keep_alive: float | None, serve: Serve
) -> None:
    llm = Llm("a", WAIT, "b")
    path = serve(csrf_exempt(token_stream(keep_alive=keep_alive)(kind(llm))))
    async with served() as http, http.stream("POST", path) as response:
        reader = aiter(read_stream(response))
        assert (await anext(reader)).data == '{"token":"a"}'
        llm.sync.release()
        llm.awaited.release()
        assert [event.data async for event in reader] == ['{"token":"b"}', "[DONE]"]


@VIEWS
async def test_the_async_client(kind: Any, serve: Serve) -> None:
    response = await AsyncClient().post(serve(token_stream(kind(Llm("a")))))
    assert (await read_stream(response).aread()).tokens == ["a"]


@pytest.mark.parametrize(
    "decorate",
    [
        token_stream,
        token_stream(),
        token_stream("json"),
        token_stream(wire="json", keep_alive=5),
    ],
)
def test_the_ways_to_write_it(decorate: Any, serve: Serve) -> None:
    @decorate
    def view(request: Any) -> Iterator[str]:
        yield "a"

    assert read_stream(Client().post(serve(view))).read().tokens == ["a"]


def test_options_reach_the_response_and_the_stream(serve: Serve) -> None:
    results: list[Result] = []

    @token_stream(OpenAIChat(model="m"), status=202, headers={"X-A": "b"}, on_finish=results.append)
    def view(request: Any) -> Iterator[str]:
        yield "a"

    response = Client().post(serve(view))
    transcript = read_stream(response).read()
    assert '"model":"m"' in transcript.data[0]
    assert (response.status_code, response["X-A"]) == (202, "b")
    assert [result.text for result in results] == ["a"]


# Class-based views, and what stands around a view.


class Chat(View):
    @token_stream("json")
    def post(self, request: Any, room: str = "none") -> Iterator[str]:
        yield f"{type(self).__name__} {request.POST['q']}"


class AsyncChat(View):
    @token_stream("json")
    async def post(self, request: Any) -> AsyncIterator[str]:
        yield f"{type(self).__name__} {request.POST['q']}"


@method_decorator(token_stream("json"), name="post")
class DecoratedChat(View):
    def post(self, request: Any) -> Iterator[str]:
        yield f"{type(self).__name__} {request.POST['q']}"


@pytest.mark.parametrize("view", [Chat, AsyncChat, DecoratedChat])
def test_methods_of_class_based_views(view: Any, serve: Serve) -> None:
    response = Client().post(serve(view.as_view()), {"q": "hi"})
    assert read_stream(response).read().text == f"{view.__name__} hi"
    assert Client().get("/chat").status_code == 405


async def test_methods_of_async_class_based_views_under_asgi(serve: Serve) -> None:
    view = csrf_exempt(AsyncChat.as_view())
    async with served() as http, http.stream("POST", serve(view), data={"q": "hi"}) as response:
        assert (await read_stream(response).aread()).text == "AsyncChat hi"


def test_decorators_around_and_below(serve: Serve) -> None:
    @require_POST
    @token_stream
    def view(request: Any) -> Iterator[str]:
        yield "a"

    path = serve(view)
    assert Client().get(path).status_code == 405
    assert read_stream(Client().post(path)).read().tokens == ["a"]


def test_what_a_decorator_below_has_marked_is_kept(serve: Serve) -> None:
    @token_stream
    @csrf_exempt
    def view(request: Any) -> Iterator[str]:
        """Chat."""
        yield "a"

    assert (view.__name__, view.__doc__) == ("view", "Chat.")
    response = Client(enforce_csrf_checks=True).post(serve(view))
    assert read_stream(response).read().tokens == ["a"]


@VIEWS
def test_django_sees_whether_a_view_is_async(kind: Any) -> None:
    view = kind(Llm())
    is_async = kind in (coroutine, coroutine_sync, async_generator)
    assert iscoroutinefunction(token_stream(view)) is is_async


# Before the first part.

FAILURES = pytest.mark.parametrize(
    "error, status", [(Http404("no"), 404), (PermissionDenied("no"), 403)]
)


@VIEWS
@FAILURES
def test_failing_before_the_first_part_under_wsgi(
    kind: Any, error: Exception, status: int, serve: Serve
) -> None:
    response = Client().post(serve(token_stream(kind(Llm(error)))))
    assert response.status_code == status
    assert response["Content-Type"].startswith("text/html")


@VIEWS
@FAILURES
async def test_failing_before_the_first_part_under_asgi(
    kind: Any, error: Exception, status: int, serve: Serve
) -> None:
    path = serve(csrf_exempt(token_stream(kind(Llm(error)))))
    async with served() as http:
        assert (await http.post(path)).status_code == status


@VIEWS
def test_an_unknown_failure_is_django_s_500(kind: Any, serve: Serve) -> None:
    path = serve(token_stream(kind(Llm(ValueError("secret")))))
    response = Client(raise_request_exception=False).post(path)
    assert response.status_code == 500
    assert b"secret" not in response.content


@VIEWS
def test_failing_after_the_first_part(kind: Any, serve: Serve) -> None:
    response = Client().post(serve(token_stream(kind(Llm("a", Http404("no"))))))
    transcript = read_stream(response).read()
    assert (transcript.tokens, transcript.done) == (["a"], False)
    assert transcript.error == '{"error":"generation failed"}'


# Finished responses.


def bad_generator(request: Any) -> Any:
    if not request.POST.get("q"):
        return JsonResponse({"error": "q is missing"}, status=400)
    yield "a"


def bad_view(request: Any) -> Any:
    return JsonResponse({"error": "q is missing"}, status=400)


async def bad_coroutine(request: Any) -> Any:
    await asyncio.sleep(0)
    return JsonResponse({"error": "q is missing"}, status=400)


BAD = pytest.mark.parametrize("view", [bad_generator, bad_view, bad_coroutine])


@BAD
def test_a_finished_response_passes_under_wsgi(view: Any, serve: Serve) -> None:
    results: list[Result] = []
    response = Client().post(serve(token_stream(on_finish=results.append)(view)))
    assert (response.status_code, response.json()) == (400, {"error": "q is missing"})
    assert results == []


@BAD
async def test_a_finished_response_passes_under_asgi(view: Any, serve: Serve) -> None:
    async with served() as http:
        response = await http.post(serve(csrf_exempt(token_stream(view))))
    assert (response.status_code, response.json()) == (400, {"error": "q is missing"})


def test_a_stream_of_its_own_passes(serve: Serve) -> None:
    @token_stream
    def view(request: Any) -> TokenStreamResponse:
        return TokenStreamResponse(["a"], "text", request=request)

    assert read_stream(Client().post(serve(view))).read().raw == b"data: a\n\ndata: [DONE]\n\n"


def test_a_response_after_the_first_part_is_an_error(serve: Serve) -> None:
    results: list[Result] = []

    @token_stream(on_finish=results.append)
    def view(request: Any) -> Any:
        yield "a"
        return HttpResponse("too late")

    assert read_stream(Client().post(serve(view))).read().error is not None
    assert isinstance(results[0].error, FinishedTooLate)


# HEAD and reconnects.


@VIEWS
@pytest.mark.parametrize(
    "method, headers, status",
    [
        ("HEAD", {}, 200),
        ("GET", {**EVENTS, "Last-Event-ID": "x"}, 200),
        ("GET", {**EVENTS, "Last-Event-ID": "x.end"}, 204),
    ],
)
@pytest.mark.parametrize("server", ["wsgi", "asgi"])
async def test_what_is_answered_without_the_view(
    kind: Any, method: str, headers: dict[str, str], status: int, server: str, serve: Serve
) -> None:
    called = threading.Event()
    llm = Llm("a")
    inner = kind(llm)

    def note(request: Any) -> Any:
        called.set()
        return inner(request)

    view = note if kind in (generator, returning, returning_async) else inner
    path = serve(token_stream(view))
    if server == "wsgi":
        request = getattr(Client(), method.lower())
        response = await asyncio.to_thread(request, path, headers=headers)
    else:
        async with served() as http:
            response = await http.request(method, path, headers=headers)
    assert response.status_code == status
    assert not called.is_set()
    assert not llm.started


def test_rerun(serve: Serve) -> None:
    @token_stream(on_reconnect="rerun")
    def view(request: Any) -> Iterator[str]:
        yield "a"

    response = Client().get(serve(view), headers={**EVENTS, "Last-Event-ID": "x.end"})
    assert read_stream(response).read().tokens == ["a"]


# Leaving.


@VIEWS
def test_closing_half_way_under_wsgi(kind: Any, serve: Serve) -> None:
    llm = Llm()
    llm.sync, llm.awaited = ScriptedSource(script=forever()), AsyncScriptedSource(script=forever())
    read_stream(Client().post(serve(token_stream(kind(llm)))), limit=1).read()
    source = llm.sync if llm.sync.started.is_set() else llm.awaited
    assert source.closed.wait(10)


@VIEWS
async def test_leaving_under_asgi(kind: Any, serve: Serve) -> None:
    llm = Llm()
    llm.sync, llm.awaited = ScriptedSource(script=forever()), AsyncScriptedSource(script=forever())
    path = serve(csrf_exempt(token_stream(kind(llm))))
    async with served() as http, http.stream("POST", path) as response:
        await read_stream(response, limit=1).aread()
    source = llm.sync if llm.sync.started.is_set() else llm.awaited
    assert await asyncio.to_thread(source.closed.wait, 10)


@pytest.mark.parametrize("is_async", [False, True], ids=["a sync view", "an async view"])
async def test_leaving_before_the_first_part(is_async: bool, serve: Serve) -> None:
    order = []
    started = asyncio.Event()
    loop = asyncio.get_running_loop()

    def note(**_: Any) -> None:
        order.append("request finished")

    async def source() -> AsyncIterator[str]:
        loop.call_soon_threadsafe(started.set)
        try:
            await asyncio.Event().wait()
            yield "never"
        finally:
            for _ in range(5):
                await asyncio.to_thread(str)
            order.append("cleaned up")

    def view(request: Any) -> Any:
        return source()

    async def async_view(request: Any) -> Any:
        return source()

    path = serve(token_stream(async_view if is_async else view))
    request_finished.connect(note)
    try:
        await leave_when(started, path)
    finally:
        request_finished.disconnect(note)
    assert order == ["cleaned up", "request finished"]


async def test_a_sync_view_is_over_when_its_reader_leaves_though_its_source_blocks(
    serve: Serve,
) -> None:
    source, started = ScriptedSource(WAIT, "a"), asyncio.Event()
    loop = asyncio.get_running_loop()

    @token_stream
    def view(request: Any) -> Any:
        loop.call_soon_threadsafe(started.set)
        return source

    await leave_when(started, serve(view))
    assert source.yielded == 0
    source.release()
    assert await asyncio.to_thread(source.closed.wait, 10)


async def leave_when(event: asyncio.Event, path: str) -> None:
    """Ask for a page of Django's under ASGI, be gone at the event, and wait for the app's end."""
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "headers": [],
        "asgi": {"version": "3.0"},
    }

    async def receive() -> dict[str, Any]:
        if (message := next(messages, None)) is not None:
            return message
        await event.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        raise AssertionError(message)

    async with asyncio.timeout(10):
        await get_asgi_application()(scope, receive, send)


# Where the source runs.

who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


@pytest.mark.parametrize("server", ["wsgi", "asgi"])
@pytest.mark.parametrize("is_async", [False, True])
async def test_context_variables_last_from_step_to_step(
    server: str, is_async: bool, serve: Serve
) -> None:
    async def aview(request: Any) -> AsyncIterator[str]:
        token = who.set("ada")
        yield who.get()
        await asyncio.sleep(0)
        yield who.get()
        who.reset(token)

    def view(request: Any) -> Iterator[str]:
        token = who.set("ada")
        yield who.get()
        yield who.get()
        who.reset(token)

    path = serve(csrf_exempt(token_stream(aview if is_async else view)))
    if server == "wsgi":
        transcript = await asyncio.to_thread(lambda: read_stream(Client().post(path)).read())
    else:
        async with served() as http, http.stream("POST", path) as response:
            transcript = await read_stream(response).aread()
    assert (transcript.tokens, transcript.done) == (["ada", "ada"], True)


async def test_an_async_view_runs_on_the_server_s_loop(serve: Serve) -> None:
    loops = []

    @csrf_exempt
    @token_stream
    async def view(request: Any) -> AsyncIterator[str]:
        loops.append(asyncio.get_running_loop())
        yield "a"

    async with served() as http, http.stream("POST", serve(view)) as response:
        await read_stream(response).aread()
    assert loops == [asyncio.get_running_loop()]


@pytest.mark.parametrize("server", ["wsgi", "asgi"])
@pytest.mark.parametrize("is_async", [False, True])
async def test_sync_to_async_works_before_and_after_the_first_part(
    server: str, is_async: bool, serve: Serve
) -> None:
    threads = []

    async def tokens() -> AsyncIterator[str]:
        for token in ("a", "b"):
            threads.append(await sync_to_async(threading.current_thread)())
            yield token

    async def aview(request: Any) -> object:
        return tokens()

    def view(request: Any) -> object:
        return tokens()

    path = serve(csrf_exempt(token_stream(aview if is_async else view)))
    if server == "wsgi":
        transcript = await asyncio.to_thread(lambda: read_stream(Client().post(path)).read())
    else:
        async with served() as http, http.stream("POST", path) as response:
            transcript = await read_stream(response).aread()
    assert (transcript.tokens, transcript.done) == (["a", "b"], True)
    assert len(set(threads)) == 1


@pytest.mark.parametrize("kind", [coroutine, coroutine_sync])
def test_an_async_on_finish_of_an_async_view_under_wsgi(kind: Any, serve: Serve) -> None:
    results: list[Result] = []

    async def on_finish(result: Result) -> None:
        await asyncio.sleep(0)
        results.append(result)

    response = Client().post(serve(token_stream(on_finish=on_finish)(kind(Llm("a")))))
    read_stream(response).read()
    assert [result.outcome for result in results] == ["completed"]


# Bad input.


def test_an_unknown_wire_shows_where_it_is_written() -> None:
    with pytest.raises(UnknownWire, match="json"):
        token_stream("jason")(bad_view)


def test_bad_option_values_show_where_they_are_written() -> None:
    with pytest.raises(InvalidOption, match="keep_alive=-1"):
        token_stream(keep_alive=-1)(bad_view)
    with pytest.raises(TypeError, match="keep_alife"):
        token_stream(keep_alife=1)(bad_view)


def test_a_view_without_a_request() -> None:
    @token_stream
    def view(question: str) -> Iterator[str]:
        yield question

    with pytest.raises(TypeError, match=r"no request among the view's arguments \(str\)"):
        view("hi")


def test_a_request_by_its_name(rf: RequestFactory) -> None:
    @token_stream
    def view(request: Any) -> Iterator[str]:
        yield "a"

    assert read_stream(view(request=rf.post("/"))).read().tokens == ["a"]


def test_a_view_that_returns_nothing(serve: Serve) -> None:
    @token_stream
    def view(request: Any) -> None:
        return None

    with pytest.raises(NotASource, match="NoneType"):
        Client().post(serve(view))
