"""What a request has of the assistant's thinking, in the fields where servers look for it."""

from __future__ import annotations

from collections.abc import Sequence

from ..parts import Reasoning
from .request import JsonObject

__all__ = ["think"]


def think(message: JsonObject, thoughts: Sequence[Reasoning]) -> None:
    """Add thinking to a message of the assistant's, after what it has of it.

    All of it is in `reasoning_content`; signed blocks are in `thinking_blocks`, too, as
    Anthropic has them.
    """
    if words := "".join(it.text for it in thoughts):
        message["reasoning_content"] = message.get("reasoning_content", "") + words
    signed = [
        {"type": "thinking", "thinking": it.text, "signature": it.signature}
        for it in thoughts
        if it.signature is not None
    ]
    if signed:
        message.setdefault("thinking_blocks", []).extend(signed)
