"""A browser's own EventSource, which comes back by itself: never a second run."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from tokenstream import WireName, sse
from tokenstream.asgi import Message, Receive, Scope, Send, request_of, send_whole
from tokenstream.reconnect import Answer
from tokenstream.testing import WAIT, AsyncScriptedSource
from tokenstream_asgi import token_stream

from ..needs import need_module
from .serving import HTML, Relay, serve

need_module("playwright.sync_api")
from playwright.sync_api import Page

WATCHDOG_SECONDS = 20

PAGE = b"""<!doctype html><title>EventSource</title><script>
const seen = [];
const source = new EventSource("/events");
source.onmessage = ({data, lastEventId}) => seen.push({data, lastEventId});
source.addEventListener("error", ({data, lastEventId}) => {
  if (data !== undefined) seen.push({error: data, lastEventId});
});
</script>"""


@dataclass
class EventsApp:
    """A page with an EventSource, its endpoint, and what the endpoint was asked and answered."""

    source: AsyncScriptedSource
    wire: WireName
    last_event_ids: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    runs: int = 0

    def __post_init__(self) -> None:
        @token_stream(self.wire)
        async def events(scope: Scope, receive: Receive) -> object:
            self.runs += 1
            return self.source

        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/events":
            await self._page(scope, receive, send)
            return

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.statuses.append(message["status"])
            await send(message)

        self.last_event_ids.append(request_of(scope).last_event_id)
        await self._events(scope, receive, noting)

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send_whole(send, Answer(200, HTML, PAGE))
        else:
            await self._events(scope, receive, send)


def seen(page: Page) -> list[Any]:
    return page.evaluate("seen")


def wait_until_closed(page: Page) -> None:
    page.wait_for_function("source.readyState === EventSource.CLOSED")


def wait_for(page: Page, count: int) -> None:
    page.wait_for_function("count => seen.length >= count", arg=count)


WIRES = pytest.mark.parametrize("wire", ["json", "text"])


def told(wire: WireName, key: str, text: str) -> str:
    """The data of an event."""
    return json.dumps({key: text}, separators=(",", ":")) if wire == "json" else text


@WIRES
def test_comes_back_once_after_the_end_and_stops_for_good(page: Page, wire: WireName) -> None:
    # `retry` is how long the browser waits before it comes back.
    source = AsyncScriptedSource(sse.Event("first", retry=20), WAIT, "second")
    app = EventsApp(source, wire)
    with serve(app) as server:
        page.goto(server.url)
        wait_for(page, 1)
        assert source.yielded == 1
        source.release()
        wait_until_closed(page)
        first, second, end = seen(page)
        run = first["lastEventId"]
        assert first["data"] == "first"
        assert len(run) >= 16
        assert second["data"] == told(wire, "token", "second")
        assert (end["data"], end["lastEventId"]) == ("[DONE]", f"{run}.end")
        assert app.last_event_ids == ["", f"{run}.end"]
        assert app.statuses == [200, 204]
        assert app.runs == 1


@WIRES
def test_lost_connection_gets_the_error_and_never_a_second_run(page: Page, wire: WireName) -> None:
    source = AsyncScriptedSource(sse.Event("first", retry=20), WAIT, "never")
    app = EventsApp(source, wire)
    with serve(app) as server, Relay(server.url) as relay:
        page.goto(relay.url)
        wait_for(page, 1)
        relay.cut()
        assert source.closed.wait(WATCHDOG_SECONDS)
        wait_until_closed(page)
        first, lost = seen(page)
        run = first["lastEventId"]
        assert lost["error"] == told(wire, "error", "connection lost, cannot resume")
        assert lost["lastEventId"] == f"{run}.end"
        assert app.last_event_ids == ["", run, f"{run}.end"]
        assert app.statuses == [200, 200, 204]
        assert app.runs == 1
        assert source.yielded == 1


@WIRES
def test_failure_stops_it_too(page: Page, wire: WireName) -> None:
    source = AsyncScriptedSource(sse.Event("first", retry=20), RuntimeError("secret"))
    app = EventsApp(source, wire)
    with serve(app) as server:
        page.goto(server.url)
        wait_until_closed(page)
        first, failed = seen(page)
        assert failed["error"] == told(wire, "error", "generation failed")
        assert app.last_event_ids == ["", f"{first['lastEventId']}.end"]
        assert app.statuses == [200, 204]
        assert app.runs == 1
