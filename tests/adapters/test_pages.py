"""Every Python block of the README and of the pages that belong to no one adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from tokenstream import TokenStream
from tokenstream.testing import read_stream
from tokenstream.testing.transport import ASGITransport
from tokenstream.wires import ChatRequest
from tokenstream_asgi import chat_endpoint

from ..needs import need_module
from ..snippets import python_blocks, run_page


class Both:
    """Tokens for `for` and `async for`, as `TransformersSource.stream` gives them."""

    def __init__(self, question: str) -> None:
        self._tokens = ["You asked: ", question]

    def __iter__(self) -> Iterator[str]:
        yield from self._tokens

    async def __aiter__(self) -> AsyncIterator[str]:
        for token in self._tokens:
            yield token


class Llm:
    """What the README calls `llm`."""

    def stream(self, question: str) -> Both:
        return Both(question)


def readme_block(word: str) -> dict[str, Any]:
    [block] = [block for block in python_blocks("README.md") if word in block]
    namespace: dict[str, Any] = {"__name__": "readme", "llm": Llm()}
    exec(compile(block, "README.md", "exec"), namespace)
    return namespace


async def posted(app: Any, **body: Any) -> str:
    async with httpx.AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        transcript = read_stream(await client.post("/chat", **body)).read()
    assert transcript.done
    return transcript.text


def test_the_readme_has_a_block_for_each_framework_and_each_kind_of_model() -> None:
    assert len(python_blocks("README.md")) == 6


def test_django(serve: Any, client: Any) -> None:
    path = serve(readme_block("tokenstream_django")["chat"])
    transcript = read_stream(client.post(path, {"q": "why?"})).read()
    assert (transcript.text, transcript.done) == ("You asked: why?", True)


def test_flask() -> None:
    client = readme_block("tokenstream_flask")["app"].test_client()
    transcript = read_stream(client.post("/chat", json={"q": "why?"})).read()
    assert (transcript.text, transcript.done) == ("You asked: why?", True)


async def test_fastapi() -> None:
    app = readme_block("tokenstream_starlette")["app"]
    assert await posted(app, json={"q": "why?"}) == "You asked: why?"


async def test_asgi() -> None:
    app = readme_block("tokenstream_asgi")["app"]
    assert await posted(app, content=b"why?") == "You asked: why?"


def test_the_model_says_what_to_do_where_there_is_none() -> None:
    need_module("transformers")
    block = next(b for b in python_blocks("README.md") if "from_pretrained" in b)
    with pytest.raises(OSError, match="path/to/SmolLM2-135M-Instruct"):
        exec(compile(block, "README.md", "exec"), {})


def test_a_remote_api() -> None:
    need_module("uvicorn")
    from ..clients.serving import AppServer

    [block] = [block for block in python_blocks("README.md") if "stream_chat" in block]
    namespace: dict[str, Any] = {}
    with AppServer(chat_endpoint("openai-chat", lambda ask: ["Hel", "lo"])) as server:
        here = block.replace("http://127.0.0.1:8001/v1", server.url)
        exec(compile(here, "README.md", "exec"), namespace)
        asked = ChatRequest(messages=[{"role": "user", "content": "Hi"}])
        frames = b"".join(TokenStream(namespace["answer"](asked), "text"))
    assert frames == b"data: Hel\n\ndata: lo\n\ndata: [DONE]\n\n"


async def test_the_page_on_starlette() -> None:
    namespace = run_page("docs/starlette.md", model=lambda question: ["Hello ", question])
    transport = ASGITransport(namespace["app"])
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for path in ("decorated", "returned", "stored"):
            if path == "decorated":
                namespace["model"] = lambda question: Both(question)
            else:
                namespace["model"] = lambda question: ["Hello ", question]
            response = await client.post(f"/{path}", params={"question": "you"})
            assert read_stream(response).read().text.endswith("you"), path
        response = await client.get("/steps", params={"question": "you"})
    step, answer = read_stream(response).read().events
    assert (step.event, step.data, step.id) == ("step", "reading", "1")
    assert (answer.event, answer.data) == ("answer", '{"question":"you"}')


def test_the_page_on_testing() -> None:
    run_page("docs/testing.md")
