"""The ASGI transport streams, in lock-step, and a closed response is a reader that left."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tokenstream.testing import read_stream
from tokenstream.testing.transport import ASGITransport

HEADERS = [(b"content-type", b"text/event-stream")]


def client(app):
    return httpx.AsyncClient(transport=ASGITransport(app), base_url="http://test")


async def start(send, status=200):
    await send({"type": "http.response.start", "status": status, "headers": HEADERS})


def body(data, more=True):
    return {"type": "http.response.body", "body": data, "more_body": more}


async def test_the_app_is_never_ahead_of_the_test():
    sent = []

    async def app(scope, receive, send):
        await start(send)
        for n in range(5):
            await send(body(b"data: %d\n\n" % n))
            sent.append(n)
        await send(body(b"", more=False))

    async with client(app) as http, http.stream("GET", "/") as response:
        seen = 0
        async for event in read_stream(response):
            assert event.data == str(seen)
            assert len(sent) <= seen
            seen += 1
    assert seen == 5


async def test_what_the_app_sees_of_the_request():
    seen = {}

    async def app(scope, receive, send):
        seen.update(scope, body=await receive())
        await start(send, 418)
        await send(body(b"", more=False))

    async with client(app) as http:
        response = await http.post("/a%20b?q=1", content=b"hi", headers={"X-Own": "2"})
    assert response.status_code == 418
    assert seen["method"] == "POST"
    assert seen["path"] == "/a b"
    assert seen["raw_path"] == b"/a%20b"
    assert seen["query_string"] == b"q=1"
    assert (b"x-own", b"2") in seen["headers"]
    assert seen["body"] == {"type": "http.request", "body": b"hi", "more_body": False}


async def test_closing_the_response_is_a_disconnect():
    log = asyncio.Queue()

    async def app(scope, receive, send):
        await receive()
        await start(send)
        await send(body(b"data: a\n\n"))
        await log.put(await receive())
        await send(body(b"data: nobody\n\n"))  # harmless, as servers do
        await log.put("ended")

    async with client(app) as http, http.stream("GET", "/") as response:
        async for _ in read_stream(response, limit=1):
            pass
    assert await log.get() == {"type": "http.disconnect"}
    assert await log.get() == "ended"


@pytest.mark.parametrize("when", ["before", "within"])
async def test_what_the_app_raises_is_raised(when):
    async def app(scope, receive, send):
        if when == "within":
            await start(send)
            await send(body(b"data: a\n\n"))
        raise ValueError("in the app")

    async with client(app) as http:
        with pytest.raises(ValueError, match="in the app"):
            async with http.stream("GET", "/") as response:
                await read_stream(response).aread()


async def test_an_app_that_sends_nothing():
    async def app(scope, receive, send):
        pass

    async with client(app) as http:
        with pytest.raises(RuntimeError, match="the app sent no response"):
            await http.get("/")
