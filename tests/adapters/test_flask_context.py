"""Flask's contexts: there in the source, torn down once, after the last token."""

from __future__ import annotations

import gc
import io
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar, copy_context
from typing import Any

import pytest
from flask import Flask, g, has_app_context, has_request_context, request, session
from flask.globals import app_ctx, request_ctx
from werkzeug.test import create_environ

from tokenstream import Result
from tokenstream.testing import WAIT, AsyncScriptedSource, ScriptedSource, forever, read_stream
from tokenstream_flask import TokenStreamResponse, token_stream
from tokenstream_flask import context as flask_context

KINDS = pytest.mark.parametrize("kind", [ScriptedSource, AsyncScriptedSource])
KEPT = pytest.mark.parametrize("keep_alive", [15, None])
SECONDS = 20.0


class Site:
    """An app that writes down what happens, in order."""

    def __init__(self) -> None:
        self.app = Flask(__name__)
        self.app.secret_key = "a test's"
        self.log: list[Any] = []
        self.torn_down = threading.Event()
        self.app.teardown_request(self._request)
        self.app.teardown_appcontext(self._app)
        self.client = self.app.test_client()

    def _request(self, error: BaseException | None) -> None:
        self.log.append(("request", request.path, error))

    def _app(self, error: BaseException | None) -> None:
        self.log.append(("app", g.get("mark"), error))
        self.torn_down.set()

    def add(self, view: Callable[..., Any], path: str = "/") -> None:
        self.app.add_url_rule(path, path, view, methods=["GET", "POST"])

    @property
    def teardowns(self) -> list[str]:
        return [entry[0] for entry in self.log if isinstance(entry, tuple)]


@pytest.fixture
def site() -> Iterator[Site]:
    assert not has_app_context()
    yield Site()
    assert not has_app_context()
    assert not has_request_context()


ONCE = ["request", "app"]


def sync_source(log: list[Any]) -> Iterator[str]:
    log.append(threading.current_thread().name)
    try:
        for _ in range(3):
            yield f"{request.path} {session['user']} {g.mark}"
        g.mark += "!"
    finally:
        log.append(g._get_current_object())


async def async_source(log: list[Any]) -> AsyncIterator[str]:
    for token in sync_source(log):
        yield token


@pytest.mark.parametrize("source", [sync_source, async_source])
@pytest.mark.parametrize("decorated", [True, False])
@KEPT
def test_request_session_and_the_very_same_g(
    site: Site, source: Any, decorated: bool, keep_alive: float | None
) -> None:
    seen: list[Any] = []
    given: list[Any] = []

    def view() -> Any:
        session["user"] = "ada"
        g.mark = "m"
        given.append(g._get_current_object())
        if decorated:
            return source(seen)
        return TokenStreamResponse(lambda: source(seen), "text", keep_alive=keep_alive)

    site.add(token_stream("text", keep_alive=keep_alive)(view) if decorated else view)
    transcript = read_stream(site.client.get("/")).read()
    assert transcript.tokens == ["/ ada m"] * 3
    assert seen[1] is given[0]
    assert site.log == [("request", "/", None), ("app", "m!", None)]


@KINDS
@KEPT
def test_teardown_comes_after_the_last_token(
    site: Site, kind: Any, keep_alive: float | None
) -> None:
    source = kind(WAIT, "a", WAIT, "b")
    source.release()
    site.add(lambda: TokenStreamResponse(source, "text", keep_alive=keep_alive))
    for event in read_stream(site.client.get("/")):
        site.log.append(event.data)
        source.release()
    assert site.log == ["a", "b", "[DONE]", ("request", "/", None), ("app", None, None)]


@KINDS
@KEPT
def test_one_teardown_for_a_reader_that_left(
    site: Site, kind: Any, keep_alive: float | None
) -> None:
    source = kind(script=forever())
    site.add(lambda: TokenStreamResponse(source, keep_alive=keep_alive))
    read_stream(site.client.get("/"), limit=2).read()
    assert source.closed.wait(SECONDS)
    assert site.torn_down.wait(SECONDS)
    assert site.teardowns == ONCE


