"""The decorator for views."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Mapping
from typing import Any, Final, ParamSpec, overload

from flask import current_app, make_response, request

from tokenstream import Json, Wire, WireName
from tokenstream.reconnect import answer
from tokenstream.views import AnyView, decorate, is_async_view
from tokenstream.wires import find_wire

from .config import OPTIONS, check_names, options_for
from .response import (
    TokenStreamResponse,
    asked_by,
    is_response,
    need_request,
    refused_or_raised,
)

__all__ = ["token_stream"]

P = ParamSpec("P")

_APPS_WIRE: Final[Wire] = Json()
"""Stands for the wire of the app's config. Told by identity: `Json()` of a caller is a choice."""


@overload
def token_stream(view: Callable[P, Any], /) -> Callable[P, Any]: ...
@overload
def token_stream(
    wire: WireName | Wire, /, **options: Any
) -> Callable[[Callable[P, Any]], Callable[P, Any]]: ...
@overload
def token_stream(
    *, wire: WireName | Wire = ..., **options: Any
) -> Callable[[Callable[P, Any]], Callable[P, Any]]: ...
def token_stream(
    first: Any = None, /, *, wire: WireName | Wire = _APPS_WIRE, **options: Any
) -> Any:
    """Make a view stream.

    It may yield parts, return a source, or return a finished response (str,
    bytes, dict, tuple, `Response`), sync or async. Written `@token_stream`,
    `@token_stream("json")` or `@token_stream(wire="json", ...)` with the
    options of `TokenStreamResponse`, below `@app.route`.

    HEAD and reconnects are answered before the view is called. What the view
    raises before the first part goes to the app's error handlers, but what has a
    status of its own (`UpstreamError`, see `TokenStreamResponse`) gets it.

    Raises `UnknownWire` and, for an option's name that is none, `InvalidOption`.
    """
    check_names(options, OPTIONS | {"status", "headers"})
    return decorate(_streamed, first, wire, options)


def _streamed(view: AnyView, wire: WireName | Wire, options: Mapping[str, Any]) -> AnyView:
    chosen = None if wire is _APPS_WIRE else find_wire(wire)

    # Flask runs a sync view as it is. The async ones run on the stream's loop:
    # the one that Flask would make for them is gone before the first token.
    @functools.wraps(view)
    def streamed(*args: Any, **kwargs: Any) -> Any:
        need_request("token_stream")
        if _needs_no_view(chosen, options):
            return TokenStreamResponse((), chosen, **options)
        try:
            source = _source(view, args, kwargs)
        except Exception as error:
            return refused_or_raised(
                error, _wire(chosen, options), options.get("headers"), _on_error(options)
            )
        if _is_finished(source):
            return source
        response = TokenStreamResponse(source, chosen, **options)
        finished = response.prime()
        return response if finished is None else finished

    return streamed


def _needs_no_view(wire: Wire | None, options: Mapping[str, Any]) -> bool:
    settings = _settings(options)
    known = wire or find_wire(settings["wire"])
    return answer(asked_by(request), known, settings["on_reconnect"]) is not None


def _wire(wire: Wire | None, options: Mapping[str, Any]) -> Wire:
    return wire or find_wire(_settings(options)["wire"])


def _on_error(options: Mapping[str, Any]) -> Callable[[BaseException], str] | None:
    names = {name: options[name] for name in ("on_error",) if name in options}
    return options_for(current_app.config, names).get("on_error")


def _settings(options: Mapping[str, Any]) -> dict[str, Any]:
    names = {name: options[name] for name in ("wire", "on_reconnect") if name in options}
    return options_for(current_app.config, names)


def _source(view: AnyView, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a view that is a plain function; leave another to the pump."""
    function = inspect.unwrap(view)
    if inspect.isgeneratorfunction(function):
        return functools.partial(_generated, view, *args, **kwargs)
    if inspect.isasyncgenfunction(function):
        return functools.partial(view, *args, **kwargs)
    if is_async_view(view):
        return functools.partial(_returned, view, *args, **kwargs)
    return view(*args, **kwargs)


def _generated(view: AnyView, /, *args: Any, **kwargs: Any) -> Generator[object, None, object]:
    """Make a response of what a generator returns before its first part, as Flask does."""
    parts = view(*args, **kwargs)
    try:
        first = next(parts)
    except StopIteration as stop:
        return make_response(stop.value) if _is_finished(stop.value) else None
    yield first
    late: object = yield from parts
    return late


async def _returned(view: AnyView, /, *args: Any, **kwargs: Any) -> object:
    """Make a response of what a coroutine returns, if it is no source."""
    value = await view(*args, **kwargs)
    return make_response(value) if _is_finished(value) else value


def _is_finished(value: object) -> bool:
    return isinstance(value, str | bytes | bytearray | dict | tuple) or is_response(value)
