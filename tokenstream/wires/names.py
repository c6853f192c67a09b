"""The wires by their names."""

from __future__ import annotations

from typing import Literal, TypeAlias

from ..errors import InvalidOption, UnknownWire
from ..shown import shown
from .ag_ui import AGUI
from .ai_sdk import AISDK
from .anthropic import Anthropic
from .base import Wire
from .html import Html
from .json import Json
from .openai_chat import OpenAIChat
from .openai_completions import OpenAICompletions
from .openai_responses import OpenAIResponses
from .text import Text

__all__ = ["WireName", "find_wire"]

WireName: TypeAlias = Literal[
    "json",
    "text",
    "html",
    "openai-chat",
    "openai-completions",
    "openai-responses",
    "anthropic",
    "ai-sdk",
    "ag-ui",
]

_WIRES: dict[str, Wire] = {
    wire.name: wire
    for wire in (
        Json(),
        Text(),
        Html(),
        OpenAIChat(),
        OpenAICompletions(),
        OpenAIResponses(),
        Anthropic(),
        AISDK(),
        AGUI(),
    )
}


def find_wire(wire: WireName | Wire) -> Wire:
    """Return the wire of that name, or the wire object itself.

    Raises `UnknownWire`, which lists the names, and `InvalidOption` for what
    is neither a name nor a wire.
    """
    if isinstance(wire, str):
        if wire not in _WIRES:
            raise UnknownWire(f"no wire is named {shown(wire)}: choose one of {', '.join(_WIRES)}")
        return _WIRES[wire]
    if not isinstance(wire, Wire):
        names = ", ".join(_WIRES)
        raise InvalidOption(f"wire={shown(wire)}: give a name ({names}) or a wire object")
    return wire
