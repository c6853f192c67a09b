"""The Flask response and decorator, in real apps, through Flask's own test client."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from flask import Blueprint, Flask, Response, abort, jsonify, request, session
from flask.testing import FlaskClient
from flask.views import MethodView
from werkzeug.exceptions import NotFound

from tokenstream import Json, Result
from tokenstream.errors import ForeignLoop, InvalidOption, NotASource, UnknownWire
from tokenstream.testing import (
    WAIT,
    AsyncScriptedSource,
    FakeClock,
    ScriptedSource,
    forever,
    read_stream,
)
from tokenstream_flask import NoRequest, TokenStreamResponse, token_stream

KINDS = pytest.mark.parametrize("kind", [ScriptedSource, AsyncScriptedSource])
EVENTS = {"Accept": "text/event-stream"}
SECONDS = 20.0


def make_app() -> Flask:
    app = Flask(__name__)
    app.secret_key = "a test's"
    return app


def serving(view: Any, methods: tuple[str, ...] = ("GET", "POST")) -> FlaskClient:
    app = make_app()
    app.add_url_rule("/", "view", view, methods=methods)
    return app.test_client()


def returning(source: object, *args: Any, **options: Any) -> FlaskClient:
    return serving(lambda: TokenStreamResponse(source, *args, **options))


# The response.


@KINDS
def test_tokens_arrive_one_by_one(kind: Any) -> None:
    source = kind(WAIT, "a", WAIT, "b")
    source.release()
    seen = []
    for event in read_stream(returning(source, "text").post("/")):
        seen.append(event.data)
        source.release()
    assert seen == ["a", "b", "[DONE]"]


@KINDS
def test_the_source_has_one_place(kind: Any) -> None:
    source = kind("a", "b", "c")
    assert read_stream(returning(source).get("/")).read().done
    assert len(source.threads) == 1
    assert source.threads <= {"tokenstream-pump", "tokenstream-loop"}


def test_headers() -> None:
    response = returning(["a"], headers={"X-Own": "1", "cache-control": "no-store"}).get("/")
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert response.headers.getlist("Cache-Control") == ["no-store"]
    assert response.headers["X-Accel-Buffering"] == "no"
    assert response.headers["X-Own"] == "1"
    assert "Content-Encoding" not in response.headers
    assert "Content-Length" not in response.headers
    response.close()


def test_status() -> None:
    response = returning(["a"], status=201).post("/")
    assert response.status_code == 201
    assert read_stream(response).read().tokens == ["a"]


@pytest.mark.parametrize("name", ["Connection", "Transfer-Encoding"])
def test_the_servers_own_headers_are_dropped(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "tokenstream"):
        response = returning(["a"], headers={name: "x"}).get("/")
    response.close()
    assert name not in response.headers
    assert name in caplog.text


def test_and_so_are_those_of_an_after_request(caplog: pytest.LogCaptureFixture) -> None:
    app = make_app()

    @app.after_request
    def keep_alive(response: Response) -> Response:
        response.headers["Connection"] = "keep-alive"
        response.headers["X-Kept"] = "1"
        return response

    app.add_url_rule("/", "view", lambda: TokenStreamResponse(["a"]))
    with caplog.at_level(logging.WARNING, "tokenstream"):
        response = app.test_client().get("/")
    response.close()
    assert "Connection" not in response.headers
    assert response.headers["X-Kept"] == "1"
    assert "Connection" in caplog.text


def test_outside_of_a_request() -> None:
    with pytest.raises(NoRequest, match="use it in a view"):
        TokenStreamResponse(["a"])
    with make_app().app_context(), pytest.raises(RuntimeError, match="use it in a view"):
        TokenStreamResponse(["a"])


def test_it_can_be_read_without_a_server() -> None:
    with make_app().test_request_context("/"):
        assert read_stream(TokenStreamResponse(["a", "b"])).read().text == "ab"


@pytest.mark.parametrize(
    "source, options, error, words",
    [
        (None, {}, NotASource, "NoneType"),
        ("text", {}, NotASource, r"\[text\]"),
        (iter(()), {"wire": "jsn"}, UnknownWire, "json, text"),
        ([], {"keep_alive": -1}, InvalidOption, "keep_alive=-1"),
        ([], {"keepalive": 1}, InvalidOption, "'keepalive': known are .*keep_alive"),
        ([], {"on_reconnect": "again"}, InvalidOption, "'refuse' or 'rerun'"),
    ],
)
def test_bad_input(source: object, options: dict[str, Any], error: type, words: str) -> None:
    with make_app().test_request_context("/"), pytest.raises(error, match=words):
        TokenStreamResponse(source, **options)


@KINDS
def test_a_failure_before_the_first_part_is_an_error_frame(kind: Any) -> None:
    seen: list[Result] = []
    client = returning(kind(ValueError("secret")), on_finish=seen.append)
    response = client.get("/")
    transcript = read_stream(response).read()
    assert response.status_code == 200
    assert transcript.error == '{"error":"generation failed"}'
    assert not transcript.done
    assert [(result.outcome, type(result.error)) for result in seen] == [("failed", ValueError)]


@KINDS
def test_a_failure_after_the_first_part_is_an_error_frame(
    kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client = serving(token_stream(lambda: kind("a", ValueError("secret"))))
    transcript = read_stream(client.get("/")).read()
    assert transcript.tokens == ["a"]
    assert transcript.error is not None
    assert "secret" not in transcript.error
    assert [type(entry.exc_info[1]) for entry in caplog.records if entry.exc_info] == [ValueError]


def test_keep_alive() -> None:
    source = ScriptedSource("a", WAIT, "b")
    with FakeClock() as clock:
        response = returning(source, "text").post("/")
        chunks = iter(response.iter_encoded())
        assert next(chunks) == b"data: a\n\n"
        clock.advance(15)
        assert next(chunks).startswith(b":")
        source.release()
        assert next(chunks).startswith(b"data: b\n\n")
        response.close()


@KINDS
def test_closing_the_response_stops_the_source(kind: Any) -> None:
    source = kind("a", script=forever())
    seen: list[Result] = []
    finished = threading.Event()

    def on_finish(result: Result) -> None:
        seen.append(result)
        finished.set()

    read_stream(returning(source, on_finish=on_finish).get("/"), limit=3).read()
    assert source.closed.wait(SECONDS)
    assert finished.wait(SECONDS)
    assert len(source.threads) == 1
    assert seen[0].outcome == "disconnected"


@KINDS
def test_closing_stops_a_source_that_waits(kind: Any) -> None:
    source = kind("a", WAIT, "b")
    response = returning(source).get("/")
    response.close()
    source.release()  # a thread's `next()` can't be ended from outside
    assert source.closed.wait(SECONDS)
    assert source.yielded <= 2


def test_without_keep_alive_there_is_no_thread() -> None:
    before = set(threading.enumerate())
    during: list[set[threading.Thread]] = []

    def source() -> Iterator[str]:
        for token in "abc":
            during.append(set(threading.enumerate()) - before)
            yield token

    response = returning(source, "text", keep_alive=None).get("/")
    assert response.data == b"data: a\n\ndata: b\n\ndata: c\n\ndata: [DONE]\n\n"
    assert during == [set(), set(), set()]


def test_without_keep_alive_a_primed_source_is_in_this_thread_too() -> None:
    source = ScriptedSource("a", "b")
    client = serving(token_stream(lambda: source, wire="text", keep_alive=None))
    assert client.get("/").data == b"data: a\n\ndata: b\n\ndata: [DONE]\n\n"
    assert source.threads == {threading.current_thread().name}


def test_without_keep_alive_an_async_source_streams() -> None:
    source = AsyncScriptedSource(WAIT, "a", WAIT, "b")
    source.release()
    seen = []
    for event in read_stream(returning(source, "text", keep_alive=None).get("/")):
        seen.append(event.data)
        source.release()
    assert seen == ["a", "b", "[DONE]"]


def test_nothing_collects_the_stream() -> None:
    source = ScriptedSource(script=forever())
    app = make_app()
    app.after_request(lambda response: response.get_data() and response)
    app.add_url_rule("/", "view", lambda: TokenStreamResponse(source))
    assert app.test_client().get("/").status_code == 500
    assert not source.started.is_set()


class OwnResponse(Response):
    default_mimetype = "text/plain"

    @property
    def is_own(self) -> bool:
        return True


def test_an_app_with_a_response_class_of_its_own() -> None:
    app = make_app()
    app.response_class = OwnResponse
    ends: list[str] = []
    app.teardown_request(lambda _: ends.append("end"))

    @app.after_request
    def look(response: Any) -> Any:
        response.headers["X-Own"] = str(response.is_own)
        return response

    source = ScriptedSource(WAIT, "a", WAIT, "b")
    source.release()
    app.add_url_rule("/", "view", lambda: TokenStreamResponse(source))
    response = app.test_client().get("/")
    assert response.headers["X-Own"] == "True"
    assert ends == []
    source.release()
    assert read_stream(response).read().text == "ab"
    assert ends == ["end"]


def test_in_flasks_own_async_views() -> None:
    async def view() -> TokenStreamResponse:
        await asyncio.sleep(0)
        return TokenStreamResponse(lambda: AsyncScriptedSource("a", request.path), "text")

    assert read_stream(serving(view).get("/")).read().tokens == ["a", "/"]


def test_a_source_opened_on_flasks_own_loop_is_told_what_to_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def view() -> TokenStreamResponse:
        future = asyncio.get_running_loop().create_future()

        async def source() -> AsyncIterator[str]:
            yield await future

        return TokenStreamResponse(source())

    transcript = read_stream(serving(view).get("/")).read()
    assert transcript.error
    assert "ForeignLoop" in caplog.text
    assert "give a callable" in caplog.text


# HEAD and reconnects.


@pytest.mark.parametrize("headers", [{}, EVENTS, EVENTS | {"Last-Event-ID": "run.end"}])
@KINDS
def test_head_never_starts_the_source(kind: Any, headers: dict[str, str]) -> None:
    source, called = kind("a"), []

    def view() -> object:
        called.append(1)
        return source

    for client in (returning(source, headers={"X-Own": "1"}), serving(token_stream(view))):
        response = client.head("/", headers=headers)
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert "Content-Length" not in response.headers
        assert response.data == b""
        response.close()
    assert not called
    assert not source.started.is_set()


def make_both(source: object, **options: Any) -> list[FlaskClient]:
    return [returning(source, **options), serving(token_stream(lambda: source, **options))]


@pytest.mark.parametrize("wire", ["json", "text"])
def test_a_reader_that_comes_back_is_told_once_and_then_stopped(wire: str) -> None:
    for client in make_both(["a", "b"], wire=wire):
        events = read_stream(client.get("/", headers=EVENTS)).read().events
        run = events[0].id
        assert run
        assert events[-1].id == f"{run}.end"
    source = ScriptedSource("a")
    for client in make_both(source, wire=wire):
        lost = client.get("/", headers=EVENTS | {"Last-Event-ID": run})
        assert lost.status_code == 200
        assert lost.content_type == "text/event-stream; charset=utf-8"
        (event,) = read_stream(lost).read().events
        assert event.event == "error"
        assert event.id == f"{run}.end"
        assert "cannot resume" in event.data
        ended = client.get("/", headers=EVENTS | {"Last-Event-ID": f"{run}.end"})
        assert ended.status_code == 204
        assert ended.data == b""
        assert "Content-Type" not in ended.headers
    assert not source.started.is_set()


def test_the_view_is_not_called_for_a_reader_that_comes_back() -> None:
    called = []
    client = serving(token_stream(lambda: called.append(1)))
    client.get("/", headers=EVENTS | {"Last-Event-ID": "run"})
    client.get("/", headers=EVENTS | {"Last-Event-ID": "run.end"})
    assert not called


def test_what_was_opened_for_a_reader_that_comes_back_is_closed() -> None:
    closed = threading.Event()

    class Opened:
        def __iter__(self) -> Iterator[str]:
            return iter("a")

        def close(self) -> None:
            closed.set()

    returning(Opened()).get("/", headers=EVENTS | {"Last-Event-ID": "run"})
    assert closed.is_set()


def test_rerun() -> None:
    for client in make_both(["a"], on_reconnect="rerun"):
        response = client.get("/", headers=EVENTS | {"Last-Event-ID": "run"})
        transcript = read_stream(response).read()
        assert transcript.text == "a"
        assert all(event.id is None for event in transcript.events)


def test_post_has_no_ids() -> None:
    for client in make_both(["a"]):
        raw = read_stream(client.post("/", headers=EVENTS)).read().raw
        assert b"id:" not in raw
        response = client.post("/", headers=EVENTS | {"Last-Event-ID": "run"})
        assert read_stream(response).read().text == "a"


def test_a_get_that_does_not_ask_for_events_has_no_ids() -> None:
    for client in make_both(["a"]):
        assert b"id:" not in read_stream(client.get("/")).read().raw


# The decorator.


def generator_view() -> Iterator[str]:
    yield "a"
    yield request.args["q"]


def returning_view() -> object:
    return ["a", request.args["q"]]


def lazy_view() -> object:
    return lambda: iter(["a", request.args["q"]])


async def async_generator_view() -> AsyncIterator[str]:
    yield "a"
    await asyncio.sleep(0)
    yield request.args["q"]


async def coroutine_view() -> object:
    await asyncio.sleep(0)
    return AsyncScriptedSource("a", request.args["q"])


async def coroutine_view_of_a_sync_source() -> object:
    return ["a", request.args["q"]]


def view_of_a_coroutine() -> object:
    return coroutine_view()


VIEWS = pytest.mark.parametrize(
    "view",
    [
        generator_view,
        returning_view,
        lazy_view,
        async_generator_view,
        coroutine_view,
        coroutine_view_of_a_sync_source,
        view_of_a_coroutine,
    ],
)


@VIEWS
@pytest.mark.parametrize(
    "decorator", [token_stream, token_stream("text"), token_stream(wire="text", keep_alive=5)]
)
def test_views(view: Any, decorator: Any) -> None:
    response = serving(decorator(view)).get("/?q=b")
    assert response.status_code == 200
    assert read_stream(response).read().tokens == ["a", "b"]


@VIEWS
def test_a_decorated_view_is_a_sync_function(view: Any) -> None:
    decorated = token_stream(view)
    assert not inspect.iscoroutinefunction(decorated)
    assert not inspect.isgeneratorfunction(decorated)
    assert decorated.__name__ == view.__name__


def test_wires_are_chosen() -> None:
    def view() -> list[str]:
        return ["a"]

    def raw(decorator: Any) -> bytes:
        return serving(decorator(view)).get("/").data

    assert raw(token_stream) == b'data: {"token":"a"}\n\ndata: [DONE]\n\n'
    assert raw(token_stream("text")) == b"data: a\n\ndata: [DONE]\n\n"
    assert raw(token_stream(wire="text")) == b"data: a\n\ndata: [DONE]\n\n"
    assert raw(token_stream(Json())) == b'data: {"token":"a"}\n\ndata: [DONE]\n\n'


def test_mistakes_are_seen_when_the_view_is_decorated() -> None:
    wire: Any = "jsn"
    with pytest.raises(UnknownWire, match="json, text"):
        token_stream(wire)(generator_view)
    with pytest.raises(InvalidOption, match=r"'keepalive': known are .*keep_alive"):
        token_stream("json", keepalive=5)


def test_options_of_the_decorator() -> None:
    decorator = token_stream("text", status=201, headers={"X-Own": "1"})
    response = serving(decorator(generator_view)).get("/?q=b")
    assert response.status_code == 201
    assert response.headers["X-Own"] == "1"
    response.close()


@KINDS
def test_a_decorated_views_tokens_arrive_one_by_one(kind: Any) -> None:
    source = kind(WAIT, "a", WAIT, "b")
    source.release()
    seen = []
    for event in read_stream(serving(token_stream("text")(lambda: source)).post("/")):
        seen.append(event.data)
        source.release()
    assert seen == ["a", "b", "[DONE]"]


FINISHED = {
    "json": (lambda: (jsonify(error="no"), 400), 400, b'{"error":"no"}\n'),
    "response": (lambda: Response("no", 402), 402, b"no"),
    "text": (lambda: "no", 200, b"no"),
    "bytes": (lambda: b"no", 200, b"no"),
    "dict": (lambda: {"error": "no"}, 200, b'{"error":"no"}\n'),
    "tuple": (lambda: ("no", 400, {"X-Own": "1"}), 400, b"no"),
    "exception": (NotFound, 404, None),
    "abort": (lambda: abort(409), 409, None),
}


def early_generator(make: Any) -> Any:
    def view() -> Iterator[str]:
        return make()
        yield "never"

    return view


def early_coroutine(make: Any) -> Any:
    async def view() -> object:
        await asyncio.sleep(0)
        return make()

    return view


@pytest.mark.parametrize("kind", FINISHED)
@pytest.mark.parametrize("shape", [lambda make: make, early_generator, early_coroutine])
def test_a_finished_response_passes_through(kind: str, shape: Any) -> None:
    make, status, body = FINISHED[kind]
    response = serving(token_stream(shape(make))).get("/", headers=EVENTS)
    assert response.status_code == status
    assert not response.content_type.startswith("text/event-stream")
    assert body is None or response.data == body


def test_a_view_that_streams_by_itself_passes_through() -> None:
    client = serving(token_stream("json")(lambda: TokenStreamResponse(["a"], "text")))
    assert client.get("/").data == b"data: a\n\ndata: [DONE]\n\n"


def test_a_finished_response_that_comes_too_late_is_an_error() -> None:
    def view() -> Iterator[str]:
        yield "a"
        return jsonify(error="no"), 400

    transcript = read_stream(serving(token_stream(view)).get("/")).read()
    assert transcript.tokens == ["a"]
    assert transcript.error is not None


def test_what_a_generator_returns_at_its_end_may_be_anything_else() -> None:
    def view() -> Iterator[str]:
        yield "a"
        return "the whole text"

    assert read_stream(serving(token_stream(view)).get("/")).read().done


def test_a_generator_that_yields_nothing() -> None:
    def view() -> Iterator[str]:
        yield from ()

    response = serving(token_stream(view)).get("/")
    assert response.data == b"data: [DONE]\n\n"


def failing_view() -> Iterator[str]:
    raise LookupError("which")
    yield "never"


async def failing_coroutine() -> object:
    raise LookupError("which")


async def failing_async_generator() -> AsyncIterator[str]:
    raise LookupError("which")
    yield "never"


@pytest.mark.parametrize(
    "view",
    [
        failing_view,
        failing_coroutine,
        failing_async_generator,
        lambda: ScriptedSource(LookupError("which")),
        lambda: AsyncScriptedSource(LookupError("which")),
    ],
)
@pytest.mark.parametrize("keep_alive", [15, None])
def test_before_the_first_part_the_apps_error_handlers_answer(
    view: Any, keep_alive: float | None
) -> None:
    app = make_app()
    app.register_error_handler(LookupError, lambda error: ({"error": str(error)}, 418))
    seen: list[Result] = []
    decorator = token_stream(on_finish=seen.append, keep_alive=keep_alive)
    app.add_url_rule("/", "view", decorator(view))
    response = app.test_client().get("/", headers=EVENTS)
    assert response.status_code == 418
    assert response.json == {"error": "which"}
    assert [result.outcome for result in seen] == ["failed"]


def test_without_a_handler_it_is_a_500() -> None:
    client = serving(token_stream(failing_view))
    assert client.get("/").status_code == 500
    client.application.testing = True
    with pytest.raises(LookupError):
        client.get("/")


@pytest.mark.parametrize("made", [None, 5])
def test_a_view_that_returns_no_source(made: object) -> None:
    client = serving(token_stream(lambda: made))
    client.application.testing = True
    with pytest.raises(NotASource, match="can't be iterated"):
        client.get("/")


def test_a_slow_first_part_is_not_waited_for_forever() -> None:
    source = ScriptedSource(WAIT, "a")
    client = serving(token_stream(prime=0)(lambda: source))
    ready = threading.Thread(target=lambda: source.started.wait(SECONDS) and source.release())
    ready.start()
    assert read_stream(client.get("/")).read().text == "a"
    ready.join()


def test_blueprints_and_arguments() -> None:
    blueprint = Blueprint("chat", __name__, url_prefix="/chat")

    @blueprint.post("/<name>")
    @token_stream("text")
    def chat(name: str) -> Iterator[str]:
        yield name
        yield request.get_json()["q"]

    @blueprint.errorhandler(KeyError)
    def missing(error: KeyError) -> tuple[str, int]:
        return f"missing {error.args[0]}", 422

    app = make_app()
    app.register_blueprint(blueprint)
    client = app.test_client()
    response = client.post("/chat/ada", json={"q": "?"})
    assert response.data == b"data: ada\n\ndata: ?\n\ndata: [DONE]\n\n"
    # Its first token is out by then, so this is the stream's to tell.
    assert read_stream(client.post("/chat/ada", json={})).read().error
    assert client.get("/chat/ada").status_code == 405
    options = client.options("/chat/ada")
    assert options.status_code == 200
    assert options.allow == {"OPTIONS", "POST"}


class Chat(MethodView):
    mark = "!"

    @token_stream("text")
    def get(self, name: str) -> Iterator[str]:
        yield name
        yield self.mark

    @token_stream("text")
    async def post(self, name: str) -> object:
        return [name, self.mark]


class Wrapped(MethodView):
    decorators = [token_stream("text")]  # noqa: RUF012

    def get(self, name: str) -> Iterator[str]:
        yield name
        yield "!"


@pytest.mark.parametrize("view", [Chat, Wrapped])
def test_method_views(view: type[MethodView]) -> None:
    app = make_app()
    app.add_url_rule("/<name>", view_func=view.as_view("chat"))
    client = app.test_client()
    assert client.get("/ada").data == b"data: ada\n\ndata: !\n\ndata: [DONE]\n\n"
    assert client.head("/ada").data == b""
    if view is Chat:
        assert client.post("/ada").data == b"data: ada\n\ndata: !\n\ndata: [DONE]\n\n"


def test_an_async_view_and_its_source_share_a_loop() -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def view() -> AsyncIterator[str]:
        loops.append(asyncio.get_running_loop())

        async def source() -> AsyncIterator[str]:
            loops.append(asyncio.get_running_loop())
            yield "a"

        return source()

    client = serving(token_stream(view))
    assert read_stream(client.get("/")).read().text == "a"
    assert read_stream(client.get("/")).read().text == "a"
    assert len(loops) == 4
    assert len(set(loops)) == 1


def test_what_a_generator_does_to_the_session_before_its_first_part_is_saved() -> None:
    def view() -> Iterator[str]:
        session["early"] = 1
        yield "a"

    client = serving(token_stream(view))
    client.get("/").close()
    with client.session_transaction() as saved:
        assert saved["early"] == 1


def test_a_source_opened_on_an_async_views_loop_is_told_what_to_do() -> None:
    app = make_app()

    class Opened:
        """As an SDK's stream is: bound to the loop that opened it."""

        def __aiter__(self) -> Any:
            raise AssertionError

    async def create() -> Opened:
        return Opened()

    @app.get("/opened")
    async def view() -> TokenStreamResponse:
        return TokenStreamResponse(await create())

    app.testing = True
    with pytest.raises(ForeignLoop, match="give a callable, such as `lambda:"):
        app.test_client().get("/opened")


def test_a_decorated_view_outside_of_a_request() -> None:
    @token_stream
    def view() -> list[str]:
        return ["a"]

    with pytest.raises(NoRequest, match="test_request_context"):
        view()


def test_headers_may_be_pairs_as_in_flask() -> None:
    app = make_app()

    @app.get("/pairs")
    def view() -> TokenStreamResponse:
        return TokenStreamResponse(["a"], headers=[("X-Own", "1")])

    assert app.test_client().get("/pairs").headers["X-Own"] == "1"
