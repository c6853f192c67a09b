"""Fragments of tool calls to whole calls: the one place that tells which belong together."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from operator import index
from typing import Any

from .errors import InvalidOption
from .parts import ToolCall
from .shown import shown

__all__ = ["Call", "Calls", "arguments_object"]


@dataclass(slots=True)
class Call:
    """A call, as far as it has come.

    number: its place among all calls of the reply, from 0, whatever their indexes are.
    pieces: its arguments.
    """

    number: int
    id: str | None
    name: str | None
    pieces: list[str] = field(default_factory=list)

    @property
    def arguments(self) -> str:
        """The arguments that have come, joined."""
        return "".join(self.pieces)

    def whole(self) -> ToolCall:
        """Return it as one fragment."""
        return ToolCall(self.number, self.id, self.name, self.arguments)


@dataclass(slots=True)
class Calls:
    """The calls of a reply, in the order in which they began.

    A fragment belongs to the call of its index, but where it has an id of its own:
    each round of model and tools counts from 0 again, and so do servers that send
    several calls whole with the same index.
    """

    all: list[Call] = field(default_factory=list)
    _by_index: dict[int, Call] = field(default_factory=dict)

    def add(self, part: ToolCall) -> Call:
        """Add a fragment; return its call, whose `pieces` it then ends.

        Raises `InvalidOption` for a field of another type.
        """
        place, arguments = _index(part), _text(part, "arguments")
        call_id, name = _given(part, "id"), _given(part, "name")
        call = self._by_index.get(place)
        if call is None or (call_id and call.id and call_id != call.id):
            call = self._by_index[place] = Call(len(self.all), call_id, name)
            self.all.append(call)
        call.id, call.name = call.id or call_id, call.name or name
        call.pieces.append(arguments)
        return call

    def next_round(self) -> None:
        """Count from 0 again: no later fragment belongs to a call before."""
        self._by_index.clear()


def arguments_object(arguments: str) -> dict[str, Any] | None:
    """Return the object that a call's arguments are, None where they are not one (yet).

    No arguments at all are the empty object. An object that is whole stays so: nothing
    but white space may follow it.
    """
    if not arguments:
        return {}
    try:
        value = json.loads(arguments, parse_constant=_number, parse_float=_number)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _number(text: str) -> float:
    # JSON has none of Python's NaN and Infinity, by their name or by being too large.
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{shown(text)} is no number that JSON can tell")
    return number


def _index(part: ToolCall) -> int:
    try:
        return index(part.index)
    except TypeError:
        raise _wrong(part, "index", "an int") from None


def _given(part: ToolCall, name: str) -> str | None:
    return None if getattr(part, name) is None else _text(part, name)


def _text(part: ToolCall, name: str) -> str:
    # By its type, as the machine has it: of a subclass its text, not what it prints as.
    value: Any = getattr(part, name)
    if not issubclass(type(value), str):
        raise _wrong(part, name, "a str")
    return str.__str__(value)


def _wrong(part: ToolCall, name: str, wanted: str) -> InvalidOption:
    given = f"ToolCall({name}={shown(getattr(part, name))})"
    return InvalidOption(f"{given}: {name} must be {wanted}")
