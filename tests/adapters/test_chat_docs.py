"""What docs/chat-endpoints.md says, run as it stands: each app is asked by its client."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
import uvicorn
from django.core.wsgi import get_wsgi_application

from ..needs import need_checkout, need_module
from ..snippets import python_blocks

need_checkout()
openai = need_module("openai")

PAGE = "docs/chat-endpoints.md"
BLOCKS = {
    name: "".join(block for block in python_blocks(PAGE) if word in block)
    for name, word in {
        "django": "tokenstream_django",
        "flask": "tokenstream_flask",
        "fastapi": "tokenstream_starlette",
        "starlette": "starlette.applications",
        "asgi": "tokenstream_asgi",
        "client": "import OpenAI",
    }.items()
}


class Both:
    def __iter__(self) -> Iterator[str]:
        yield from ["hello", " there"]

    async def __aiter__(self) -> AsyncIterator[str]:
        for token in self:
            yield token


class Llm:
    def stream(self, messages: list[dict[str, str]], max_new_tokens: int | None) -> Both:
        assert (messages[0]["content"], max_new_tokens) == ("Hello", None)
        return Both()


def names_of(*blocks: str) -> dict[str, Any]:
    names: dict[str, Any] = {"llm": Llm(), "__name__": "page"}
    for block in blocks:
        exec(compile(BLOCKS[block], PAGE, "exec"), names)
    return names


class Silent(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def over_wsgi() -> Iterator[Any]:
    servers: list[Any] = []

    def serve(app: Any) -> int:
        servers.append(make_server("127.0.0.1", 0, app, handler_class=Silent))
        threading.Thread(target=servers[0].serve_forever, daemon=True).start()
        return int(servers[0].server_port)

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def over_asgi() -> Iterator[Any]:
    from ..clients.serving import listening

    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def serve(app: Any) -> int:
        sock = listening()
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([sock],), daemon=True)
        thread.start()
        running.append((server, thread))
        return int(sock.getsockname()[1])

    yield serve
    for server, thread in running:
        server.should_exit = True
        thread.join()


def assert_answered(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{port}"
    block = BLOCKS["client"].replace("http://127.0.0.1:8000", url)
    assert block.count(url) == 1
    names: dict[str, Any] = {}
    exec(compile(block, PAGE, "exec"), names)
    assert capsys.readouterr().out == "hello there\nhello there"
    client = names["client"]
    assert [model.id for model in client.models.list()] == ["my-model"]
    assert client.models.retrieve("my-model").id == "my-model"
    client.close()


def test_django(settings: Any, over_wsgi: Any, capsys: pytest.CaptureFixture[str]) -> None:
    settings.ROOT_URLCONF = tuple(names_of("django")["urlpatterns"])
    assert_answered(over_wsgi(get_wsgi_application()), capsys)


def test_flask(over_wsgi: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert_answered(over_wsgi(names_of("flask")["app"]), capsys)


@pytest.mark.parametrize("name", ["fastapi", "starlette", "asgi"])
def test_over_asgi(name: str, over_asgi: Any, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = ["fastapi", "starlette"] if name == "starlette" else [name]
    assert_answered(over_asgi(names_of(*blocks)[f"{name}_app"]), capsys)


def test_the_key_is_looked_at(over_asgi: Any) -> None:
    port = over_asgi(names_of("fastapi")["fastapi_app"])
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="x", max_retries=0)
    with client, pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "a"}])
