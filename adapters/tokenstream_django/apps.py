"""The app, for those who want its system checks: `INSTALLED_APPS = ["tokenstream_django"]`."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import Tags, register

from .checks import check_database, check_server

__all__ = ["TokenStreamConfig"]


class TokenStreamConfig(AppConfig):
    """Turns on the system checks; nothing else depends on it."""

    name = "tokenstream_django"
    verbose_name = "Token streams"

    def ready(self) -> None:
        """Register the checks."""
        register(check_server, Tags.compatibility)
        register(check_database, Tags.urls)
