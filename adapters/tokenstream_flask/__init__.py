"""tokenstream for Flask: a response, a decorator for views, and two endpoints."""

from __future__ import annotations

from .chat import chat_endpoint, models_endpoint
from .decorator import token_stream
from .response import NoRequest, TokenStreamResponse

__all__ = [
    "NoRequest",
    "TokenStreamResponse",
    "chat_endpoint",
    "models_endpoint",
    "token_stream",
]