@KINDS
@KEPT
def test_teardown_functions_hear_why_the_source_failed(
    site: Site, kind: Any, keep_alive: float | None
) -> None:
    error = ValueError("later")
    site.add(lambda: TokenStreamResponse(kind("a", error), keep_alive=keep_alive))
    assert read_stream(site.client.get("/")).read().error
    assert site.log == [("request", "/", error), ("app", None, error)]


@KINDS
def test_a_failure_before_the_first_part_is_flasks(site: Site, kind: Any) -> None:
    site.add(token_stream(lambda: kind(ValueError("early"))))
    assert site.client.get("/").status_code == 500
    assert site.teardowns == ONCE


def test_a_failing_after_request_is_flasks(site: Site) -> None:
    def fail(response: Any) -> Any:
        raise ValueError("after")

    site.app.after_request(fail)
    source = ScriptedSource("a")
    site.add(lambda: TokenStreamResponse(source))
    assert site.client.get("/").status_code == 500
    assert site.teardowns == ONCE
    assert not source.started.is_set()


@KINDS
def test_a_primed_source_whose_response_is_lost_is_closed(site: Site, kind: Any) -> None:
    def fail(response: Any) -> Any:
        raise ValueError("after")

    site.app.after_request(fail)
    site.app.logger.disabled = True  # pytest keeps what is logged, and with it the response
    source = kind(script=forever())
    site.add(token_stream(lambda: source))
    assert site.client.get("/").status_code == 500
    assert source.started.is_set()
    assert site.teardowns == ONCE
    site.log.clear()  # the error in it has the response in its traceback
    gc.collect()
    assert source.closed.wait(SECONDS)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Accept": "text/event-stream", "Last-Event-ID": "run"},
        {"Accept": "text/event-stream", "Last-Event-ID": "run.end"},
    ],
)
def test_one_teardown_where_no_source_is_started(site: Site, headers: dict[str, str]) -> None:
    site.add(lambda: TokenStreamResponse(["a"]))
    response = site.client.get("/", headers=headers) if headers else site.client.head("/")
    response.close()
    assert site.teardowns == ONCE


def body_of(site: Site, path: str = "/") -> Any:
    """Return what a server gets to iterate over, not begun."""
    return site.app(create_environ(path), lambda *_: lambda _: None)


@KINDS
def test_a_body_that_is_never_begun_is_torn_down_when_it_is_closed(site: Site, kind: Any) -> None:
    source = kind("a")
    site.add(lambda: TokenStreamResponse(source))
    body = body_of(site)
    assert site.teardowns == []
    body.close()
    assert site.teardowns == ONCE
    body.close()
    assert site.teardowns == ONCE
    assert not source.started.is_set()


@KINDS
@pytest.mark.parametrize("begun", [False, True])
def test_a_body_that_is_never_closed_is_torn_down_when_it_is_lost(
    site: Site, kind: Any, begun: bool
) -> None:
    source = kind(script=forever())
    site.add(lambda: TokenStreamResponse(source))
    body = body_of(site)
    if begun:
        next(body)
    assert site.teardowns == []
    assert not has_request_context()
    del body
    gc.collect()
    assert site.torn_down.wait(SECONDS)
    assert site.teardowns == ONCE
    assert not begun or source.closed.wait(SECONDS)


def test_the_next_request_here_has_contexts_of_its_own(site: Site) -> None:
    def view() -> Any:
        assert "mark" not in g
        g.mark = request.args["mark"]
        return TokenStreamResponse(lambda: iter([g.mark, request.args["mark"]]), "text")

    site.add(view)
    site.add(lambda: str("mark" in g), "/other")
    first = site.client.get("/?mark=1")
    second = site.client.get("/?mark=2")
    assert not has_app_context()
    assert site.client.get("/other").text == "False"
    # In the order that a stack can't do.
    assert read_stream(first).read().tokens == ["1", "1"]
    assert read_stream(second).read().tokens == ["2", "2"]
    marks = [entry[1] for entry in site.log if entry[0] == "app"]
    assert marks == [None, "1", "2"]
    assert len(site.teardowns) == 6


