"""The chat endpoints under real servers, asked by OpenAI's own client."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from ..needs import need_module
from .client import WATCHDOG, Visit, wait_until
from .conftest import Farm
from .sites import ALL, FULL, Site

openai = need_module("openai")

SMALL = {
    "gunicorn-gthread-django",
    "gunicorn-gthread-flask",
    "uvicorn-h11-starlette",
    "uvicorn-httptools-asgi",
    "uvicorn-httptools-django",
    "uvicorn-httptools-fastapi",
}

SITES = ALL if FULL else [site for site in ALL if str(site) in SMALL]
HI: Any = [{"role": "user", "content": "hi"}]

kinds = pytest.mark.parametrize("kind", ["sync", "async"])
both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


@pytest.fixture(params=SITES, ids=str)
def site(request: pytest.FixtureRequest) -> Site:
    site: Site = request.param
    return site


@pytest.fixture
def client(visit: Visit) -> Iterator[Any]:
    query = dict(httpx.QueryParams(visit.target("/").partition("?")[2]))
    with openai.OpenAI(
        base_url=visit.url + "/v1",
        api_key="k",
        max_retries=0,
        timeout=WATCHDOG,
        default_query=query,
        _strict_response_validation=True,
    ) as client:
        yield client


def test_the_models(client: Any) -> None:
    assert [model.id for model in client.models.list()] == ["async/two", "sync/two"]
    assert client.models.retrieve("async/two").id == "async/two"
    with pytest.raises(openai.NotFoundError, match="no model is named"):
        client.models.retrieve("other")


@kinds
def test_a_whole_reply(client: Any, visit: Visit, kind: str) -> None:
    reply = client.chat.completions.create(model=f"{kind}/two", messages=HI)
    assert reply.model == f"{kind}/two"
    [choice] = reply.choices
    assert (choice.message.content, choice.finish_reason) == ("t0t1", "stop")
    wait_until(lambda: len(visit.results()) == 1, "the stream is over")
    [result] = visit.results()
    assert (result["outcome"], result["parts"]) == ("completed", 2)
    assert result["bytes_sent"] > 100


@kinds
def test_a_stream_in_lock_step(client: Any, visit: Visit, kind: str) -> None:
    seen = []
    with client.chat.completions.stream(model=f"{kind}/five", messages=HI) as stream:
        for event in stream:
            if event.type != "content.delta" or not event.delta:
                continue
            seen.append(event.delta)
            assert visit.state()["yielded"] == len(seen)
            visit.release()
        assert stream.get_final_completion().choices[0].finish_reason == "stop"
    assert seen == ["t0", "t1", "t2", "t3", "t4"]


@both
@kinds
def test_what_fails_before_the_first_part(
    client: Any, farm: Farm, site: Site, kind: str, stream: bool
) -> None:
    create = client.chat.completions.create
    with pytest.raises(openai.RateLimitError, match="overloaded") as refused:
        create(model=f"{kind}/refused", messages=HI, stream=stream)
    assert refused.value.response.headers["retry-after"] == "7"
    with pytest.raises(openai.InternalServerError, match="generation failed") as failed:
        create(model=f"{kind}/secret-before", messages=HI, stream=stream)
    assert "canary" not in failed.value.response.text
    with pytest.raises(openai.BadRequestError, match="messages") as wrong:
        create(model=f"{kind}/two", messages=[], stream=stream)
    assert wrong.value.param == "messages"
    printed: list[str] = []

    def is_logged() -> bool:
        printed.append(farm.outputs()[str(site)])
        return "scripts.Secret: canary" in "".join(printed)

    wait_until(is_logged, "the failure was logged")
    assert "".join(printed).count("scripts.Secret: canary") == 1


@kinds
def test_what_fails_after_it_is_still_an_error_of_a_whole_reply(client: Any, kind: str) -> None:
    with pytest.raises(openai.InternalServerError, match="generation failed"):
        client.chat.completions.create(model=f"{kind}/secret-after", messages=HI)


@pytest.mark.parametrize(
    "model, yielded",
    [("async/late", 0), ("async/endless", 1), ("async/talking", 1), ("sync/talking", 1)],
)
def test_a_reader_that_leaves_before_its_reply_is_whole(
    site: Site, visit: Visit, model: str, yielded: int
) -> None:
    if not site.sees_leaving:
        pytest.skip("this server does not show that a reader has left, and nothing is written")
    with asking(visit, model=model):
        wait_until(lambda: visit.state()["started"] == 1, "the source was started")
        wait_until(lambda: visit.state()["yielded"] >= yielded, "the source has begun")
        assert visit.state()["closed"] == 0
    wait_until(lambda: visit.state()["closed"] == 1, "the source was closed")
    wait_until(lambda: len(visit.results()) == 1, "the stream is over")
    [result] = visit.results()
    assert (result["outcome"], result["bytes_sent"]) == ("disconnected", 0)


@contextmanager
def asking(visit: Visit, **fields: Any) -> Iterator[None]:
    """Ask for a whole reply, and leave."""
    url = httpx.URL(visit.url)
    body = json.dumps({"messages": HI, **fields})
    target = visit.target("/v1/chat/completions")
    head = f"POST {target} HTTP/1.1\r\nHost: {url.host}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((url.host, url.port or 80), timeout=WATCHDOG) as connection:
        connection.sendall((head + body).encode())
        yield
