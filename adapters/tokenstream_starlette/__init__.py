"""tokenstream for Starlette and FastAPI: a response, a decorator, two endpoints.

And sse-starlette's names.
"""

from __future__ import annotations

from .chat import chat_endpoint, models_endpoint
from .decorator import token_stream
from .event_source import EventSourceResponse
from .events import JSONServerSentEvent, ServerSentEvent
from .response import TokenStreamResponse

__all__ = [
    "EventSourceResponse",
    "JSONServerSentEvent",
    "ServerSentEvent",
    "TokenStreamResponse",
    "chat_endpoint",
    "models_endpoint",
    "token_stream",
]
