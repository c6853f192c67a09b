"""The system checks: what each warns of, what it leaves alone, and that an app turns them on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.core.checks import CheckMessage
from django.db import connections, transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import include, path
from django.views import View
from django.views.decorators.http import require_POST
from rest_framework.views import APIView

from tokenstream_django import token_stream
from tokenstream_django.checks import check_database, check_server


def page(request: Any) -> HttpResponse:
    return HttpResponse()


async def async_page(request: Any) -> HttpResponse:
    return HttpResponse()


@token_stream
def plain(request: Any) -> Iterator[str]:
    yield "a"


@require_POST
@token_stream(release_db=True)
def released(request: Any) -> Iterator[str]:
    yield "a"


@token_stream("text", release_db=True)
async def async_released(request: Any) -> AsyncIterator[str]:
    yield "a"


class InClass(View):
    @token_stream(release_db=True)
    def post(self, request: Any) -> Iterator[str]:
        yield "a"


class InApi(APIView):
    @token_stream
    def get(self, request: Any) -> Iterator[str]:
        yield "a"


@pytest.fixture
def check(settings: Any) -> Any:
    def run(*views: Any) -> list[tuple[str, str]]:
        # Below an include, as they are in a real project.
        settings.ROOT_URLCONF = (path("x/", include([path("", view) for view in views])),)
        return [_named(message) for message in check_database(None)]

    return run


def _named(message: CheckMessage) -> tuple[str, str]:
    assert message.hint  # each names the fix
    assert message.id is not None
    return message.id.removeprefix("tokenstream."), message.msg


@pytest.fixture
def atomic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings["file"], "ATOMIC_REQUESTS", True)


ALL = [page, async_page, plain, released, async_released, InClass.as_view(), InApi.as_view()]


def test_nothing_is_wrong_with_the_defaults(check: Any) -> None:
    assert check(*ALL) == []
    assert check_server(None) == []


def test_a_project_without_urls(settings: Any) -> None:
    del settings.ROOT_URLCONF
    assert check_database(None) == []


@pytest.mark.usefixtures("atomic")
def test_async_views_under_atomic_requests(check: Any) -> None:
    found = check(page, plain, async_page, async_released)
    assert [name for name, _ in found] == ["W001", "W001"]
    assert "async_page is an async view" in found[0][1]
    assert "async_released" in found[1][1]
    check(async_released)
    with pytest.raises(RuntimeError, match="ATOMIC_REQUESTS with async views"):
        Client().get("/x/")


@pytest.mark.usefixtures("atomic")
def test_release_db_under_atomic_requests(check: Any) -> None:
    found = check(plain, released, InClass.as_view())
    assert [name for name, _ in found] == ["W002", "W002"]
    assert "released" in found[0][1]
    assert "InClass" in found[1][1]


@pytest.mark.usefixtures("atomic")
def test_views_that_are_not_atomic(check: Any) -> None:
    @transaction.non_atomic_requests(using="file")
    async def own(request: Any) -> HttpResponse:
        return HttpResponse()

    @transaction.non_atomic_requests(using="file")
    @token_stream(release_db=True)
    def streaming(request: Any) -> Iterator[str]:
        yield "a"

    assert check(own, streaming) == []


def test_a_pool_and_streams_that_hold_its_connections(
    check: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.settings["file"], "OPTIONS", {"pool": {"max_size": 2}})
    assert check(page, async_page, released, async_released, InClass.as_view()) == []
    ((name, text),) = check(page, plain, released, InApi.as_view())
    assert name == "W003"
    assert "'file'" in text
    assert "plain" in text
    assert "InApi" in text
    assert "released" not in text


@pytest.mark.parametrize("age", [60, None])
def test_connections_that_are_to_be_kept(
    age: int | None, check: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.settings["file"], "CONN_MAX_AGE", age)
    assert check(page, plain) == []
    ((name, text),) = check(plain, InClass.as_view())
    assert (name, f"CONN_MAX_AGE={age}" in text, "InClass" in text) == ("W004", True, True)


def test_daphne(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apps, "is_installed", lambda name: name == "daphne")
    (message,) = check_server(None)
    assert message.id == "tokenstream.W005"
    assert all(name in str(message.hint) for name in ("uvicorn", "hypercorn", "granian"))


PROJECT = """
import sys, json
from django.conf import settings
from django.http import HttpResponse
from django.urls import path
settings.configure(
    INSTALLED_APPS=json.loads(sys.argv[1]), ROOT_URLCONF=__name__,
    DATABASES={"default": {
        "ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "ATOMIC_REQUESTS": True}},
)
async def view(request):
    return HttpResponse()
urlpatterns = [path("", view)]
import django
from django.core.management import call_command
django.setup()
call_command("check")
"""


@pytest.mark.parametrize("installed", [[], ["tokenstream_django"]])
def test_the_app_turns_them_on(installed: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROJECT, json.dumps(installed)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert ("(tokenstream.W001)" in done.stderr) is bool(installed), done.stderr
