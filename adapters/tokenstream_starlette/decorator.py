"""The decorator for endpoints of Starlette and FastAPI."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, overload

from starlette.requests import Request
from starlette.responses import Response

from tokenstream import Wire, WireName
from tokenstream.views import AnyView, decorate, is_async_view
from tokenstream.wires import find_wire

from .response import TokenStreamResponse

__all__ = ["token_stream"]

P = ParamSpec("P")


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
def token_stream(first: Any = None, /, *, wire: WireName | Wire = "json", **options: Any) -> Any:
    """Make an endpoint stream.

    It may yield parts, return a source, or return a finished Starlette
    response, sync or async; FastAPI finds its parameters as before. Written
    `@token_stream`, `@token_stream("json")` or `@token_stream(wire="json", ...)`
    with the options of `TokenStreamResponse`.

    HEAD and reconnects are answered before the endpoint is called. What it
    raises before the first part goes to the app's exception handlers.
    """
    return decorate(_endpoint, first, wire, options)


def _endpoint(view: AnyView, wire: WireName | Wire, options: Mapping[str, Any]) -> AnyView:
    known_wire = find_wire(wire)
    TokenStreamResponse((), known_wire, **options)  # options are checked where they are written
    starts_lazily = is_async_view(view) or inspect.isgeneratorfunction(view)

    async def endpoint(*args: Any, **kwargs: Any) -> Response:
        await _read_body(*args, *kwargs.values())
        source = (
            view(*args, **kwargs)  # nothing of it runs yet
            if starts_lazily
            else functools.partial(view, *args, **kwargs)
        )
        return TokenStreamResponse(source, known_wire, **options)

    functools.update_wrapper(endpoint, view)
    # FastAPI unwraps an endpoint and, where it finds a generator, streams it in
    # its own way: it may see the view's signature, not the view.
    vars(endpoint).pop("__wrapped__")
    vars(endpoint)["__signature__"] = _signature(view)
    return endpoint


async def _read_body(*arguments: object) -> None:
    """Let the request keep its body: the view runs when the watch has taken over `receive()`."""
    for request in arguments:
        if isinstance(request, Request):
            try:
                await request.body()
            except RuntimeError:
                pass  # FastAPI has read it, as a form, for the view's parameters


def _signature(view: AnyView) -> inspect.Signature:
    try:
        # Annotations that are strings mean something only in the view's module.
        signature = inspect.signature(view, eval_str=True)
    except NameError:
        signature = inspect.signature(view)
    # FastAPI would make a response model of what the view yields.
    return signature.replace(return_annotation=Response)
