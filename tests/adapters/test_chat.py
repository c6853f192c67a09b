"""`chat_endpoint` and `models_endpoint`: one table of cases over all adapters."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import flask
import httpx
import pytest
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.asgi import get_asgi_application
from django.core.exceptions import PermissionDenied
from django.core.wsgi import get_wsgi_application
from django.http import Http404, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from fastapi import FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

import tokenstream_asgi
import tokenstream_django
import tokenstream_flask
import tokenstream_starlette
from tokenstream import Finish, Result, Usage
from tokenstream.errors import InvalidOption, PromptTooLong, UnknownWire, UpstreamError
from tokenstream.testing import WAIT, AsyncScriptedSource, ScriptedSource, read_stream
from tokenstream.testing.transport import ASGITransport
from tokenstream.wires import ChatRequest

from ..pairings import until

SECRET = "internal-name-3f1"
MODELS = ("m", "owner/small")
TENANT: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="lost")


class Site:
    """A real app of a framework. settings: Django's, of the test."""

    name: str
    package: Any

    def __init__(self, settings: Any) -> None:
        self._settings = settings

    def ask(self, method: str, url: str, **request: Any) -> httpx.Response:
        """Ask the app, and read its answer to the end."""
        raise NotImplementedError

    def serve(self, answer: Any, wire: Any = "openai-chat", **options: Any) -> None:
        """Put the two endpoints into a new app."""
        endpoint = self.package.chat_endpoint(wire, answer, **options)
        self.app = self.routed(endpoint, self.package.models_endpoint(*MODELS))

    def routed(self, endpoint: Any, models: Any) -> Any:
        raise NotImplementedError

    def post(self, *, headers: Any = None, **fields: Any) -> httpx.Response:
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
        return self.ask("POST", "/v1/chat/completions", content=json.dumps(body), headers=headers)


class OverASGI(Site):
    def ask(self, method: str, url: str, **request: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, url, **request)

        return asyncio.run(ask())


class OverWSGI(Site):
    def ask(self, method: str, url: str, **request: Any) -> httpx.Response:
        transport = httpx.WSGITransport(self.app, raise_app_exceptions=True)
        with httpx.Client(transport=transport, base_url="http://test") as client:
            return client.request(method, url, **request)


class Django(Site):
    package = tokenstream_django
    make_app: Callable[[], Any]

    def routed(self, endpoint: Any, models: Any) -> Any:
        self._settings.ROOT_URLCONF = (
            path("v1/chat/completions", csrf_exempt(endpoint)),
            path("v1/models", csrf_exempt(models)),
            path("v1/models/<path:model>", models),
        )
        return type(self).make_app()


class DjangoWSGI(Django, OverWSGI):
    make_app = staticmethod(get_wsgi_application)


class DjangoASGI(Django, OverASGI):
    make_app = staticmethod(get_asgi_application)


class Flask(OverWSGI):
    package = tokenstream_flask

    def routed(self, endpoint: Any, models: Any) -> Any:
        app = flask.Flask(__name__)
        app.add_url_rule("/v1/chat/completions", view_func=endpoint)
        app.add_url_rule("/v1/models", view_func=models)
        app.add_url_rule("/v1/models/<path:model>", view_func=models)
        return app


class InStarlette(OverASGI):
    package = tokenstream_starlette

    def routed(self, endpoint: Any, models: Any) -> Any:
        any_method = ["GET", "POST", "OPTIONS", "PUT"]
        return Starlette(
            routes=[
                Route("/v1/chat/completions", endpoint, methods=any_method),
                Route("/v1/models", models, methods=any_method),
                Route("/v1/models/{model:path}", models),
            ]
        )


class InFastAPI(OverASGI):
    package = tokenstream_starlette

    def routed(self, endpoint: Any, models: Any) -> Any:
        app = FastAPI()
        any_method = ["GET", "HEAD", "POST", "OPTIONS", "PUT"]
        app.api_route("/v1/chat/completions", methods=any_method)(endpoint)
        app.api_route("/v1/models", methods=any_method)(models)
        app.get("/v1/models/{model:path}")(models)
        return app


class PlainASGI(OverASGI):
    package = tokenstream_asgi

    def routed(self, endpoint: Any, models: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            is_models = scope["path"].startswith("/v1/models")
            await (models if is_models else endpoint)(scope, receive, send)

        return app


SITES = {
    "django-wsgi": DjangoWSGI,
    "django-asgi": DjangoASGI,
    "flask": Flask,
    "starlette": InStarlette,
    "fastapi": InFastAPI,
    "asgi": PlainASGI,
}


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest, settings: Any) -> Site:
    site: Site = SITES[request.param](settings)
    site.name = request.param
    return site


