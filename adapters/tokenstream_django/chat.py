"""Endpoints that SDKs and front ends know: a chat, answered as it was asked, and the models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.http import Http404, HttpRequest, UnreadablePostError
from django.http.response import HttpResponseBase

from tokenstream import Wire, WireName
from tokenstream.chat import AnswerChat, Chat, Told, chat_of
from tokenstream.models import Models
from tokenstream.wires.whole import Whole

from .decorator import check_options, mark
from .response import TokenStreamResponse, http_response

__all__ = ["chat_endpoint", "models_endpoint"]

# The first that fits. Django itself says no more to a reader than the status.
_STATUSES: tuple[tuple[type[Exception], HTTPStatus], ...] = (
    (Http404, HTTPStatus.NOT_FOUND),
    (PermissionDenied, HTTPStatus.FORBIDDEN),
    (RequestDataTooBig, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (SuspiciousOperation, HTTPStatus.BAD_REQUEST),
    (BadRequest, HTTPStatus.BAD_REQUEST),
    (UnreadablePostError, HTTPStatus.BAD_REQUEST),
)


def chat_endpoint(
    wire: WireName | Wire, answer: AnswerChat, **options: Any
) -> Callable[..., HttpResponseBase]:
    """Return a view that answers `POST` in the protocol that it was asked in.

    wire: the protocol. answer: gets a `ChatRequest`, whose `request` is Django's, and
    returns a source, a coroutine of one, or a finished response.
    options: those of `TokenStreamResponse`.

    A request with `stream: false` gets the protocol's ordinary JSON body. What is wrong
    with a request, and what fails before the reply, is told by an HTTP status in the
    protocol's own shape, `Http404` and `PermissionDenied` too; what has no status of its
    own is logged, and told as 500.

    A sync view, for decorators of any kind. SDKs send no CSRF token: see `csrf_exempt`.
    The body may have `DATA_UPLOAD_MAX_MEMORY_SIZE` bytes.

    Raises `UnknownWire` and `InvalidOption` where it is written.
    """
    chat = chat_of(wire, answer, options, _told)
    check_options(wire, options)

    def chat_view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if (other := chat.without_body(request.method or "GET")) is not None:
            return http_response(other)
        try:
            return _answered(chat, options, request)
        except Exception as error:
            return http_response(chat.refused(error))

    return mark(chat_view, wire, options)


def _answered(chat: Chat, options: Mapping[str, Any], request: HttpRequest) -> HttpResponseBase:
    source, wire = chat.read(request.body, request)
    if not isinstance(wire, Whole):
        return TokenStreamResponse(source, wire, request=request, **options).prime()
    # Its status waits for all of it, and so for the first part as long as for the rest.
    response = TokenStreamResponse(source, wire, request=request, **{**options, "prime": None})
    primed = response.prime()
    return primed if primed is not response else http_response(chat.whole(*response.collect()))


def _told(error: BaseException) -> Told | None:
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), None)
    return None if status is None else (status.value, status.phrase, {})


def models_endpoint(*names: str) -> Callable[..., HttpResponseBase]:
    """Return a view that lists models as OpenAI does.

    names: what a request may ask for as its `model`. The view goes to `v1/models`, where it
    gives the list, and to `v1/models/<path:model>`, where it gives one of them, or 404.

    Raises `InvalidOption` for a name that is no text.
    """
    models = Models(names)

    def models_view(request: HttpRequest, model: str | None = None) -> HttpResponseBase:
        return http_response(models.answer(request.method or "GET", model))

    return models_view
