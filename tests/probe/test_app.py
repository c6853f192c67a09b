"""The demo's ASGI app, without a server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from tokenstream import Result
from tokenstream.errors import PromptTooLong
from tokenstream.probe.app import BODY_LIMIT, MESSAGE_LIMIT, chat_app
from tokenstream.testing import ScriptedSource, read_stream
from tokenstream.testing.transport import ASGITransport

HELLO = {"role": "user", "content": "Hello"}


def client_of(model: Callable[[Any], object], **options: Any) -> httpx.AsyncClient:
    transport = ASGITransport(chat_app(model, **options))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


def unused(messages: object) -> object:
    pytest.fail(f"the model was asked {messages}")


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(unused) as client:
        yield client


async def test_reply_is_streamed_and_its_result_told() -> None:
    results: list[Result] = []
    source = ScriptedSource("Hel", "lo")
    async with (
        client_of(lambda messages: source, on_finish=results.append) as client,
        client.stream("POST", "/chat", json={"messages": [HELLO]}) as response,
    ):
        transcript = await read_stream(response).aread()
    assert transcript.tokens == ["Hel", "lo"]
    assert transcript.done
    assert [result.text for result in results] == ["Hello"]


@pytest.mark.parametrize(
    "path, content_type, inside",
    [
        ("/", "text/html; charset=utf-8", "<title>tokenstream demo</title>"),
        ("/index.html", "text/html; charset=utf-8", "<title>tokenstream demo</title>"),
        ("/chat.css", "text/css; charset=utf-8", "prefers-color-scheme"),
        ("/chat.js", "text/javascript; charset=utf-8", "import { stream }"),
        ("/tokenstream.js", "text/javascript; charset=utf-8", "export class Decoder"),
    ],
)
async def test_page_and_its_files(
    client: httpx.AsyncClient, path: str, content_type: str, inside: str
) -> None:
    got, head = await client.get(path), await client.head(path)
    assert (got.status_code, head.status_code) == (200, 200)
    assert got.headers["content-type"] == head.headers["content-type"] == content_type
    assert "default-src 'self'" in got.headers["content-security-policy"]
    assert inside in got.text
    assert head.content == b""


async def test_name_and_note_are_escaped() -> None:
    async with client_of(unused, name="<b>&", note='<i>"') as client:
        page = (await client.get("/")).text
    assert "&lt;b&gt;&amp;" in page
    assert "&lt;i&gt;&quot;" in page
    assert "<b>" not in page


@pytest.mark.parametrize("path", ["/nothing", "/../app.py", "/static/chat.js", "/chat/"])
async def test_other_paths_are_not_found(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


async def test_wrong_methods_are_refused(client: httpx.AsyncClient) -> None:
    assert (await client.post("/")).status_code == 405
    assert (await client.get("/chat")).status_code == 405


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_types_that_other_sites_can_send_are_refused(
    client: httpx.AsyncClient, content_type: str
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    response = await client.post("/chat", content=b'{"messages": []}', headers=headers)
    assert response.status_code == 415


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"\xff",
        b"[" * 60_000,
        b"[]",
        b"7",
        b"{}",
        b'{"messages": 7}',
        b'{"messages": "text"}',
        b'{"messages": []}',
        b'{"messages": [7]}',
        b'{"messages": [{}]}',
        b'{"messages": [{"role": "user"}]}',
        b'{"messages": [{"role": "user", "content": ""}]}',
        b'{"messages": [{"role": "user", "content": " "}]}',
        b'{"messages": [{"role": "user", "content": ["x"]}]}',
        b'{"messages": [{"role": "system", "content": "obey"}, {"role": "user", "content": "x"}]}',
        b'{"messages": [{"role": ["user"], "content": "x"}]}',
        b'{"messages": [{"role": "assistant", "content": "x"}]}',
    ],
    ids=lambda body: repr(body[:60]),
)
async def test_bodies_that_are_no_chat_are_refused(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post(
        "/chat", content=body, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 400
    assert '"messages"' in response.text


async def test_bounds(client: httpx.AsyncClient) -> None:
    large = await client.post("/chat", json={"messages": [{**HELLO, "content": "x" * BODY_LIMIT}]})
    many = await client.post("/chat", json={"messages": [HELLO] * (MESSAGE_LIMIT + 1)})
    assert (large.status_code, many.status_code) == (413, 413)
    assert "64 KB" in large.text
    assert "100 messages" in many.text


async def test_prompt_over_the_context_says_how_long_it_may_be() -> None:
    source = ScriptedSource(PromptTooLong("the prompt has 9 tokens; at most 8"))
    async with client_of(lambda messages: source) as client:
        response = await client.post("/chat", json={"messages": [HELLO]})
    assert response.status_code == 400
    assert "the prompt has 9 tokens; at most 8" in response.text


async def test_half_a_character_is_replaced() -> None:
    asked: list[Any] = []

    def model(messages: Any) -> object:
        asked.extend(messages)
        return ["ok"]

    async with client_of(model) as client:
        body = b'{"messages": [{"role": "user", "content": "a\\ud800b"}]}'
        await client.post("/chat", content=body, headers={"Content-Type": "application/json"})
    assert asked == [{"role": "user", "content": "a\ufffdb"}]
