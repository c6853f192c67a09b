"""Views as users write them. Never run: mypy (strict) and pyright check it in `make lint`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from django.http import HttpRequest, HttpResponseBase
from django.urls import path
from django.views import View
from fastapi import FastAPI
from flask import Flask
from flask.typing import ResponseReturnValue
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import tokenstream_asgi
import tokenstream_django
import tokenstream_flask
import tokenstream_starlette
from tokenstream import OpenAIChat, Result
from tokenstream.asgi import App, Receive, Scope
from tokenstream.sources.transformers import TransformersSource


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


starlette_app = Starlette(routes=[Route("/chat", starlette_view)])


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
