"""For tests of streams: scripted sources, a fake clock, readers for every test client.

`ASGITransport` needs httpx and is in `tokenstream.testing.transport`.
"""

from __future__ import annotations

from .clock import FakeClock
from .reader import StreamReader, Transcript, read_stream
from .source import WAIT, AsyncScriptedSource, Pause, ScriptedSource, forever, pause

__all__ = [
    "WAIT",
    "AsyncScriptedSource",
    "FakeClock",
    "Pause",
    "ScriptedSource",
    "StreamReader",
    "Transcript",
    "forever",
    "pause",
    "read_stream",
]
