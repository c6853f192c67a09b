"""A chunk's fields, of an object or of a dict alike. What is of another type is no such chunk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

__all__ = [
    "Fields",
    "Misshapen",
    "counts",
    "fields_of",
    "inside",
    "integer",
    "json_text",
    "listed",
    "text",
]

Fields: TypeAlias = Mapping[str, Any]


class Misshapen(Exception):
    """A field has another type than its protocol says: it is no chunk of that protocol."""


def fields_of(thing: object) -> Fields:
    """Return the fields of an object, or of a dict.

    What an object holds, and not one attribute after the other: a pydantic model takes
    2 us to say that it lacks one, and servers' own fields are lacking nearly always.
    """
    if isinstance(thing, dict):
        return thing
    try:
        held = vars(thing)
    except TypeError:
        raise Misshapen from None
    # Where pydantic keeps the fields that a model does not declare.
    extra = getattr(thing, "model_extra", None)
    return {**held, **extra} if extra else held


def text(fields: Fields, name: str, other: str = "") -> str:
    """Return a field that is text, empty where it is missing. `other`: its other name."""
    value = _value(fields, name, other)
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    raise Misshapen


def integer(fields: Fields, name: str, other: str = "") -> int | None:
    """Return a field that is a whole number, None where it is missing."""
    value = _value(fields, name, other)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise Misshapen


def listed(fields: Fields, name: str, other: str = "") -> Sequence[Any]:
    """Return a field that is a list, empty where it is missing."""
    value = _value(fields, name, other)
    if value is None:
        return ()
    if isinstance(value, list | tuple):
        return value
    raise Misshapen


def inside(fields: Fields, name: str, other: str = "") -> Fields:
    """Return the fields of a field, empty where it is missing."""
    value = _value(fields, name, other)
    return {} if value is None else fields_of(value)


def _value(fields: Fields, name: str, other: str) -> Any:
    value = fields.get(name)
    return fields.get(other) if value is None and other else value


def counts(fields: Fields, **names: str) -> dict[str, int]:
    """Return the counts that are there, and not 0, by the names that we give them."""
    found = {ours: integer(fields, theirs) for ours, theirs in names.items()}
    return {ours: count for ours, count in found.items() if count}


def json_text(value: object) -> str:
    """Return a call's arguments, which some protocols give as an object, as JSON."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise Misshapen from None
