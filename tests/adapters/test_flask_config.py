"""Defaults from the app's config."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from flask import Flask

from tokenstream import Result, Text, TokenStream
from tokenstream.errors import InvalidOption, UnknownWire
from tokenstream.testing import WAIT, FakeClock, ScriptedSource, read_stream
from tokenstream_flask import TokenStreamResponse, token_stream
from tokenstream_flask.config import OPTIONS, options_for

EVENTS = {"Accept": "text/event-stream"}


def served(config: dict[str, Any], view: Any) -> Any:
    app = Flask(__name__)
    app.testing = True
    app.config.update(config)
    app.add_url_rule("/", "view", view)
    return app.test_client()


def both(config: dict[str, Any], *args: Any, **options: Any) -> list[Any]:
    """Return clients of the same stream, from the response and from the decorator."""
    return [
        served(config, lambda: TokenStreamResponse(["a"], *args, **options)),
        served(config, token_stream(*args, **options)(lambda: ["a"])),
    ]


def test_every_option_has_a_key() -> None:
    keywords = {
        name
        for name, parameter in inspect.signature(TokenStream).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    assert keywords - {"host"} | {"wire", "on_reconnect"} == OPTIONS
    config = {f"TOKENSTREAM_{name.upper()}": "refuse" for name in OPTIONS}
    assert options_for(config, {}) == dict.fromkeys(OPTIONS, "refuse")


@pytest.mark.parametrize("wire", ["text", Text()])
def test_the_wire(wire: Any) -> None:
    text = b"data: a\n\ndata: [DONE]\n\n"
    for client in both({"TOKENSTREAM_WIRE": wire}):
        assert client.get("/").data == text
    for client in both({"TOKENSTREAM_WIRE": "json"}, "text"):
        assert client.get("/").data == text
    for client in both({"TOKENSTREAM_WIRE": "text"}, wire="json"):
        assert client.get("/").data == b'data: {"token":"a"}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize(
    "config, options, seconds",
    [
        ({}, {}, 15),
        ({"TOKENSTREAM_KEEP_ALIVE": 40}, {}, 40),
        ({"TOKENSTREAM_KEEP_ALIVE": 40}, {"keep_alive": 5}, 5),
        ({"TOKENSTREAM_KEEP_ALIVE": None}, {"keep_alive": 5}, 5),
    ],
)
def test_keep_alive(config: dict[str, Any], options: dict[str, Any], seconds: int) -> None:
    source = ScriptedSource("a", WAIT, "b")
    with FakeClock() as clock:
        client = served(config, lambda: TokenStreamResponse(source, "text", **options))
        response = client.get("/")
        chunks = iter(response.iter_encoded())
        assert next(chunks) == b"data: a\n\n"
        clock.advance(seconds - 0.5)
        source.release()
        assert next(chunks).startswith(b"data: b")
    response.close()
    source = ScriptedSource("a", WAIT, "b")
    with FakeClock() as clock:
        response = client.get("/")
        chunks = iter(response.iter_encoded())
        assert next(chunks) == b"data: a\n\n"
        clock.advance(seconds)
        assert next(chunks).startswith(b":")
    source.release()
    response.close()


def test_none_in_a_call_is_a_choice() -> None:
    source = ScriptedSource("a")
    client = served(
        {"TOKENSTREAM_KEEP_ALIVE": 5}, lambda: TokenStreamResponse(source, keep_alive=None)
    )
    client.get("/").close()
    assert "tokenstream-pump" not in source.threads


def test_source_timeout() -> None:
    source = ScriptedSource("a", WAIT, "b")
    with FakeClock() as clock:
        client = served({"TOKENSTREAM_SOURCE_TIMEOUT": 3}, lambda: TokenStreamResponse(source))
        response = client.get("/")
        clock.advance(3)
        assert read_stream(response).read().error == '{"error":"generation timed out"}'
    source.release()


def test_on_finish_and_on_error() -> None:
    seen: list[Result] = []
    config = {"TOKENSTREAM_ON_FINISH": seen.append, "TOKENSTREAM_ON_ERROR": lambda error: "no"}
    client = served(config, lambda: TokenStreamResponse(ScriptedSource("a", ValueError())))
    assert read_stream(client.get("/")).read().error == '{"error":"no"}'
    assert [result.outcome for result in seen] == ["failed"]


def test_on_reconnect() -> None:
    back = EVENTS | {"Last-Event-ID": "run"}
    for client in both({"TOKENSTREAM_ON_RECONNECT": "rerun"}):
        assert read_stream(client.get("/", headers=back)).read().text == "a"
    for client in both({"TOKENSTREAM_ON_RECONNECT": "rerun"}, on_reconnect="refuse"):
        assert read_stream(client.get("/", headers=back)).read().error


def test_an_unknown_key_is_told_with_the_first_stream() -> None:
    words = r"'TOKENSTREAM_KEEPALIVE': known are .*TOKENSTREAM_KEEP_ALIVE"
    for client in both({"TOKENSTREAM_KEEPALIVE": 5}):
        with pytest.raises(InvalidOption, match=words):
            client.get("/")


def test_a_value_that_means_nothing_is_told_with_the_first_stream() -> None:
    for client in both({"TOKENSTREAM_KEEP_ALIVE": -1}):
        with pytest.raises(InvalidOption, match="keep_alive=-1"):
            client.get("/")
    for client in both({"TOKENSTREAM_WIRE": "jsn"}):
        with pytest.raises(UnknownWire, match="json, text"):
            client.get("/")


def test_other_keys_are_not_ours() -> None:
    for client in both({"TOKENSTREAMS": 1, "MY_TOKENSTREAM_KEEP_ALIVE": -1}):
        assert read_stream(client.get("/")).read().text == "a"
