"""What a front end asks for: one shape for all wires, and how a body is read into it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from ..errors import BadRequest
from ..shown import shown, type_name

__all__ = ["ChatRequest", "Fields", "JsonObject", "json_object"]

JsonObject: TypeAlias = dict[str, Any]

T = TypeVar("T")

LONGEST_NAME = 256
"""Characters that the name of a model may have: it is sent back with each token."""

LARGEST = 2**53 - 1
"""The largest whole number that JSON's readers agree about (RFC 8259, 6)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """What a front end asks for, whatever its protocol.

    messages: in the shape of OpenAI's chat, the oldest first: what `stream_chat`,
        `TransformersSource.stream` and a tokenizer's chat template take.
    model: the name of the model, None where it was not given.
    tools: in the shape of OpenAI's chat (`{"type": "function", "function": {...}}`).
    stream: whether the reply is to be streamed.
    max_tokens: the most tokens of the reply, None for no limit.
    temperature: None where it was not given.
    stop: texts at which the model is to stop.
    chat_id: the id of the conversation, where the protocol has one.
    params: all that the body has besides, as it came.
    request: the framework's own request, where an adapter has read the body.
    """

    messages: list[JsonObject]
    model: str | None = None
    tools: list[JsonObject] = field(default_factory=list)
    stream: bool = True
    max_tokens: int | None = None
    temperature: float | None = None
    stop: list[str] = field(default_factory=list)
    chat_id: str | None = None
    params: JsonObject = field(default_factory=dict)
    request: Any = field(default=None, repr=False, compare=False)


def json_object(body: bytes | str | Mapping[str, Any]) -> Fields:
    """Return the JSON object in a request's body. Raises `BadRequest` for what is none."""
    if isinstance(body, Mapping):
        return Fields(body)
    try:
        value = json.loads(body, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        raise BadRequest("the body is not JSON: send a JSON object") from None
    if not isinstance(value, dict):
        raise BadRequest(f"the body is {_kind(value)}: send a JSON object")
    return Fields(value)


def _finite(word: str) -> float:
    # Python takes NaN and Infinity, which are no JSON, and makes 1e999 the latter.
    if math.isfinite(number := float(word)):
        return number
    raise ValueError("a number is not finite")


class Fields:
    """A JSON object that is read a field at a time. What nobody asked for is the `rest`.

    A field that is missing, or null, is None. Each method raises `BadRequest`,
    which names the field by its path, for a value of another type.
    """

    def __init__(self, value: Mapping[str, Any], path: str = "") -> None:
        self._value = value
        self._path = path
        self._asked: set[str] = set()

    def path(self, name: str) -> str:
        """Return where a field is in the body, such as `messages[0].role`."""
        return f"{self._path}.{name}" if self._path else name

    def raw(self, name: str) -> Any:
        """Return a field, whatever it is."""
        self._asked.add(name)
        return self._value.get(name)

    def text(self, name: str) -> str | None:
        """Return a field that is text."""
        return self._of(name, str, "a string")

    def name(self, name: str) -> str | None:
        """Return a field that is text of at most 256 characters."""
        value = self.text(name)
        if value is not None and len(value) > LONGEST_NAME:
            raise self.wrong(name, f"a string of at most {LONGEST_NAME} characters")
        return value

    def integer(self, name: str) -> int | None:
        """Return a field that is a whole number; 5.0 is one, as in JSON."""
        value = self.raw(name)
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return None if value is None else self._checked(name, value, int, "a whole number")

    def count(self, name: str) -> int | None:
        """Return a field that is a whole number above 0, and below 2**53."""
        value = self.integer(name)
        if value is not None and not 0 < value <= LARGEST:
            raise self.wrong(name, "a whole number above 0 and below 2**53")
        return value

    def number(self, name: str) -> float | None:
        """Return a field that is a finite number."""
        value = self.raw(name)
        if value is None:
            return None
        number = self._checked(name, value, (int, float), "a number")
        if not -LARGEST <= number <= LARGEST:  # nor is NaN
            raise self.wrong(name, "a number between -2**53 and 2**53")
        return number

    def flag(self, name: str) -> bool | None:
        """Return a field that is true or false."""
        return self._of(name, bool, "true or false")

    def array(self, name: str) -> list[Any]:
        """Return a field that is an array, empty where it is missing."""
        found = self._of(name, list, "an array")
        return [] if found is None else found

    def object(self, name: str) -> Fields | None:
        """Return a field that is an object."""
        found = self._of(name, dict, "an object")
        return None if found is None else Fields(found, self.path(name))

    def objects(self, name: str) -> list[Fields]:
        """Return a field that is an array of objects, empty where it is missing."""
        return list(self._objects(name))

    def texts(self, name: str) -> list[str]:
        """Return a field that is a string or an array of strings, as an array."""
        if isinstance(value := self.raw(name), str):
            return [value]
        for place, item in enumerate(self.array(name)):
            if not isinstance(item, str):
                raise _wrong(f"{self.path(name)}[{place}]", item, "a string")
        return list(value or ())

    def need(self, name: str, value: T | None) -> T:
        """Return `value`, which was read from a field that must be there."""
        if value is None:
            raise BadRequest("is missing: it must be there", self.path(name))
        return value

    def wrong(self, name: str, wanted: str) -> BadRequest:
        """Return the error for a field whose value is not what is wanted."""
        return _wrong(self.path(name), self._value.get(name), wanted)

    def rest(self) -> JsonObject:
        """Return the fields that nobody has asked for."""
        return {name: value for name, value in self._value.items() if name not in self._asked}

    def all(self) -> JsonObject:
        """Return the whole object, as it came."""
        return dict(self._value)

    def _of(self, name: str, kind: type[T], wanted: str) -> T | None:
        value = self.raw(name)
        return None if value is None else self._checked(name, value, kind, wanted)

    def _checked(
        self, name: str, value: Any, kind: type[T] | tuple[type[T], ...], wanted: str
    ) -> T:
        # In Python, and not in JSON, True is a number.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise _wrong(self.path(name), value, wanted)
        return value

    def _objects(self, name: str) -> Iterator[Fields]:
        for place, item in enumerate(self.array(name)):
            path = f"{self.path(name)}[{place}]"
            if not isinstance(item, dict):
                raise _wrong(path, item, "an object")
            yield Fields(item, path)


def _wrong(path: str, value: object, wanted: str) -> BadRequest:
    return BadRequest(f"is {_kind(value)} ({shown(value)}): give {wanted}", path)


_KINDS = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def _kind(value: object) -> str:
    return _KINDS.get(type(value)) or type_name(value)
