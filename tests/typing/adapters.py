"""Views as users write them. Never run: mypy (strict) and pyright check it in `make lint`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial

import anyio
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponseBase
from django.urls import path
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from fastapi import FastAPI
from flask import Flask
from flask.typing import ResponseReturnValue
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message

import tokenstream_asgi
import tokenstream_django
import tokenstream_flask
import tokenstream_starlette
from tokenstream import OpenAIChat, Result
from tokenstream.asgi import App, Receive, Scope
from tokenstream.sources.transformers import TransformersSource
from tokenstream.wires import ChatRequest


def model(prompt: str) -> Iterator[str]:
    yield prompt


async def amodel(prompt: str) -> AsyncIterator[str]:
    yield prompt


def save(result: Result) -> None:
    print(result.text)


# Django.


@tokenstream_django.token_stream
def django_view(request: HttpRequest) -> Iterator[str]:
    yield from model(request.POST["q"])


@tokenstream_django.token_stream("openai-chat", keep_alive=5, on_finish=save)
async def django_async_view(request: HttpRequest) -> AsyncIterator[str]:
    return amodel(request.POST["q"])


@tokenstream_django.token_stream(wire="text")
async def django_async_generator(request: HttpRequest) -> AsyncIterator[str]:
    async for token in amodel(request.POST["q"]):
        yield token


class DjangoChat(View):
    @tokenstream_django.token_stream("json")
    def post(self, request: HttpRequest) -> Iterator[str]:
        yield from model(request.POST["q"])


def django_response(request: HttpRequest) -> HttpResponseBase:
    return tokenstream_django.TokenStreamResponse(
        lambda: model(request.POST["q"]), request=request, status=201, headers={"X-Chat": "1"}
    )


urlpatterns = [
    path("chat", django_view),
    path("chat/class", DjangoChat.as_view()),
    path("chat/response", django_response),
]


# Flask.

flask_app = Flask(__name__)


@flask_app.post("/chat")
@tokenstream_flask.token_stream("json")
def flask_view() -> Iterator[str]:
    yield from model("q")


@flask_app.post("/chat/bare")
@tokenstream_flask.token_stream
async def flask_async_view() -> AsyncIterator[str]:
    return amodel("q")


@flask_app.post("/chat/response")
def flask_response() -> ResponseReturnValue:
    return tokenstream_flask.TokenStreamResponse(lambda: model("q"), "text", on_finish=save)


# Starlette and FastAPI.

fastapi_app = FastAPI()


@fastapi_app.post("/chat", response_class=tokenstream_starlette.TokenStreamResponse)
async def fastapi_view(q: str) -> Response:
    return tokenstream_starlette.TokenStreamResponse(
        lambda: amodel(q), OpenAIChat(model="m"), background=BackgroundTask(print, q)
    )


@fastapi_app.get("/chat/{q}")
@tokenstream_starlette.token_stream(wire="text")
def fastapi_generator(q: str) -> Iterator[str]:
    yield from model(q)


@tokenstream_starlette.token_stream
async def starlette_view(request: Request) -> AsyncIterator[str]:
    return amodel(request.query_params["q"])


async def events(q: str) -> AsyncIterator[object]:
    yield q
    yield {"data": q, "event": "question"}
    yield tokenstream_starlette.ServerSentEvent(q, event="question", id="1", retry=3000, sep="\n")
    yield tokenstream_starlette.JSONServerSentEvent({"q": q}, comment="as JSON")


async def left(message: Message) -> None:
    print(message)


@fastapi_app.get("/events", response_class=tokenstream_starlette.EventSourceResponse)
async def fastapi_events(q: str) -> tokenstream_starlette.EventSourceResponse:
    sending, receiving = anyio.create_memory_object_stream[object](1)
    return tokenstream_starlette.EventSourceResponse(
        receiving,
        200,
        {"X-Own": "1"},
        ping=0.5,
        sep="\r\n",
        ping_message_factory=lambda: tokenstream_starlette.ServerSentEvent(comment="ping"),
        data_sender_callable=partial(sending.send, q),
        send_timeout=None,
        client_close_handler_callable=left,
        shutdown_event=anyio.Event(),
        shutdown_grace_period=5,
        cleanup_timeout=None,
        on_finish=save,
    )


async def starlette_events(request: Request) -> Response:
    return tokenstream_starlette.EventSourceResponse(events("q"), shutdown_event=asyncio.Event())


starlette_app = Starlette(
    routes=[Route("/chat", starlette_view), Route("/events", starlette_events)]
)


# ASGI with no framework.


@tokenstream_asgi.token_stream("text")
async def asgi_app(scope: Scope, receive: Receive) -> AsyncIterator[str]:
    body = await tokenstream_asgi.read_body(receive, limit=1 << 20)
    async for token in amodel(body.decode()):
        yield token


kept_alive: App = tokenstream_asgi.KeepAliveMiddleware(asgi_app, interval=15)


# A local model.

llm = TransformersSource.from_pretrained("path/to/model", gguf_file=None)


@flask_app.post("/model")
@tokenstream_flask.token_stream("json")
def from_a_local_model() -> object:
    return llm.stream([{"role": "user", "content": "q"}], max_new_tokens=64, do_sample=True)


# Chat endpoints.


async def answer(ask: ChatRequest) -> AsyncIterator[str]:
    return amodel(ask.messages[-1]["content"])


urlpatterns += [
    path(
        "v1/chat/completions",
        tokenstream_django.chat_endpoint(
            "openai-chat", lambda ask: llm.stream(ask.messages, max_new_tokens=ask.max_tokens)
        ),
    ),
    path(
        "v1/private",
        csrf_exempt(
            login_required(tokenstream_django.chat_endpoint(OpenAIChat(model="m"), answer))
        ),
    ),
    path("v1/models", tokenstream_django.models_endpoint("m")),
]

flask_app.add_url_rule(
    "/v1/chat/completions",
    view_func=tokenstream_flask.chat_endpoint("openai-chat", answer, on_finish=save),
)
flask_app.add_url_rule("/v1/models", view_func=tokenstream_flask.models_endpoint("m", "n"))

fastapi_app.post("/v1/chat/completions")(
    tokenstream_starlette.chat_endpoint("openai-chat", answer, keep_alive=5)
)
fastapi_app.get("/v1/models/{model:path}")(tokenstream_starlette.models_endpoint("m"))

starlette_app.add_route(
    "/v1/chat/completions",
    tokenstream_starlette.chat_endpoint("openai-chat", answer),
    methods=["POST"],
)
starlette_app.router.routes.append(Route("/v1/models", tokenstream_starlette.models_endpoint("m")))

asgi_chat: App = tokenstream_asgi.chat_endpoint("openai-chat", answer)
asgi_models: App = tokenstream_asgi.models_endpoint("m")
