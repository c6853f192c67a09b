"""`GET /v1/models`, as OpenAI has it: what the adapters' `models_endpoint` share."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

from .chat import other_method
from .errors import InvalidOption
from .reconnect import Answer
from .refusal import refuse
from .shown import shown
from .wires import OpenAIChat
from .wires.base import json_ascii

__all__ = ["Models"]

_WIRE = OpenAIChat()  # whose errors OpenAI's other endpoints have, too


@dataclass(frozen=True)
class Models:
    """The models of an endpoint.

    names: in the order in which they are listed. created: seconds since 1970.

    Raises `InvalidOption` for a name that is no text, or empty.
    """

    names: tuple[str, ...]
    created: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        for name in self.names:
            if not isinstance(name, str) or not name:
                raise InvalidOption(f"models_endpoint({shown(name)}): give the names of models")

    def answer(self, method: str, name: str | None = None) -> Answer:
        """Return the list, or of `name` the model: 404 where there is none of that name."""
        if method == "HEAD":
            return replace(self.answer("GET", name), body=b"")
        if method != "GET":
            return other_method(_WIRE, method, "GET, HEAD")
        if not name:
            return _found({"object": "list", "data": [self._model(each) for each in self.names]})
        if name in self.names:
            return _found(self._model(name))
        return refuse(_WIRE, 404, f"no model is named {shown(name)}", field="model")

    def _model(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self.created, "owned_by": "tokenstream"}


def _found(document: dict[str, Any]) -> Answer:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-cache"}
    return Answer(200, headers, json_ascii(document).encode("ascii"))
