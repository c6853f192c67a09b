"""tokenstream for Flask: a response, and a decorator for views."""

from __future__ import annotations

from .decorator import token_stream
from .response import NoRequest, TokenStreamResponse

__all__ = ["NoRequest", "TokenStreamResponse", "token_stream"]
