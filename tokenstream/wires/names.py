"""The wires by their names."""

from __future__ import annotations

from typing import Literal, TypeAlias

from ..errors import InvalidOption, UnknownWire
from ..shown import shown
from .ai_sdk import AISDK
from .base import Wire
from .json import Json
from .openai_chat import OpenAIChat
from .text import Text

__all__ = ["WireName", "find_wire"]

WireName: TypeAlias = Literal["json", "text", "openai-chat", "ai-sdk"]

_WIRES: dict[str, Wire] = {wire.name: wire for wire in (Json(), Text(), OpenAIChat(), AISDK())}


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
