"""tokenstream: LLM token streaming for the web app you already have."""

from __future__ import annotations

from . import sse
from .drain import adrain, drain
from .parts import (
    Data,
    Finish,
    FinishReason,
    Interruptible,
    Reasoning,
    Source,
    Step,
    ToolCall,
    ToolResult,
    Usage,
)
from .result import Outcome, Result
from .signals import drain_on_signal
from .stream import TokenStream
from .wires import AISDK, Json, OpenAIChat, Text, Wire, WireName

__all__ = [
    "AISDK",
    "Data",
    "Finish",
    "FinishReason",
    "Interruptible",
    "Json",
    "OpenAIChat",
    "Outcome",
    "Reasoning",
    "Result",
    "Source",
    "Step",
    "Text",
    "TokenStream",
    "ToolCall",
    "ToolResult",
    "Usage",
    "Wire",
    "WireName",
    "adrain",
    "drain",
    "drain_on_signal",
    "sse",
]
