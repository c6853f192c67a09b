"""Readers of any event stream read OpenAI's two: httpx-sse and, of npm, eventsource-parser."""

from __future__ import annotations

import json
from dataclasses import dataclass

import httpx
import pytest

from tests.needs import need_module

from .cutting import Cutter
from .node_client import run_node
from .scenarios import HOSTILE, SECRET
from .serving import ChatServer

httpx_sse = need_module("httpx_sse")

ASK = json.dumps(
    {
        "stream": True,
        "messages": [{"role": "user", "content": "hi"}],
        "prompt": "hi",
        "stream_options": {"include_usage": True},
    }
)


@dataclass
class Read:
    """data: of each event, in order. cut: whether the connection ended before the response."""

    data: list[str]
    cut: bool = False


def by_httpx_sse(url: str) -> Read:
    read = Read([])
    with httpx.Client(timeout=20) as client:
        try:
            with httpx_sse.connect_sse(client, "POST", url, content=ASK) as source:
                for event in source.iter_sse():
                    assert (event.event, event.id, event.retry) == ("message", "", None)
                    read.data.append(event.data)
        except httpx.RemoteProtocolError:
            read.cut = True
    return read


def by_eventsource_parser(url: str) -> Read:
    told = run_node("eventsource_parser.mjs", url, ASK)
    assert told["type"] == "text/event-stream; charset=utf-8"
    assert all(event.keys() <= {"data", "id", "event"} for event in told["events"])
    assert all(event.get("id") is event.get("event") is None for event in told["events"])
    assert (told["errors"], told["retries"]) == ([], [])
    assert set(told["comments"]) <= {"keep-alive"}
    assert told["cut"] in (None, "terminated")
    return Read([event["data"] for event in told["events"]], told["cut"] is not None)


READERS = pytest.mark.parametrize("read", [by_httpx_sse, by_eventsource_parser])
WIRES = ["openai-chat", "openai-completions"]


@pytest.fixture(scope="module", params=WIRES)
def server(request):
    with ChatServer(request.param) as server:
        yield server


def text_of(chunk: dict) -> str:
    (choice,) = chunk["choices"] or [{"text": ""}]
    return choice["text"] if "text" in choice else choice["delta"].get("content") or ""


def texts(read: Read) -> list[str]:
    return [text for data in read.data[:-1] if (text := text_of(json.loads(data)))]


@READERS
@pytest.mark.parametrize(
    "scenario, expected",
    [
        ("text", ["Hel", "lo", " world"]),
        ("silent", ["Hel", "lo"]),
        ("usage", ["Hello"]),
        ("hostile", [token for token in HOSTILE if token]),
        ("nothing", []),
    ],
)
def test_each_token_is_an_event_and_done_is_the_last(server, read, scenario, expected):
    got = read(f"{server.url}/{scenario}")
    assert got.data[-1] == "[DONE]"
    assert not got.cut
    assert texts(got) == expected


@READERS
def test_an_error_is_an_event_before_done(server, read):
    got = read(f"{server.url}/fails-after")
    *_, error, done = got.data
    assert json.loads(error)["error"]["message"] == "generation failed"
    assert done == "[DONE]"
    assert SECRET not in str(got)


@READERS
def test_a_stream_that_is_cut_has_no_end(server, read):
    with Cutter(server.url, b'"Hel"') as cutter:
        got = read(f"{cutter.url}/text")
    assert got.cut
    assert text_of(json.loads(got.data[-1])) == "Hel"


def test_keep_alives_go_out_in_a_silence(server):
    body = httpx.post(f"{server.url}/silent", content=ASK, timeout=20).content
    assert body.count(b": keep-alive\n\n") >= 2
    assert body.index(b": keep-alive") < body.index(b'"Hel"') < body.rindex(b": keep-alive")


def test_the_bytes_are_those_that_every_client_reads(server):
    response = httpx.post(f"{server.url}/hostile", content=ASK, timeout=20)
    assert response.content.isascii()
    assert b"\r" not in response.content
    assert all(frame.startswith(b"data: ") for frame in response.content.split(b"\n\n")[:-1])
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert "content-length" not in response.headers
