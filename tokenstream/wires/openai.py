"""What OpenAI's protocols share: messages, tools, ids, counts and errors."""

from __future__ import annotations

import uuid
from typing import Any

from ..errors import InvalidOption
from ..parts import Usage
from ..shown import shown
from .base import Document, json_ascii
from .request import Fields, JsonObject

__all__ = ["check_fields", "messages_of", "new_id", "refusal", "tools_of", "usage_of"]

ROLES = ("developer", "system", "user", "assistant", "tool", "function")

_FIELDS: dict[str, tuple[Any, str]] = {
    "model": (str, "a str"),
    "id": (str | None, "a str or None"),
    "created": (int | None, "an int or None"),
}


def check_fields(wire: str, **values: object) -> None:
    """Raise `InvalidOption` for another type of `model`, `id` or `created`."""
    for name, value in values.items():
        kind, wanted = _FIELDS[name]
        if not isinstance(value, kind):
            raise InvalidOption(f"{wire}({name}={shown(value)}): {name} must be {wanted}")


def new_id(prefix: str) -> str:
    """Return an id that no other reply has."""
    return f"{prefix}{uuid.uuid4().hex}"


def messages_of(body: Fields, name: str = "messages") -> list[JsonObject]:
    """Return the messages of a request, as they came. Raises `BadRequest`."""
    messages = body.objects(name)
    if not messages:
        raise body.wrong(name, "an array of at least one message")
    return [_checked(message) for message in messages]


def _checked(message: Fields) -> JsonObject:
    role = message.need("role", message.text("role"))
    if role not in ROLES:
        raise message.wrong("role", f"one of {', '.join(ROLES)}")
    content = message.raw("content")
    if isinstance(content, list):
        for part in message.objects("content"):
            part.need("type", part.text("type"))
    elif content is not None and not isinstance(content, str):
        raise message.wrong("content", "a string or an array of parts")
    elif content is None and role != "assistant":
        message.need("content", content)
    message.objects("tool_calls")
    return message.all()


def tools_of(body: Fields) -> list[JsonObject]:
    """Return the tools of a request, as they came. Raises `BadRequest`."""
    tools = body.objects("tools")
    for tool in tools:
        if tool.need("type", tool.text("type")) == "function":
            function = tool.need("function", tool.object("function"))
            function.need("name", function.text("name"))
    return [tool.all() for tool in tools]


def usage_of(usage: Usage) -> JsonObject:
    """Return the counts of a reply as chat and completions have them."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    } | dict(usage.details)


_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}


def refusal(status: int, message: str, field: str | None) -> Document:
    """Return the body of an error that is told by an HTTP status."""
    default = "server_error" if status >= 500 else "invalid_request_error"
    error = {
        "message": message,
        "type": _TYPES.get(status, default),
        "param": field,
        "code": None,
    }
    return Document(json_ascii({"error": error}).encode("ascii"))
