"""The pages for those who come from elsewhere: what they show after the move, and what before."""

from __future__ import annotations

import inspect
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import Client, RequestFactory

from tokenstream.testing import read_stream
from tokenstream.testing.transport import ASGITransport
from tokenstream_starlette import EventSourceResponse

from ..needs import need_checkout
from ..servers.client import WATCHDOG, wait_until
from ..servers.serving import Server, python
from ..snippets import python_blocks, run_page

need_checkout()


class Both:
    """Tokens for `for` and for `async for`."""

    def __init__(self, *tokens: str) -> None:
        self._tokens = tokens

    def __iter__(self) -> Iterator[str]:
        yield from self._tokens

    async def __aiter__(self) -> AsyncIterator[str]:
        for token in self._tokens:
            yield token


class Llm:
    def stream(self, question: str) -> Both:
        return Both("You asked:", f" {question}")


def client(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=ASGITransport(app), base_url="http://test")


# From hand-written code: each block before, and after, in a namespace of its own.

EVENTS = b"data: You asked:\n\ndata:  why?\n\ndata: [DONE]\n\n"

HAND_WRITTEN = python_blocks("docs/from-hand-written.md")


def blocks_with(word: str) -> list[Any]:
    blocks = [block for block in HAND_WRITTEN if f"from {word}" in block]
    names: list[dict[str, Any]] = [{"__name__": "snippet", "llm": Llm()} for _ in blocks]
    for block, namespace in zip(blocks, names, strict=True):
        exec(compile(block, "docs/from-hand-written.md", "exec"), namespace)
    return names


def test_every_block_is_run() -> None:
    assert len(HAND_WRITTEN) == 6


@pytest.mark.parametrize("word", ["django.http", "tokenstream_django"])
def test_django_by_hand_and_not(serve: Callable[..., str], word: str) -> None:
    [names] = blocks_with(word)
    response: Any = Client().post(serve(names["chat"]), {"q": "why?"})
    assert b"".join(response) == EVENTS
    assert response["X-Accel-Buffering"] == "no"


def test_flask_by_hand_and_not() -> None:
    both = blocks_with("flask import Flask")
    assert len(both) == 2
    for names in both:
        response = names["app"].test_client().post("/chat", data={"q": "why?"})
        assert response.data == EVENTS


async def test_fastapi_by_hand_and_not() -> None:
    both = blocks_with("fastapi import FastAPI")
    assert len(both) == 2
    for names in both:
        async with client(names["app"]) as http:
            response = await http.post("/chat", params={"q": "why?"})
        assert response.content == EVENTS


@pytest.mark.parametrize("word", ["django.http", "tokenstream_django"])
def test_a_line_end_in_a_token(serve: Callable[..., str], word: str) -> None:
    [names] = blocks_with(word)
    names["llm"] = type("Lines", (), {"stream": lambda self, question: Both("a\nb")})()
    response: Any = Client().post(serve(names["chat"]), {"q": "why?"})
    text = read_stream(response).read().text
    assert text == ("a\nb" if word == "tokenstream_django" else "a")


# From django-eventstream.


@pytest.fixture
def eventstream(settings: Any) -> dict[str, Any]:
    names = run_page("docs/from-django-eventstream.md", llm=Llm())
    settings.ROOT_URLCONF = tuple(names["urlpatterns"])
    return names


def test_the_answer_to_one_request(eventstream: dict[str, Any]) -> None:
    request = RequestFactory().post("/ask/", {"q": "why?"})
    request.user = AnonymousUser()
    assert eventstream["ask"](request).status_code == 302  # to the login
    request.user = type("User", (), {"is_authenticated": True})()  # type: ignore[assignment]
    transcript = read_stream(eventstream["ask"](request)).read()
    assert (transcript.text, transcript.done) == ("You asked: why?", True)


def test_events_of_other_kinds(eventstream: dict[str, Any]) -> None:
    transcript = read_stream(Client().post("/research/", {"q": "why?"})).read()
    assert transcript.text == "You asked: why?"
    first, *_, took, done = transcript.events
    sources = {"name": "sources", "value": ["https://example.com"]}
    assert json.loads(first.data) == {"data": sources}
    assert (took.event, took.data) == ("took", '{"seconds": 3}')
    assert done.data == "[DONE]"


# From sse-starlette.


@pytest.fixture
def starlette() -> dict[str, Any]:
    return run_page("docs/from-sse-starlette.md", model=lambda question: Both("a", question))


async def test_what_was_written_for_sse_starlette(starlette: dict[str, Any]) -> None:
    [block] = [b for b in python_blocks("docs/from-sse-starlette.md") if "still here" in b]
    exec(compile(block, "docs/from-sse-starlette.md", "exec"), starlette)
    async with client(starlette["app"]) as http:
        response = await http.get("/events")
    assert response.content == (
        b"event: token\r\ndata: a\r\n\r\nevent: token\r\ndata: Hello\r\n\r\n"
        b"id: 1\r\nevent: end\r\ndata: bye\r\n\r\n"
    )
    assert response.headers["x-model"] == "m"


async def test_the_decorator(starlette: dict[str, Any]) -> None:
    async with client(starlette["app"]) as http:
        transcript = read_stream(await http.get("/tokens", params={"question": "b"})).read()
    assert (transcript.tokens, transcript.done) == (["a", "b"], True)


def test_every_argument_is_named() -> None:
    text = (need_checkout() / "docs" / "from-sse-starlette.md").read_text(encoding="utf-8")
    [line] = [line for line in text.splitlines() if line.startswith("All arguments are there")]
    named = inspect.signature(EventSourceResponse).parameters.values()
    for argument in named:
        assert argument.kind is argument.VAR_KEYWORD or f"`{argument.name}`" in line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_server_ends_with_a_goodbye(tmp_path: Path, number: signal.Signals) -> None:
    page = "import os\n\n" + "\n".join(python_blocks("docs/from-sse-starlette.md"))
    page += '\n\n@app.get("/pid")\ndef pid() -> int:\n    return os.getpid()\n'
    command = python("-m", "uvicorn", "page:app", "--port", "{port}", "--app-dir", ".")
    server = Server(command, tmp_path, files={"page.py": page})
    try:
        pid = httpx.get(f"{server.url}/pid", trust_env=False).json()
        with httpx.stream("GET", f"{server.url}/ticks", timeout=WATCHDOG, trust_env=False) as it:
            chunks = it.iter_raw()
            assert next(chunks) == b"data: tick\r\n\r\n"
            os.kill(pid, number)
            assert b"".join(chunks) == b"event: shutdown\r\ndata: goodbye\r\n\r\n"
        printed: list[str] = []

        def has_ended() -> bool:
            printed.append(server.output())
            return "Finished server process" in "".join(printed)

        wait_until(has_ended, "the server ended")
    finally:
        server.stop()
