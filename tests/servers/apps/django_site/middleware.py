"""The project's own way with one exception."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.deprecation import MiddlewareMixin
from scripts import Busy


class BusyMiddleware(MiddlewareMixin):
    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return JsonResponse({"detail": str(error)}, status=503) if isinstance(error, Busy) else None
