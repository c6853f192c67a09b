"""The request, as Django and Django REST framework hand it to a view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, RawPostDataException

from tokenstream import reconnect

__all__ = ["asked", "find_request", "is_asgi", "plain_request", "read_body"]


def plain_request(request: object) -> HttpRequest | None:
    """Return Django's own request, also of REST framework's, or None for anything else."""
    if isinstance(request, HttpRequest):
        return request
    # REST framework documents `_request` as the one it wraps. Asked for by its
    # name, since its class must not be imported here.
    inner = getattr(request, "_request", None)
    return inner if isinstance(inner, HttpRequest) else None


def find_request(args: Sequence[Any], kwargs: Mapping[str, Any]) -> HttpRequest:
    """Return the request among a view's arguments; that of a method comes after `self`."""
    for value in (*args, kwargs.get("request")):
        if (request := plain_request(value)) is not None:
            return request
    kinds = ", ".join(type(value).__name__ for value in args) or "none"
    raise TypeError(
        f"token_stream found no request among the view's arguments ({kinds}): "
        "put it on a view, or on a method of a class-based view, that gets the request"
    )


def is_asgi(request: HttpRequest) -> bool:
    """Tell which kind of server asked. A running loop would prove nothing: views may be async."""
    return isinstance(request, ASGIRequest)


def asked(request: HttpRequest) -> reconnect.Request:
    """Return what of the request decides whether it gets a stream."""
    return reconnect.Request(
        method=request.method or "GET",
        accept=request.headers.get("Accept", ""),
        last_event_id=request.headers.get("Last-Event-ID", ""),
    )


def read_body(request: HttpRequest) -> None:
    """Read the request's body here, for an async source that could not.

    Under gevent the loop has a thread of its own, and a socket may be read in its own
    thread only.
    """
    if request.content_type == "multipart/form-data":
        _ = request.POST, request.FILES  # files go to where the upload handlers put them
        return
    try:
        _ = request.body
    except (RawPostDataException, RequestDataTooBig):
        pass  # the view has read it, or would be told so; nothing has been read then