@KEPT
def test_another_thread_may_close(site: Site, keep_alive: float | None) -> None:
    def source() -> Iterator[str]:
        try:
            yield "a"
            yield "b"
        finally:
            site.log.append(request.path)

    site.add(lambda: TokenStreamResponse(source, keep_alive=keep_alive))
    body = body_of(site)
    assert b"a" in next(body)
    closer = threading.Thread(target=body.close)
    closer.start()
    closer.join(SECONDS)
    assert site.log == ["/", ("request", "/", None), ("app", None, None)]


def test_another_thread_may_read(site: Site) -> None:
    site.add(lambda: TokenStreamResponse(lambda: iter([request.path]), "text", keep_alive=None))
    body = body_of(site)
    chunks: list[bytes] = []
    reader = threading.Thread(target=lambda: chunks.extend(body))
    reader.start()
    reader.join(SECONDS)
    assert b"".join(chunks) == b"data: /\n\ndata: [DONE]\n\n"
    assert site.teardowns == ONCE


def test_a_source_that_can_not_be_stopped_keeps_its_contexts(site: Site) -> None:
    waits, go = threading.Event(), threading.Event()

    def source() -> Iterator[str]:
        yield "a"
        try:
            waits.set()
            go.wait(SECONDS)  # as a call in C does
            yield "b"
        finally:
            site.log.append(g.mark)

    def view() -> Any:
        g.mark = "m"
        return TokenStreamResponse(source)

    site.add(view)
    body = body_of(site)
    next(body)
    assert waits.wait(SECONDS)
    body.close()
    assert site.teardowns == []
    go.set()
    assert site.torn_down.wait(SECONDS)
    assert site.log == ["m", ("request", "/", None), ("app", "m", None)]


async def async_on_finish(log: list[Any], result: Result) -> None:
    log.append((result.outcome, g.mark, session["user"], request.path))


def sync_on_finish(log: list[Any], result: Result) -> None:
    log.append((result.outcome, g.mark, session["user"], request.path))


@KINDS
@KEPT
@pytest.mark.parametrize("on_finish", [sync_on_finish, async_on_finish])
def test_on_finish_is_within(
    site: Site, kind: Any, keep_alive: float | None, on_finish: Any
) -> None:
    def view() -> Any:
        g.mark, session["user"] = "m", "ada"
        return TokenStreamResponse(
            kind("a"),
            keep_alive=keep_alive,
            on_finish=lambda result: on_finish(site.log, result),
        )

    site.add(view)
    read_stream(site.client.get("/")).read()
    assert site.log == [("completed", "m", "ada", "/"), ("request", "/", None), ("app", "m", None)]


@pytest.mark.parametrize("on_finish", [sync_on_finish, async_on_finish])
def test_an_on_finish_that_raises_does_not_keep_the_contexts(
    site: Site, on_finish: Any, caplog: pytest.LogCaptureFixture
) -> None:
    # Neither the session nor g has what it asks for.
    options = {"on_finish": lambda result: on_finish(site.log, result)}
    site.add(lambda: TokenStreamResponse(["a"], **options))
    assert read_stream(site.client.get("/")).read().done
    assert site.teardowns == ONCE
    assert "on_finish raised" in caplog.text


def test_a_context_variable_of_the_source_lasts(site: Site) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="outside")

    def source() -> Iterator[str]:
        token = variable.set("inside")
        try:
            yield variable.get()
            yield variable.get()
        finally:
            variable.reset(token)

    site.add(token_stream("text", keep_alive=None)(source))
    response = site.client.get("/")
    assert variable.get() == "outside"
    assert read_stream(response).read().tokens == ["inside", "inside"]


