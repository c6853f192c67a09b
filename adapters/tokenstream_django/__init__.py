"""tokenstream for Django: a response, a decorator, endpoints, and a mixin for REST framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .chat import chat_endpoint, models_endpoint
from .decorator import token_stream
from .response import TokenStreamResponse

if TYPE_CHECKING:
    from .rest import EventStreamMixin as EventStreamMixin

__all__ = ["TokenStreamResponse", "chat_endpoint", "models_endpoint", "token_stream"]


def __getattr__(name: str) -> Any:
    # Not in `__all__`, and imported when asked for: REST framework is an extra.
    if name == "EventStreamMixin":
        from .rest import EventStreamMixin

        return EventStreamMixin
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
