"""A Django project in one file, with a database that each source uses."""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings

settings.configure(
    SECRET_KEY="for tests only",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["SOAK_DATABASE"]}
    },
    USE_TZ=True,
)

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.db import connection, connections
from django.http import HttpRequest
from django.urls import path
from ledger import OPTIONS, source_of

from tokenstream_django import token_stream

__all__ = ["asgi", "wsgi"]


def use_database() -> None:
    """Run a query; what was opened for an async source's thread is that thread's to close."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


@token_stream(**OPTIONS)
def sync_view(request: HttpRequest) -> Any:
    use_database()
    return source_of(request.GET.dict(), use_database)


@token_stream(**OPTIONS)
async def async_view(request: HttpRequest) -> Any:
    return source_of(request.GET.dict(), use_and_close)


def use_and_close() -> None:
    use_database()
    connections.close_all()


urlpatterns = [path("django/sync", sync_view), path("django/async", async_view)]

asgi = get_asgi_application()
wsgi = get_wsgi_application()
