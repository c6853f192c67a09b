"""tokenstream for Starlette and FastAPI: a response, a decorator, and sse-starlette's names."""

from __future__ import annotations

from .decorator import token_stream
from .event_source import EventSourceResponse
from .events import JSONServerSentEvent, ServerSentEvent
from .response import TokenStreamResponse

__all__ = [
    "EventSourceResponse",
    "JSONServerSentEvent",
    "ServerSentEvent",
    "TokenStreamResponse",
    "token_stream",
]
