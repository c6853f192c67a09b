"""Django for the tests of its adapter; those of the others don't notice."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    if importlib.util.find_spec("django") is None:
        return
    import django
    from django.conf import settings

    if settings.configured:
        return
    # Tests are imported by their path; Django imports an app by its name.
    sys.path.insert(0, str(HERE))
    from django_project import settings as project

    settings.configure(**{name: getattr(project, name) for name in dir(project) if name.isupper()})
    django.setup()


@pytest.fixture
def serve(settings: Any) -> Callable[..., str]:
    """Put a view at a path of the project, and return the path."""

    def put(view: Callable[..., Any], *, middleware: tuple[str, ...] = ()) -> str:
        from django.urls import path

        settings.ROOT_URLCONF = (path("chat", view),)
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, *middleware]
        return "/chat"

    return put