def hello(_: ChatRequest) -> Iterator[object]:
    yield "Hel"
    yield "lo"
    yield Usage(1, 2)
    yield Finish("length")


async def ahello(ask: ChatRequest) -> AsyncIterator[object]:
    for part in hello(ask):
        yield part
        await asyncio.sleep(0)


async def opened(ask: ChatRequest) -> AsyncIterator[object]:
    await asyncio.sleep(0)
    return ahello(ask)


ANSWERS = {
    "a generator": hello,
    "an async generator": ahello,
    "a coroutine of a source": opened,
    "a function of a source": lambda ask: hello(ask),
    "a function of an async source": lambda ask: ahello(ask),
}

answers = pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


# What it answers.


@answers
def test_a_whole_reply(site: Site, answer: Any) -> None:
    site.serve(answer)
    response = site.post(stream=False)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert int(response.headers["content-length"]) == len(response.content)
    document = response.json()
    assert (document["object"], document["model"]) == ("chat.completion", "m")
    [choice] = document["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Hello", "length")
    assert document["usage"]["total_tokens"] == 3


@answers
def test_a_stream(site: Site, answer: Any) -> None:
    site.serve(answer)
    response = site.post(stream=True)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    chunks = [json.loads(data) for data in read_stream(response).read().data[:-1]]
    words = [it["choices"][0]["delta"].get("content") for it in chunks]
    assert [word for word in words if word] == ["Hel", "lo"]
    assert response.content.endswith(b"data: [DONE]\n\n")


def test_what_is_asked(site: Site) -> None:
    asked: list[ChatRequest] = []
    seen: list[str] = []

    def answer(ask: ChatRequest) -> list[str]:
        asked.append(ask)
        request = ask.request
        headers = dict(request["headers"]) if isinstance(request, dict) else request.headers
        key = b"x-key" if isinstance(request, dict) else "x-key"
        value: Any = headers[key]
        seen.append(value.decode() if isinstance(value, bytes) else value)
        return ["a"]

    site.serve(answer)
    assert site.post(headers={"X-Key": "k"}, temperature=0.5, seed=7).status_code == 200
    [ask] = asked
    assert ask.messages == [{"role": "user", "content": "hi"}]
    assert (ask.temperature, ask.params, ask.stream) == (0.5, {"seed": 7}, False)
    assert seen == ["k"]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_result_of_a_whole_reply(site: Site, kind: str) -> None:
    results: list[Result] = []
    tenants: list[str] = []

    def answer(ask: ChatRequest) -> Any:
        TENANT.set("one")
        return steps() if kind == "sync" else asteps()

    def steps() -> Iterator[str]:
        for number in range(3):
            tenants.append(TENANT.get())
            yield str(number)

    async def asteps() -> AsyncIterator[str]:
        for number in range(3):
            await asyncio.sleep(0)
            tenants.append(TENANT.get())
            yield str(number)

    site.serve(answer, on_finish=results.append)
    response = site.post()
    [result] = results
    assert (result.outcome, result.text) == ("completed", "012")
    assert result.bytes_sent == len(response.content)
    assert tenants == ["one"] * 3


def test_a_source_that_says_nothing_has_a_whole_reply(site: Site) -> None:
    site.serve(lambda ask: [])
    assert site.post().json()["choices"][0]["message"]["content"] is None


@both
def test_headers_of_ones_own(site: Site, stream: bool) -> None:
    own = {"X-Own": "1", "Content-Type": "text/event-stream"}
    site.serve(hello, headers=own)
    assert site.post(stream=stream).headers["x-own"] == "1"
    whole = site.post(stream=False)
    assert whole.headers["content-type"] == "application/json"
    site.serve(failing(UpstreamError("no")), headers=own)
    refused = site.post(stream=stream)
    assert (refused.status_code, refused.headers["x-own"]) == (502, "1")
    assert refused.headers["content-type"] == "application/json"


FINISHED = {
    "django": lambda: JsonResponse({"own": 1}, status=402),
    "flask": lambda: flask.make_response({"own": 1}, 402),
    "starlette": lambda: JSONResponse({"own": 1}, 402),
    "fastapi": lambda: JSONResponse({"own": 1}, 402),
    "asgi": lambda: JSONResponse({"own": 1}, 402),  # any ASGI app
}


