"""What docs/asgi.md says, run as it stands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tokenstream.testing import Transcript, read_stream
from tokenstream.testing.transport import ASGITransport

from ..needs import need_checkout
from ..snippets import run_page

need_checkout()


async def model(question: str) -> AsyncIterator[str]:
    yield "You asked: "
    yield question


@pytest.fixture
def page() -> dict[str, Any]:
    return run_page("docs/asgi.md", model=model)


def client(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=ASGITransport(app), base_url="http://test")


async def read(app: Any, method: str, path: str, **options: Any) -> tuple[int, Transcript]:
    async with client(app) as http, http.stream(method, path, **options) as response:
        return response.status_code, await read_stream(response).aread()


@pytest.mark.parametrize("name", ["app", "checked", "routes", "kept"])
async def test_each_app_streams(page: dict[str, Any], name: str) -> None:
    status, transcript = await read(page[name], "POST", "/", content=b"why?")
    assert status == 200
    assert transcript.tokens == ["You asked: ", "why?"]
    assert transcript.done


async def test_a_body_over_the_limit_is_413(page: dict[str, Any]) -> None:
    async with client(page["app"]) as http:
        response = await http.post("/", content=b"x" * ((64 << 10) + 1))
    assert response.status_code == 413


async def test_a_finished_response_is_passed_through(page: dict[str, Any]) -> None:
    async with client(page["checked"]) as http:
        assert (await http.get("/")).status_code == 405


async def test_the_response_in_an_app_of_ones_own(
    page: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    async with client(page["routes"]) as http, http.stream("GET", "/hello") as response:
        assert response.headers["x-model"] == "m"
        transcript = await read_stream(response).aread()
    assert transcript.data == ["You asked: ", "Hello", "[DONE]"]
    assert capsys.readouterr().out.startswith("completed You asked: Hello ")
