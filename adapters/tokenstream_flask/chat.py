"""Endpoints that SDKs and front ends know: a chat, answered as it was asked, and the models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from flask import current_app, make_response, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from tokenstream import Wire, WireName
from tokenstream.chat import AnswerChat, Chat, Told, chat_of, check_size, read_limited
from tokenstream.models import Models
from tokenstream.wires.whole import Whole

from .config import OPTIONS, PREFIX, check_names
from .response import TokenStreamResponse, flask_response

__all__ = ["chat_endpoint", "models_endpoint"]

# `add_url_rule` takes them from the view: a wrong one is answered here, as the right one is.
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

View = Callable[..., ResponseReturnValue]


def chat_endpoint(wire: WireName | Wire, answer: AnswerChat, **options: Any) -> View:
    """Return a view that answers `POST` in the protocol that it was asked in.

    wire: the protocol. answer: gets a `ChatRequest`, whose `request` is Flask's, and returns
    a source, a coroutine of one, or a finished `Response`.
    options: those of `TokenStreamResponse`, over those of the app's config.

    A request with `stream: false` gets the protocol's ordinary JSON body. What is wrong
    with a request, and what fails before the reply, is told by an HTTP status in the
    protocol's own shape, `abort()` too; what has no status of its own is logged, and told
    as 500. The app's error handlers are not asked.

    For `app.add_url_rule(path, view_func=...)`. Its endpoint is `chat_` and the wire's name:
    give `endpoint=` where an app has two of a wire.

    Raises `UnknownWire` and `InvalidOption` where it is written.
    """
    check_names(options, OPTIONS - {"wire"} | {"status", "headers"})
    chat = chat_of(wire, answer, options, _told)

    def chat_view(**_: Any) -> ResponseReturnValue:
        if (other := chat.without_body(request.method)) is not None:
            return flask_response(other)
        here = _configured(chat)
        try:
            return _answered(here, options)
        except HTTPException as error:
            response = error.response  # that of `abort(response)`
            return make_response(response) if response else flask_response(here.refused(error))
        except Exception as error:
            return flask_response(here.refused(error))

    return _routed(chat_view, f"chat_{chat.wire.name.replace('-', '_')}")


def _answered(chat: Chat, options: Mapping[str, Any]) -> ResponseReturnValue:
    source, wire = chat.read(_body(), request)
    if not isinstance(wire, Whole):
        response = TokenStreamResponse(source, wire, **options)
        finished: Any = response.prime()
        return response if finished is None else make_response(finished)
    # Its status waits for all of it, and so for the first part as long as for the rest.
    response = TokenStreamResponse(source, wire, **{**options, "prime": None})
    finished = response.prime()
    if finished is not None:
        return make_response(finished)
    return flask_response(chat.whole(*response.collect()))


def _configured(chat: Chat) -> Chat:
    on_error = chat.on_error or current_app.config.get(f"{PREFIX}ON_ERROR")
    return replace(chat, on_error=on_error)


def _body() -> bytes:
    check_size(request.content_length)
    # Without a length it ends where the server says so.
    known = request.content_length is not None
    return request.get_data() if known else read_limited(request.stream.read)


def _told(error: BaseException) -> Told | None:
    if not isinstance(error, HTTPException) or error.code is None:
        return None
    headers = dict(error.get_response().headers)
    for name in ("Content-Type", "Content-Length"):
        headers.pop(name, None)
    return error.code, error.description or error.name, headers


def models_endpoint(*names: str) -> View:
    """Return a view that lists models as OpenAI does.

    names: what a request may ask for as its `model`. The view goes to `/v1/models`, where it
    gives the list, and to `/v1/models/<path:model>`, where it gives one of them, or 404.

    Raises `InvalidOption` for a name that is no text.
    """
    models = Models(names)

    def models_view(model: str | None = None) -> ResponseReturnValue:
        return flask_response(models.answer(request.method, model))

    return _routed(models_view, "models")


def _routed(view: View, endpoint: str) -> View:
    view.__name__ = endpoint
    vars(view).update(methods=_METHODS, provide_automatic_options=False)
    return view
