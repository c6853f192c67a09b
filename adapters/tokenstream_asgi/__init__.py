"""tokenstream for raw ASGI: a response, a decorator, and keep-alives for any app."""

from __future__ import annotations

from tokenstream.asgi import read_body

from .chat import chat_endpoint, models_endpoint
from .decorator import token_stream
from .keep_alive import KeepAliveMiddleware
from .response import TokenStreamResponse

__all__ = [
    "KeepAliveMiddleware",
    "TokenStreamResponse",
    "chat_endpoint",
    "models_endpoint",
    "read_body",
    "token_stream",
]
