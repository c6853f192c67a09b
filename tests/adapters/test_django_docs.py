"""What docs/django.md shows, run as it is written there."""

from __future__ import annotations

import unittest
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django_project.models import Message

from tokenstream.testing import read_stream

from ..snippets import run_page


class Both:
    """What `llm.stream` gives: for `for` and for `async for`."""

    def __iter__(self) -> Iterator[str]:
        return iter(["hello", " there"])

    async def __aiter__(self) -> AsyncIterator[str]:
        for token in self:
            yield token


class Llm:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.history: list[str] | None = None

    def stream(self, question: str, history: list[str] | None = None) -> Both:
        self.asked.append(question)
        self.history = history
        return Both()


async def create(*, model: str, messages: list[dict[str, str]], stream: bool) -> Both:
    assert (messages[0]["content"], stream) == ("hi", True)
    return Both()


@pytest.fixture
def page(settings: Any) -> dict[str, Any]:
    client = SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=create)))
    names = run_page("docs/django.md", llm=Llm(), client=client, Message=Message)
    settings.ROOT_URLCONF = tuple(names["urlpatterns"])
    return names


@pytest.mark.parametrize("path", ["chat", "sdk", "generator", "checks", "response", "api"])
def test_each_view_streams(path: str, page: dict[str, Any]) -> None:
    response = Client().post(f"/{path}", {"q": "hi"}, headers={"Accept": "text/event-stream"})
    transcript = read_stream(response).read()
    assert (transcript.text, transcript.done) == ("hello there", True)
    assert page["llm"].asked == ([] if path == "sdk" else ["hi"])


@pytest.mark.django_db(transaction=True)
def test_the_released_view_reads_the_database_first(page: dict[str, Any]) -> None:
    Message.objects.create(text="before")
    assert read_stream(Client().post("/released", {"q": "hi"})).read().done
    assert page["llm"].history == ["before"]


def test_the_private_view_asks_for_a_login(page: dict[str, Any]) -> None:
    assert Client().post("/private", {"q": "hi"}).status_code == 302
    assert page["llm"].asked == []


def test_the_checking_view_refuses(page: dict[str, Any]) -> None:
    response = Client().post("/checks")
    assert (response.status_code, response.json()) == (400, {"error": "q is missing"})


@pytest.mark.django_db(transaction=True)
def test_its_tests_pass(page: dict[str, Any]) -> None:
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(page["ChatTests"]).run(result)
    assert result.testsRun == 2
    assert not result.failures + result.errors, result