@both
@pytest.mark.parametrize("is_async", [False, True])
def test_a_finished_response_is_sent_as_it_is(site: Site, stream: bool, is_async: bool) -> None:
    make = FINISHED[site.name.partition("-")[0]]

    async def answer(ask: ChatRequest) -> Any:
        return make()

    site.serve(answer if is_async else lambda ask: make())
    response = site.post(stream=stream)
    assert (response.status_code, response.json()) == (402, {"own": 1})


def test_a_finished_response_instead_of_a_whole_reply_may_take_its_time(site: Site) -> None:
    make = FINISHED[site.name.partition("-")[0]]

    async def answer(ask: ChatRequest) -> Any:
        await asyncio.sleep(0.01)
        return make()

    site.serve(answer, prime=0)
    assert site.post(stream=False).status_code == 402


# What it refuses.


def failing(error: BaseException, *, after: int = 0, is_async: bool = False) -> Any:
    def source(_: ChatRequest) -> Iterator[str]:
        yield from ["Hel"] * after
        raise error

    async def asource(_: ChatRequest) -> AsyncIterator[str]:
        for word in ["Hel"] * after:
            yield word
        raise error

    return asource if is_async else source


@dataclass
class Told:
    """What a reader is told of an error."""

    error: Exception
    status: int
    message: str
    headers: dict[str, str]


ERRORS = {
    "busy": Told(
        UpstreamError(SECRET, status=429, retry_after="7", public="overloaded"),
        429,
        "overloaded",
        {"retry-after": "7"},
    ),
    "cut": Told(UpstreamError(SECRET), 502, "generation failed", {}),
    "moved": Told(UpstreamError(SECRET, status=302), 502, "generation failed", {}),
    "hostile": Told(UpstreamError(SECRET, retry_after="7\r\nX: 1"), 502, "generation failed", {}),
    "long": Told(PromptTooLong("9 tokens; at most 8"), 400, "9 tokens; at most 8", {}),
    "unknown": Told(LookupError(SECRET), 500, "generation failed", {}),
}

errors = pytest.mark.parametrize("told", ERRORS.values(), ids=ERRORS)


