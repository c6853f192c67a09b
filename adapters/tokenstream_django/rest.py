"""Django REST framework: event streams past its content negotiation."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import NotAcceptable

from .requests import asked, plain_request

__all__ = ["EventStreamMixin"]


class EventStreamMixin:
    """Put it before `APIView`: a client that accepts only `text/event-stream` gets no 406.

    The view's own renderers stay as they are. What is no stream, errors above
    all, is rendered by the one for JSON, or by the first.
    """

    def perform_content_negotiation(self, request: Any, force: bool = False) -> tuple[Any, str]:
        """Return the renderer and its media type; see REST framework."""
        api_view: Any = super()
        try:
            renderer, media_type = api_view.perform_content_negotiation(request, force)
            return renderer, media_type
        except NotAcceptable:
            http = plain_request(request)
            if http is None or not asked(http).accepts_events:
                raise
            return self._for_errors()

    def _for_errors(self) -> tuple[Any, str]:
        api_view: Any = self
        renderers = api_view.get_renderers()
        json = [each for each in renderers if each.media_type == "application/json"]
        renderer = (json or renderers)[0]
        return renderer, renderer.media_type
