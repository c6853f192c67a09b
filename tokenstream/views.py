"""What the adapters' decorators share: how they are written, and what kind a view is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeGuard

from .wires import Wire, WireName

__all__ = ["AnyView", "Wrap", "decorate", "is_async_view"]

AnyView: TypeAlias = Callable[..., Any]
Wrap: TypeAlias = Callable[[AnyView, WireName | Wire, Mapping[str, Any]], AnyView]


def decorate(
    wrap: Wrap,
    view_or_wire: AnyView | WireName | Wire | None,
    wire: WireName | Wire,
    options: Mapping[str, Any],
) -> Any:
    """Return the wrapped view, or a decorator that wraps one.

    For the three ways to write it: `@token_stream`, `@token_stream("json")`
    and `@token_stream(wire="json", keep_alive=5)`.
    """
    if view_or_wire is None:
        return lambda view: wrap(view, wire, options)
    if not _is_view(view_or_wire):
        name: Any = view_or_wire
        return lambda view: wrap(view, name, options)
    return wrap(view_or_wire, wire, options)


def _is_view(thing: object) -> TypeGuard[AnyView]:
    # A wire's class is callable, too, and no wire object.
    is_wire_class = isinstance(thing, type) and issubclass(thing, Wire)
    return callable(thing) and not is_wire_class


def is_async_view(view: AnyView) -> bool:
    """Tell whether a view must be run on a loop: a coroutine function or an async generator."""
    function = inspect.unwrap(view)
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
