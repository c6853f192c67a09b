"""What OpenAI's protocols share: messages, tools, ids, counts and errors."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from ..errors import InvalidOption
from ..parts import Usage
from ..shown import shown
from .base import Document, json_ascii
from .request import Fields, JsonObject

__all__ = [
    "asks_usage",
    "check_fields",
    "messages_of",
    "new_id",
    "refusal",
    "settings_of",
    "tools_of",
    "usage_of",
]

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
            if part.need("type", part.text("type")) == "text":
                part.need("text", part.text("text"))
    elif content is not None and not isinstance(content, str):
        raise message.wrong("content", "a string or an array of parts")
    elif content is None and role != "assistant":
        message.need("content", content)
    for call in message.objects("tool_calls"):
        _check_call(call)
    message.text("tool_call_id")
    return message.all()


def _check_call(call: Fields) -> None:
    call.text("id")
    if (function := call.object("function")) is not None:
        function.need("name", function.text("name"))
        function.text("arguments")


def settings_of(body: Fields) -> dict[str, Any]:
    """Return the fields of a `ChatRequest` that chat and completions have by one name.

    All that has not been asked for before is in its `params`. Raises `BadRequest`.
    """
    if body.integer("n") not in (None, 1):
        raise body.wrong("n", "1, since a request gets one reply")
    settings: dict[str, Any] = {
        "model": body.name("model"),
        "stream": body.flag("stream") or False,
        "temperature": body.number("temperature"),
        "stop": body.texts("stop"),
    }
    params = body.rest()
    asks_usage(params)
    return settings | {"params": params}


def asks_usage(params: Mapping[str, Any]) -> bool:
    """Return whether a stream is to have its count at the end. Raises `BadRequest`."""
    options = Fields(params).object("stream_options")
    return options is not None and options.flag("include_usage") is True


def tools_of(body: Fields) -> list[JsonObject]:
    """Return the tools of a request, as they came. Raises `BadRequest`."""
    tools = body.objects("tools")
    for tool in tools:
        if tool.need("type", tool.text("type")) == "function":
            function = tool.need("function", tool.object("function"))
            function.need("name", function.text("name"))
    return [tool.all() for tool in tools]


_PROMPT, _COMPLETION = "prompt_tokens_details", "completion_tokens_details"

# What the details of a count are called here, by what sources call them.
_DETAILS = {
    "cached_tokens": (_PROMPT, "cached_tokens"),
    "cache_read_input_tokens": (_PROMPT, "cached_tokens"),
    "cache_write_tokens": (_PROMPT, "cache_write_tokens"),
    "cache_creation_input_tokens": (_PROMPT, "cache_write_tokens"),
    "reasoning_tokens": (_COMPLETION, "reasoning_tokens"),
    "accepted_prediction_tokens": (_COMPLETION, "accepted_prediction_tokens"),
    "rejected_prediction_tokens": (_COMPLETION, "rejected_prediction_tokens"),
}
_GROUPS = {
    _PROMPT: _PROMPT,
    _COMPLETION: _COMPLETION,
    "input_tokens_details": _PROMPT,
    "output_tokens_details": _COMPLETION,
}


def usage_of(usage: Usage) -> JsonObject:
    """Return the counts of a reply as chat and completions have them.

    Details that OpenAI knows are in their groups, whether they came so or flat, by its
    names or Anthropic's; the others stay as they are. None replaces a count. What came from
    a cache, or went to it, is among the prompt's, as OpenAI counts, and not beside it.
    """
    counted: JsonObject = {}
    details = dict(usage.details)
    read = usage.input_tokens + _beside(details)
    for name, value in details.items():
        if name in _DETAILS:
            group, name = _DETAILS[name]
            counted.setdefault(group, {})[name] = value
        elif name in _GROUPS:
            if isinstance(value, Mapping):
                counted.setdefault(_GROUPS[name], {}).update(value)
        else:
            counted[name] = value
    return counted | {
        "prompt_tokens": read,
        "completion_tokens": usage.output_tokens,
        "total_tokens": read + usage.output_tokens,
    }


def _beside(details: Mapping[str, Any]) -> int:
    """Return what Anthropic counts beside the tokens that were read.

    Nothing where OpenAI's name is there too: litellm gives both, and counts as OpenAI does.
    """
    groups = [details, *(details.get(group) for group in _GROUPS)]
    if any(isinstance(it, Mapping) and "cached_tokens" in it for it in groups):
        return 0
    apart = (details.get(f"cache_{act}_input_tokens") for act in ("read", "creation"))
    return sum(count for count in apart if isinstance(count, int))


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