def test_a_test_client_that_keeps_the_context(site: Site) -> None:
    def view() -> Any:
        g.mark = "m"
        return TokenStreamResponse(["a"])

    site.add(view)
    for close_first in (True, False):
        with site.client:
            response = site.client.get("/")
            assert request.path == "/"
            if close_first:
                response.close()
            assert g.mark == "m"
            assert site.teardowns == []
        response.close()
        assert site.teardowns == ONCE
        site.log.clear()


@pytest.mark.parametrize("close_first", [True, False])
def test_an_app_context_that_was_there_before(site: Site, close_first: bool) -> None:
    site.add(lambda: TokenStreamResponse(lambda: iter([g.mark]), "text"))
    with site.app.app_context():
        g.mark = "outer"
        response = site.client.get("/")
        if close_first:
            assert response.data == b"data: outer\n\ndata: [DONE]\n\n"
            assert site.teardowns == ["request"]
    response.close()
    assert sorted(site.teardowns) == ["app", "request"]


def test_what_a_preprocessor_took_from_the_arguments_stays_taken(site: Site) -> None:
    @site.app.url_value_preprocessor
    def take(endpoint: str | None, values: dict[str, Any] | None) -> None:
        g.lang = (values or {}).pop("lang")

    def source() -> Iterator[str]:
        yield g.lang
        yield f"{len(request.view_args or {})} left"

    def view() -> Any:
        return TokenStreamResponse(
            lambda: iter([g.lang, f"{len(request.view_args or {})} left"]), "text"
        )

    site.add(view, "/<lang>/")
    assert read_stream(site.client.get("/de/")).read().tokens == ["de", "0 left"]


def test_uploads_are_readable_to_the_end(site: Site) -> None:
    def source() -> Iterator[str]:
        for line in request.files["text"].stream:
            yield line.decode().strip()

    def view() -> Any:
        assert request.files
        return TokenStreamResponse(source, "text")

    site.add(view)
    text = b"a\n" * 3
    response = site.client.post("/", data={"text": (io.BytesIO(text), "a.txt")})
    assert read_stream(response).read().tokens == ["a", "a", "a"]


def test_a_teardown_function_that_raises_does_not_keep_the_other(site: Site) -> None:
    def fail(error: BaseException | None) -> None:
        raise ValueError("teardown")

    site.app.teardown_request(fail)
    site.add(lambda: TokenStreamResponse(["a"]))
    body = body_of(site)
    with pytest.raises(ValueError, match="teardown"):
        body.close()
    assert "app" in site.teardowns


# The two ways to hold them.


def test_this_flask_is_one_that_lets_its_contexts_be_held_apart(site: Site) -> None:
    # If this fails, Flask has changed its books: `hold_here` is in use, which
    # streams as well; look whether `hold_apart` can be made to work again.
    with site.app.test_request_context("/"):
        for context in (app_ctx, request_ctx):
            stack = context._get_current_object()._cv_tokens
            assert isinstance(stack, list)
            assert len(stack) == 1


@pytest.mark.parametrize("hold", [flask_context.hold_apart, flask_context.hold_here])
def test_either_way_tears_down_once(site: Site, hold: Any) -> None:
    error = ValueError()
    context = site.app.request_context(create_environ("/"))
    context.push()
    release = hold()
    context.pop()
    assert site.teardowns == []
    assert has_request_context() is (hold is flask_context.hold_here)
    release(error)
    assert site.log == [("request", "/", error), ("app", None, error)]


def test_held_here_a_close_from_elsewhere_does_not_raise(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    def held_and_left() -> None:
        context = site.app.request_context(create_environ("/"))
        context.push()
        releases.append(flask_context.hold_here())
        context.pop()

    releases: list[Any] = []
    copy_context().run(held_and_left)
    releases[0](None)
    assert "could not be popped" in caplog.text
