"""Endpoints that SDKs and front ends know: a chat, answered as it was asked, and the models."""

from __future__ import annotations

import re
from typing import Any

from tokenstream import TokenStream, Wire, WireName
from tokenstream.asgi import (
    App,
    Receive,
    Scope,
    Send,
    Watch,
    read_body,
    request_of,
    respond_whole,
    send_whole,
)
from tokenstream.chat import BODY_LIMIT, AnswerChat, Chat, chat_of, whole_options
from tokenstream.errors import ReaderLeft
from tokenstream.models import Models
from tokenstream.wires.whole import Whole

from .decorator import HOST, not_http
from .response import TokenStreamResponse

__all__ = ["chat_endpoint", "models_endpoint"]


def chat_endpoint(wire: WireName | Wire, answer: AnswerChat, **options: Any) -> App:
    """Return an ASGI app that answers `POST` in the protocol that it was asked in.

    wire: the protocol. answer: gets a `ChatRequest`, whose `request` is the scope, and
    returns a source, a coroutine of one, or a finished response, which is any ASGI app.
    options: those of `TokenStreamResponse`.

    A request with `stream: false` gets the protocol's ordinary JSON body. What is wrong
    with a request, and what fails before the reply, is told by an HTTP status in the
    protocol's own shape; what has no status of its own is logged, and told as 500.

    Raises `UnknownWire` and `InvalidOption` where it is written.
    """
    chat = chat_of(wire, answer, options)
    options = {"host": HOST, **options}
    TokenStreamResponse((), chat.wire, **options)  # options are checked where they are written

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await not_http(scope, receive, send)
            return
        if (other := chat.without_body(scope["method"])) is not None:
            await send_whole(send, other)
            return
        async with Watch(receive) as watch:
            finished = await _answered(chat, options, scope, watch, send)
            if finished is not None:
                await finished(scope, watch.receive, send)

    return app


async def _answered(
    chat: Chat, options: dict[str, Any], scope: Scope, watch: Watch, send: Send
) -> Any:
    try:
        source, wire = chat.read(await read_body(watch.receive, BODY_LIMIT), scope)
    except ReaderLeft:
        return None
    except Exception as error:
        await send_whole(send, chat.refused(error))
        return None
    if isinstance(wire, Whole):
        stream = TokenStream(source, wire, **whole_options(options))
        return await respond_whole(stream, watch, send, whole=chat.whole, refused=chat.refused)
    response = TokenStreamResponse(source, wire, **options)
    return await response.respond(request_of(scope), watch, send, chat.refused)


def models_endpoint(*names: str) -> App:
    """Return an ASGI app that lists models as OpenAI does, for the paths `/v1/models...`.

    names: what a request may ask for as its `model`. `GET .../models` gets the list, and
    `GET .../models/<name>` one of them, or 404.

    Raises `InvalidOption` for a name that is no text.
    """
    models = Models(names)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await not_http(scope, receive, send)
            return
        name = re.sub(r"^.*?/v1/models(/|$)", "", scope["path"])
        await send_whole(send, models.answer(scope["method"], name))

    return app
