"""The wires by their names."""

from __future__ import annotations

from typing import Literal, TypeAlias

from ..errors import InvalidOption, UnknownWire
from ..shown import shown
from .ag_ui import AGUI
from .base import Wire
from .html import Html
from .json import Json
from .openai_chat import OpenAIChat
from .text import Text

__all__ = ["WireName", "find_wire"]

WireName: TypeAlias = Literal["json", "text", "html", "openai-chat", "ag-ui"]

_ALL: tuple[Wire, ...] = (Json(), Text(), Html(), OpenAIChat(), AGUI())
_WIRES: dict[str, Wire] = {wire.name: wire for wire in _ALL}


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
