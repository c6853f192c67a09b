"""A chat in OpenAI's shape to the body of Anthropic's messages.

What has no counterpart goes as it is: the upstream says what it thinks of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

__all__ = ["DEFAULT_MAX_TOKENS", "anthropic_body"]

DEFAULT_MAX_TOKENS = 4096
"""The API insists on a limit."""

Block: TypeAlias = dict[str, Any]
Message: TypeAlias = Mapping[str, Any]

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,", re.ASCII)


def anthropic_body(messages: list[Message], params: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a body, but the model."""
    system = [block for it in messages if _is_system(it) for block in _content(it)]
    body: dict[str, Any] = {"messages": _turns(messages)}
    if system:
        body["system"] = system
    old_limit = params.pop("max_tokens", None)
    body["max_tokens"] = params.pop("max_completion_tokens", old_limit) or DEFAULT_MAX_TOKENS
    for name, convert in _PARAMS.items():
        if name in params:
            body |= convert(params.pop(name))
    if params.pop("parallel_tool_calls", None) is False and "tools" in body:
        body["tool_choice"] = {"type": "auto"} | body.get("tool_choice", {})
        body["tool_choice"]["disable_parallel_tool_use"] = True
    params.pop("stream_options", None)  # counts always come
    return body | params


def _is_system(message: Message) -> bool:
    return message.get("role") in ("system", "developer")


def _turns(messages: list[Message]) -> list[dict[str, Any]]:
    """Return the messages by turns: all results of a turn's calls go into one message."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if _is_system(message):
            continue
        role, blocks = _role(message), _blocks(message)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return turns


def _role(message: Message) -> object:
    return "user" if message.get("role") in ("tool", "function") else message.get("role")


def _blocks(message: Message) -> list[Block]:
    if message.get("role") == "tool":
        return [_result(message)]
    calls = [_call(it) for it in _objects(message, "tool_calls")]
    return _thoughts(message) + _content(message) + calls


def _thoughts(message: Message) -> list[Block]:
    """Return thinking as it was signed; what has no signature the API refuses."""
    blocks = map(dict, _objects(message, "thinking_blocks"))
    return [it for it in blocks if it.get("type") != "thinking" or it.get("signature")]


def _objects(message: Message, name: str) -> list[Message]:
    found = message.get(name)
    return (
        [it for it in found if isinstance(it, Mapping)] if isinstance(found, list | tuple) else []
    )


def _content(message: Message) -> list[Block]:
    content = message.get("content")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    blocks = [_block(part) for part in content or () if isinstance(part, Mapping)]
    return [block for block in blocks if block.get("text") != ""]  # which the API refuses


def _block(part: Message) -> Block:
    match part:
        case {"type": "image_url", "image_url": {"url": str() as url}}:
            return {"type": "image", "source": _place(url)}
        case {"type": "file", "file": {"file_data": str() as url}}:
            return {"type": "document", "source": _place(url)}
        case {"type": "refusal", "refusal": str() as text}:
            return {"type": "text", "text": text}
    return dict(part)


def _place(url: str) -> Block:
    if (found := _DATA_URL.match(url)) is None:
        return {"type": "url", "url": url}
    return {"type": "base64", "media_type": found[1], "data": url[found.end() :]}


def _result(message: Message) -> Block:
    result = {
        "type": "tool_result",
        "tool_use_id": message.get("tool_call_id"),
        "content": _content(message),
    }
    return result | ({"is_error": True} if message.get("is_error") is True else {})


def _call(call: Message) -> Block:
    function = call.get("function")
    if not isinstance(function, Mapping):
        return dict(call)
    return {
        "type": "tool_use",
        "id": call.get("id"),
        "name": function.get("name"),
        "input": _input(function.get("arguments")),
    }


def _input(arguments: object) -> object:
    if not isinstance(arguments, str):
        return arguments or {}
    try:
        return json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return {"arguments": arguments}  # what a model wrote may be no JSON


def _tool(tool: object) -> object:
    match tool:
        case {"type": "function", "function": {"name": name, **function}}:
            schema = function.get("parameters") or {"type": "object", "properties": {}}
            about = {"description": text} if (text := function.get("description")) else {}
            return {"name": name, **about, "input_schema": schema}
    return tool


def _choice(choice: object) -> object:
    match choice:
        case "required":
            return {"type": "any"}
        case str():
            return {"type": choice}
        case {"type": "function", "function": {"name": name}}:
            return {"type": "tool", "name": name}
    return choice


_PARAMS: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "tools": lambda tools: {"tools": [_tool(it) for it in tools]},
    "tool_choice": lambda choice: {"tool_choice": _choice(choice)},
    "stop": lambda stop: {"stop_sequences": [stop] if isinstance(stop, str) else stop},
}
