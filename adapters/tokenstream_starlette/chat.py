"""Endpoints that SDKs and front ends know: a chat, answered as it was asked, and the models."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http.client import responses as phrases
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Send

from tokenstream import Wire, WireName
from tokenstream.asgi import Watch, respond_whole
from tokenstream.chat import READER_LEFT, AnswerChat, Chat, Told, chat_of, check_size
from tokenstream.models import Models
from tokenstream.reconnect import Answer
from tokenstream.wires.whole import Whole

from .response import TokenStreamResponse

__all__ = ["chat_endpoint", "models_endpoint"]


def chat_endpoint(
    wire: WireName | Wire, answer: AnswerChat, **options: Any
) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that answers `POST` in the protocol that it was asked in.

    wire: the protocol. answer: gets a `ChatRequest`, whose `request` is Starlette's, and
    returns a source, a coroutine of one, or a finished response.
    options: those of `TokenStreamResponse`.

    A request with `stream: false` gets the protocol's ordinary JSON body. What is wrong
    with a request, and what fails before the reply, is told by an HTTP status in the
    protocol's own shape, `HTTPException` too; what has no status of its own is logged, and
    told as 500.

    For `app.post(path)(...)` of FastAPI, which takes `dependencies=`, and for
    `Route(path, ..., methods=["POST"])` of Starlette.

    Raises `UnknownWire` and `InvalidOption` where it is written.
    """
    chat = chat_of(wire, answer, options, _told)
    TokenStreamResponse((), chat.wire, **options)  # options are checked where they are written

    async def chat_view(request: Request) -> Response:
        if (other := chat.without_body(request.method)) is not None:
            return _response(other)
        try:
            source, replying = chat.read(await _body(request), request)
        except ClientDisconnect:
            return Response(status_code=READER_LEFT)
        except Exception as error:
            return _response(chat.refused(error))
        if isinstance(replying, Whole):
            # Its status waits for all of it, and so for the first part as long as for the rest.
            return _Whole(chat, source, replying, {**options, "prime": None})
        return _Stream(chat, source, replying, options)

    return chat_view


class _Stream(TokenStreamResponse):
    """A streamed reply: its errors are the chat's to tell."""

    def __init__(self, chat: Chat, source: object, wire: Wire, options: dict[str, Any]) -> None:
        super().__init__(source, wire, **options)
        self._chat = chat

    def _refused(self, error: Exception) -> Answer | None:
        return self._chat.refused(error)


class _Whole(_Stream):
    """A reply in one piece."""

    def _respond(self, watch: Watch, send: Send) -> Awaitable[object | None]:
        chat = self._chat
        return respond_whole(self._stream, watch, send, whole=chat.whole, refused=chat.refused)


async def _body(request: Request) -> bytes:
    length = request.headers.get("content-length", "")
    if length.isdecimal():
        check_size(int(length))
        return await request.body()  # which keeps it for `answer`
    body = bytearray()
    async for piece in request.stream():
        body += piece
        check_size(len(body))
    return bytes(body)


def _told(error: BaseException) -> Told | None:
    if not isinstance(error, HTTPException):
        return None
    detail: object = error.detail  # FastAPI's may be anything
    message = detail if isinstance(detail, str) else phrases.get(error.status_code, "")
    return error.status_code, message, error.headers or {}


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, dict(answer.headers))


def models_endpoint(*names: str) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that lists models as OpenAI does.

    names: what a request may ask for as its `model`. The endpoint goes to `/v1/models`, where
    it gives the list, and to `/v1/models/{model:path}`, where it gives one of them, or 404.

    Raises `InvalidOption` for a name that is no text.
    """
    models = Models(names)

    async def models_view(request: Request) -> Response:
        return _response(models.answer(request.method, request.path_params.get("model")))

    return models_view
