"""tokenstream for Starlette and FastAPI: a response and a decorator."""

from __future__ import annotations

from .decorator import token_stream
from .response import TokenStreamResponse

__all__ = ["TokenStreamResponse", "token_stream"]
