"""The decorator: a view that yields, or returns a source, becomes a view that streams."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, Protocol, overload

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from tokenstream import TokenStream, Wire, WireName
from tokenstream.native import are_greenlets
from tokenstream.reconnect import answer
from tokenstream.views import AnyView, decorate, is_async_view
from tokenstream.wires import find_wire

from .requests import asked, find_request
from .response import TokenStreamResponse, refused_or_raised

__all__ = ["check_options", "mark", "stream_options", "token_stream"]

_OPTIONS = "token_stream_options"

P = ParamSpec("P")


class Decorator(Protocol):
    """What `@token_stream("json")` is."""

    def __call__(self, view: Callable[P, Any], /) -> Callable[P, Any]:
        """Make `view` stream."""
        ...


@overload
def token_stream(view: Callable[P, Any], /) -> Callable[P, Any]: ...
@overload
def token_stream(wire: WireName | Wire, /, **options: Any) -> Decorator: ...
@overload
def token_stream(*, wire: WireName | Wire = "json", **options: Any) -> Decorator: ...
def token_stream(first: Any = None, /, *, wire: WireName | Wire = "json", **options: Any) -> Any:
    """Make a view stream: a function or a method of a class-based view, sync or async.

    The view may yield parts, return a source, or return a finished response,
    which is sent as it is; a generator may `return` one before its first part.
    Written `@token_stream`, `@token_stream("json")` or
    `@token_stream(wire="json", ...)`, with the options of `TokenStreamResponse`.

    HEAD and reconnects are answered before the view is called. What is raised
    before the first part, or within `prime` seconds, goes Django's own way:
    `Http404` gives 404; what has a status of its own (`UpstreamError`, see
    `TokenStreamResponse`) gets it. An async view's source runs on the server's loop, under
    WSGI on one that all share; under gevent so does the view.

    Raises `UnknownWire` and `InvalidOption` where it is written.
    """
    return decorate(_streaming, first, wire, options)


def _streaming(view: AnyView, wire: WireName | Wire, options: Mapping[str, Any]) -> AnyView:
    check_options(wire, options)

    def respond(source: object, request: HttpRequest) -> TokenStreamResponse:
        return TokenStreamResponse(source, wire, request=request, **options)

    def without_view(request: HttpRequest) -> HttpResponseBase | None:
        whole = answer(asked(request), find_wire(wire), options.get("on_reconnect", "refuse"))
        return None if whole is None else respond((), request)

    @functools.wraps(view)
    def sync_view(*args: Any, **kwargs: Any) -> HttpResponseBase:
        request = find_request(args, kwargs)
        if (response := without_view(request)) is not None:
            return response
        try:
            made = view(*args, **kwargs)
        except Exception as error:
            return refused_or_raised(
                error, find_wire(wire), options.get("headers"), options.get("on_error")
            )
        if isinstance(made, HttpResponseBase):
            return made
        return respond(made, request).prime()

    @functools.wraps(view)
    async def async_view(*args: Any, **kwargs: Any) -> HttpResponseBase:
        request = find_request(args, kwargs)
        if (response := without_view(request)) is not None:
            return response
        # Called, but nothing of it has run: the stream awaits it, where it is read.
        return await respond(view(*args, **kwargs), request).aprime()

    # Django runs an async view under WSGI on a loop in a thread of its own, which
    # gevent makes a greenlet: one view at a time, and 500 for the others. As a sync
    # view it makes the coroutine, and the stream awaits it on the shared loop.
    streaming = async_view if is_async_view(view) and not are_greenlets() else sync_view
    # On the function, so that decorators above, which copy its attributes, don't hide it.
    return mark(streaming, wire, options)


def mark(view: AnyView, wire: WireName | Wire, options: Mapping[str, Any]) -> AnyView:
    """Let `stream_options` tell the options of a view. Returns the view."""
    vars(view)[_OPTIONS] = {"wire": wire, **options}
    return view


def stream_options(view: object) -> Mapping[str, Any] | None:
    """Return the options that a view was decorated with, `wire` among them; None if it was not."""
    found: Mapping[str, Any] | None = getattr(view, _OPTIONS, None)
    return found


def check_options(wire: WireName | Wire, options: Mapping[str, Any]) -> None:
    """Raise for options that no request could stream with."""
    of_the_response = {"status", "headers", "on_reconnect", "release_db"}
    TokenStream((), wire, **{k: v for k, v in options.items() if k not in of_the_response})
