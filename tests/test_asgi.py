"""The watch on `receive()`; the rest is tested with the adapters that share it."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import weakref
from types import SimpleNamespace
from typing import Any

import pytest

from tokenstream import asgi
from tokenstream.asgi import BODY_BUFFER, Message, Watch, byte_limit, read_body, request_of
from tokenstream.errors import BodyDropped


class Receive:
    """A server's `receive()`: what is put in comes out, and how much was taken is known."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        self.taken = 0

    async def __call__(self) -> Message:
        message = await self.messages.get()
        self.taken += 1
        return message

    def body(self, data: bytes, *, more: bool = False) -> None:
        self.messages.put_nowait({"type": "http.request", "body": data, "more_body": more})

    def disconnect(self) -> None:
        self.messages.put_nowait({"type": "http.disconnect"})


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_handler_reads_the_body_from_the_copy() -> None:
    receive = Receive()
    receive.body(b"he", more=True)
    receive.body(b"llo")
    async with Watch(receive) as watch:
        assert await read_body(watch.receive) == b"hello"


async def test_leaving_is_told_at_once_and_stays_told() -> None:
    receive = Receive()
    left: list[str] = []
    async with Watch(receive) as watch:
        watch.when_left(lambda: left.append("early"))
        waiting = asyncio.create_task(watch.receive())
        await settled()
        assert not watch.left
        receive.disconnect()
        assert (await waiting)["type"] == "http.disconnect"
        assert watch.left
        assert left == ["early"]
        watch.when_left(lambda: left.append("late"))
        assert left == ["early", "late"]
        assert (await watch.receive())["type"] == "http.disconnect"


async def test_the_copy_is_bounded() -> None:
    receive = Receive()
    for _ in range(100):
        receive.body(b"x" * 4096, more=True)
    async with Watch(receive) as watch:
        await settled()
        assert receive.taken == BODY_BUFFER // 4096
        for _ in range(50):
            await watch.receive()
            await settled()
        assert 50 <= receive.taken <= 50 + BODY_BUFFER // 4096


async def test_a_receive_that_raises_is_a_reader_that_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def receive() -> Message:
        raise RuntimeError("a broken server")

    async with Watch(receive) as watch:
        assert (await watch.receive())["type"] == "http.disconnect"
    assert "a broken server" in caplog.text


async def test_two_that_wait_for_the_body_both_hear_of_what_comes() -> None:
    receive = Receive()
    async with Watch(receive) as watch:
        waiting = [asyncio.create_task(watch.receive()) for _ in range(2)]
        await settled()
        receive.body(b"a")
        receive.disconnect()
        messages = await asyncio.wait_for(asyncio.gather(*waiting), 10)
        assert sorted(message["type"] for message in messages) == [
            "http.disconnect",
            "http.request",
        ]


async def test_the_watch_ends_with_the_request() -> None:
    before = asyncio.all_tasks()
    async with Watch(Receive()):
        await settled()
        assert len(asyncio.all_tasks() - before) == 1
    await settled()
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    "accept, expected",
    [
        ("text/event-stream", True),
        ("Text/Event-Stream; q=0.5, */*", True),
        ("text/event-stream;q=0", False),
        ("*/*", False),
        ("application/json", False),
        ("", False),
    ],
)
def test_what_accepts_events(accept: str, expected: bool) -> None:
    scope: dict[str, Any] = {"method": "GET", "headers": [(b"Accept", accept.encode())]}
    assert request_of(scope).accepts_events is expected


def test_a_header_that_is_not_text_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    scope = {"method": "GET", "headers": [(b"last-event-id", b"\xff\xfe")]}
    with caplog.at_level(logging.DEBUG):
        assert request_of(scope).last_event_id == "\xff\xfe"


async def test_a_reader_that_leaves_behind_an_unread_body_is_seen_once_the_stream_begins() -> None:
    receive = Receive()
    for _ in range(100):
        receive.body(b"x" * 4096, more=True)
    receive.disconnect()
    async with Watch(receive) as watch:
        await settled()
        assert not watch.left
        watch.drop_body()
        await settled()
        assert watch.left
        for _ in range(BODY_BUFFER // 4096):
            assert (await watch.receive())["body"] == b"x" * 4096
        with pytest.raises(BodyDropped, match="read it first"):
            await watch.receive()


# The server is told from others by what runs in its process; `servers/` has the real one.


@pytest.mark.parametrize("running", [True, False, None])
@pytest.mark.parametrize("imported", [True, False])
def test_only_under_daphne_is_there_a_limit(
    imported: bool,
    running: bool | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    asgi._warn_once.cache_clear()
    modules = {"daphne.server": object(), "twisted.internet.reactor": SimpleNamespace()}
    modules["twisted.internet.reactor"].running = running
    for name, module in modules.items():
        monkeypatch.delitem(sys.modules, name, raising=False)
        if imported if name == "daphne.server" else running is not None:
            monkeypatch.setitem(sys.modules, name, module)
    limited = imported and bool(running)
    assert byte_limit() == byte_limit() == (8 * 1024 * 1024 if limited else None)
    assert len(caplog.records) == limited  # once a process
    assert ("uvicorn" in caplog.text) is limited


async def test_it_is_freed_without_the_collector() -> None:
    """A cycle would keep what leaves with it: the stream, and its whole text."""
    gc.disable()
    try:
        leaving = Leaving()
        async with Watch(Receive()) as watch:
            watch.when_left(leaving)
            await settled()
        held = weakref.ref(leaving)
        del leaving, watch
        await settled()
        assert held() is None
    finally:
        gc.enable()


class Leaving:
    def __call__(self) -> None:
        """Do nothing."""
