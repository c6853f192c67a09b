"""Anthropic's events to a message, as its clients fold them, with their order insisted on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

__all__ = ["folded"]


def folded(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the message of a stream that ended well: its blocks follow each other, from 0."""
    first, *blocks, delta, stop = events
    kinds = [first["type"], delta["type"], stop["type"]]
    assert kinds == ["message_start", "message_delta", "message_stop"]
    message = first["message"]
    assert message["content"] == []
    pieces: list[str] | None = None  # of a call's input; None between blocks
    for event in blocks:
        pieces = _fold(message["content"], event, pieces)
    assert pieces is None
    usage = message["usage"] | delta["usage"]
    return message | delta["delta"] | {"usage": usage}


def _fold(
    content: list[dict[str, Any]], event: dict[str, Any], pieces: list[str] | None
) -> list[str] | None:
    assert (pieces is None) is (event["type"] == "content_block_start")
    if pieces is None:
        content.append(event["content_block"])
        pieces = []
    elif event["type"] == "content_block_delta":
        _add(content[-1], event["delta"], pieces)
    else:
        assert event["type"] == "content_block_stop"
        if pieces:
            content[-1]["input"] = json.loads("".join(pieces))
        pieces = None
    assert event["index"] == len(content) - 1
    return pieces


def _add(block: dict[str, Any], delta: dict[str, Any], pieces: list[str]) -> None:
    match delta["type"]:
        case "citations_delta":
            block.setdefault("citations", []).append(delta["citation"])
        case "input_json_delta":
            assert block["type"] == "tool_use"
            pieces.append(delta["partial_json"])
        case "text_delta" | "thinking_delta" | "signature_delta" as kind:
            key = kind.removesuffix("_delta")
            block[key] += delta[key]
