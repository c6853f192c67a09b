"""Wires: the protocols that front ends speak, one file each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .ai_sdk import AISDK
from .base import Document, Encoder, Wire
from .collect import acollect, collect
from .json import Json
from .names import WireName, find_wire
from .openai_chat import OpenAIChat
from .request import ChatRequest, json_object
from .text import Text

__all__ = [
    "AISDK",
    "ChatRequest",
    "Document",
    "Encoder",
    "Json",
    "OpenAIChat",
    "Text",
    "Wire",
    "WireName",
    "acollect",
    "collect",
    "find_wire",
    "read_request",
]


def read_request(wire: WireName | Wire, body: bytes | str | Mapping[str, Any]) -> ChatRequest:
    """Return what a request's body asks for, in one shape for all wires.

    body: the JSON object, as it came or parsed.

    Raises `BadRequest`, which names the field that is wrong, `UnknownWire`, and
    `InvalidOption` for a wire that has no request of its own.
    """
    return find_wire(wire).read(json_object(body))