@errors
@both
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_an_error_before_the_first_part(
    site: Site, told: Told, stream: bool, is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    results: list[Result] = []
    site.serve(failing(told.error, is_async=is_async), on_finish=results.append)
    assert_told(site.post(stream=stream), told)
    assert_logged_once(caplog)
    [result] = results
    assert (result.outcome, result.error, result.bytes_sent) == ("failed", told.error, 0)


@errors
def test_an_error_after_it_is_no_less_one_of_a_whole_reply(
    site: Site, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    site.serve(failing(told.error, after=2))
    assert_told(site.post(stream=False), told)
    assert_logged_once(caplog)


@errors
@both
def test_an_error_in_the_answer_itself(
    site: Site, told: Told, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(ask: ChatRequest) -> Any:
        raise told.error

    site.serve(answer)
    assert_told(site.post(stream=stream), told)
    assert_logged_once(caplog)


def assert_told(response: httpx.Response, told: Told) -> None:
    assert response.status_code == told.status
    assert response.headers["content-type"] == "application/json"
    error = response.json()["error"]
    assert error["message"] == told.message
    assert sorted(error) == ["code", "message", "param", "type"]
    assert response.headers.get("retry-after") == told.headers.get("retry-after")
    assert SECRET not in response.text
    assert "x" not in response.headers


def assert_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with_traceback = [record for record in caplog.records if record.exc_info]
    assert [record.name for record in with_traceback] == ["tokenstream"]
    assert with_traceback[0].levelno >= logging.WARNING


@both
def test_the_words_of_an_sdks_chunk_are_for_the_log(site: Site, stream: bool) -> None:
    site.serve(lambda ask: iter([{"error": {"message": SECRET}}]))
    response = site.post(stream=stream)
    assert (response.status_code, SECRET in response.text) == (502, False)


@both
@pytest.mark.parametrize("after", [0, 1])
def test_on_error_has_the_words(site: Site, stream: bool, after: int) -> None:
    site.serve(failing(LookupError(SECRET), after=after), on_error=lambda error: "come back")
    response = site.post(stream=stream)
    assert response.status_code == (200 if stream and after else 500)
    assert "come back" in response.text


@both
@pytest.mark.parametrize("kind", [ScriptedSource, AsyncScriptedSource])
def test_a_source_that_gives_nothing(site: Site, stream: bool, kind: Any) -> None:
    source = kind(WAIT, "late")
    site.serve(lambda ask: source, source_timeout=0.05, keep_alive=0.02)
    response = site.post(stream=stream)
    assert response.status_code == 504
    assert response.json()["error"]["message"] == "generation timed out"
    source.release()  # a thread in a wait can't be ended


@pytest.mark.parametrize("limit", ["source_timeout", "max_duration"])
def test_a_whole_reply_has_the_limits_of_a_stream(site: Site, limit: str) -> None:
    source = AsyncScriptedSource("a", WAIT, "late")
    site.serve(lambda ask: source, keep_alive=0.02, **{limit: 0.05})
    assert site.post(stream=False).status_code == 504
    assert source.closed.is_set()


BODIES = {
    "no JSON": (b"{", None),
    "no object": (b"[]", None),
    "no text": (b"\xff", None),
    "nothing": (b"", None),
    "no messages": (b"{}", "messages"),
    "no role": (b'{"messages":[{"content":"a"}]}', "messages[0].role"),
    "no flag": (b'{"messages":[{"role":"user","content":"a"}],"stream":1}', "stream"),
    "no options": (
        b'{"messages":[{"role":"user","content":"a"}],"stream_options":{"include_usage":1}}',
        None,
    ),
}


@pytest.mark.parametrize("body, field", BODIES.values(), ids=BODIES)
def test_a_body_that_is_no_request(site: Site, body: bytes, field: str | None) -> None:
    called: list[ChatRequest] = []
    site.serve(called.append)
    response = site.ask("POST", "/v1/chat/completions", content=body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert field is None or error["param"] == field
    assert called == []


def test_a_body_that_is_too_large(site: Site) -> None:
    site.serve(hello)
    response = site.post(padding="x" * (10 << 20))
    assert response.status_code == 413
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS", "HEAD"])
def test_another_method(site: Site, method: str) -> None:
    site.serve(hello)
    response = site.ask(method, "/v1/chat/completions")
    assert response.headers["allow"] == "POST, OPTIONS"
    assert response.status_code == (204 if method == "OPTIONS" else 405)
    assert ("error" in response.text) == (method in ("GET", "PUT"))


@pytest.mark.parametrize("wire", ["json", "text"])
def test_a_wire_that_has_no_request(site: Site, wire: str) -> None:
    with pytest.raises(InvalidOption, match="has no request"):
        site.serve(hello, wire)


def test_options_are_checked_where_they_are_written(site: Site) -> None:
    with pytest.raises(UnknownWire):
        site.serve(hello, "no-wire")
    with pytest.raises(InvalidOption):
        site.serve(hello, headers={"X": "a\r\nb"})
    with pytest.raises((InvalidOption, TypeError)):
        site.serve(hello, no_option=1)


# What the framework raises by itself.

OWN_ERRORS = {
    "django-wsgi": [(Http404(SECRET), 404), (PermissionDenied(SECRET), 403)],
    "django-asgi": [(Http404(SECRET), 404), (PermissionDenied(SECRET), 403)],
    "flask": [],
    "starlette": [(HTTPException(402, "pay", {"X-Plan": "none"}), 402)],
    "fastapi": [
        (HTTPException(402, "pay", {"X-Plan": "none"}), 402),
        (HTTPException(499, {"any": "thing"}), 499),
    ],
    "asgi": [],
}


@both
@pytest.mark.parametrize("after", [0, 1])
def test_the_frameworks_own_errors_keep_their_status(site: Site, stream: bool, after: int) -> None:
    if stream and after:
        return  # its status is out
    for error, status in OWN_ERRORS[site.name]:
        site.serve(failing(error, after=after))
        response = site.post(stream=stream)
        assert response.status_code == status
        assert set(response.json()["error"]) == {"code", "message", "param", "type"}
        assert SECRET not in response.text
        if isinstance(error, HTTPException) and error.headers:
            assert response.headers["x-plan"] == "none"


@both
def test_abort_in_flask(settings: Any, stream: bool) -> None:
    site = Flask(settings)
    site.serve(lambda ask: flask.abort(401, "who?"))
    response = site.post(stream=stream)
    assert response.status_code == 401
    assert response.json()["error"]["message"] == "who?"
    site.serve(lambda ask: flask.abort(flask.make_response("own", 418)))
    response = site.post(stream=stream)
    assert (response.status_code, response.text) == (418, "own")


@both
def test_what_flask_lends(settings: Any, stream: bool) -> None:
    torn: list[object] = []

    def source() -> Iterator[str]:
        for _ in range(2):
            yield f"{flask.g.user} {flask.request.path} {len(torn)};"

    site = Flask(settings)
    site.serve(lambda ask: source())
    site.app.before_request(lambda: setattr(flask.g, "user", "ann"))
    site.app.teardown_request(torn.append)
    response = site.post(stream=stream)
    assert response.text.count("ann /v1/chat/completions 0;") == 2
    assert torn == [None]


def test_flask_lends_it_to_a_source_that_outlasts_its_reader(settings: Any) -> None:
    left, gate, is_over = threading.Event(), threading.Event(), threading.Event()
    seen: list[object] = []
    torn: list[object] = []

    def source() -> Iterator[str]:
        yield "a"
        left.set()
        gate.wait(20)
        seen.append((flask.g.user, len(torn)))
        yield "b"

    site = Flask(settings)
    site.serve(lambda ask: source(), on_finish=lambda result: is_over.set())
    site.app.before_request(lambda: setattr(flask.g, "user", "ann"))
    site.app.teardown_request(torn.append)
    response = site.app.test_client().post(
        "/v1/chat/completions",
        json={"messages": [{"role": "user", "content": "hi"}]},
        environ_overrides={"waitress.client_disconnected": left.is_set},
    )
    assert (response.status_code, response.data) == (499, b"")
    gate.set()
    assert is_over.wait(20)
    until(lambda: torn)
    assert (seen, len(torn)) == ([("ann", 0)], 1)


@both
def test_flasks_config_has_the_defaults(settings: Any, stream: bool) -> None:
    site = Flask(settings)
    site.serve(failing(LookupError(SECRET)))
    site.app.config["TOKENSTREAM_ON_ERROR"] = lambda error: "by the config"
    assert site.post(stream=stream).json()["error"]["message"] == "by the config"


@pytest.mark.parametrize("name", ["django-wsgi", "django-asgi"])
@both
def test_without_csrf_exempt_django_asks_for_its_token(
    settings: Any, name: str, stream: bool
) -> None:
    site = SITES[name](settings)
    site.serve(hello)
    endpoint = site.package.chat_endpoint("openai-chat", hello)
    settings.ROOT_URLCONF = (path("v1/chat/completions", endpoint),)
    assert site.post(stream=stream).status_code == 403


@pytest.mark.parametrize("name", ["django-wsgi", "django-asgi"])
@both
def test_djangos_decorators_and_user(settings: Any, name: str, stream: bool) -> None:
    site = SITES[name](settings)
    users: list[object] = []

    def answer(ask: ChatRequest) -> list[str]:
        users.append(ask.request.user)
        return ["a"]

    site.serve(answer)
    guarded = login_required(site.package.chat_endpoint("openai-chat", answer, release_db=True))
    ann = User(username="ann")

    def as_ann(view: Any) -> Any:
        def signed_in(request: Any) -> Any:
            request.user = ann
            return view(request)

        return signed_in

    settings.ROOT_URLCONF = (path("v1/chat/completions", csrf_exempt(guarded)),)
    assert site.post(stream=stream).status_code == 302
    settings.ROOT_URLCONF = (path("v1/chat/completions", csrf_exempt(as_ann(guarded))),)
    assert site.post(stream=stream).status_code == 200
    assert users == [ann]


# Models.


def test_models(site: Site) -> None:
    site.serve(hello)
    response = site.ask("GET", "/v1/models")
    assert response.status_code == 200
    document = response.json()
    assert document["object"] == "list"
    assert [it["id"] for it in document["data"]] == list(MODELS)
    for name in MODELS:
        one = site.ask("GET", f"/v1/models/{name}").json()
        assert one in document["data"]
        assert (one["id"], one["object"], one["owned_by"]) == (name, "model", "tokenstream")


def test_no_such_model(site: Site) -> None:
    site.serve(hello)
    response = site.ask("GET", "/v1/models/other")
    assert response.status_code == 404
    error = response.json()["error"]
    assert (error["type"], error["param"]) == ("not_found_error", "model")
    assert "'other'" in error["message"]


def test_models_by_another_method(site: Site) -> None:
    site.serve(hello)
    response = site.ask("POST", "/v1/models")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert "use GET" in response.json()["error"]["message"]
    assert site.ask("OPTIONS", "/v1/models").status_code == 204
    head = site.ask("HEAD", "/v1/models")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    "path, name",
    [
        ("/v1/models", ""),
        ("/v1/models/", ""),
        ("/models-api/v1/models", ""),
        ("/app/models/v1/models/org/gpt", "org/gpt"),
    ],
)
def test_where_an_asgi_app_finds_the_models_name(path: str, name: str) -> None:
    app = tokenstream_asgi.models_endpoint("org/gpt")
    transport = httpx.ASGITransport(app)

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get(path)

    document = asyncio.run(ask()).json()
    assert document["id" if name else "object"] == (name or "list")
