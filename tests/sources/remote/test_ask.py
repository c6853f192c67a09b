"""The request that is made of a call, and what is refused before anything is sent."""

from __future__ import annotations

import json

import pytest

from tests.needs import need_module
from tokenstream.errors import InvalidOption

need_module("httpx")

from tokenstream.sources.remote.ask import ask

HELLO = [{"role": "user", "content": "Hello"}]
KEY = "sk-secret-1234567890"


def asked(url="https://api.example.com/v1", messages=HELLO, params=None, **options):
    options = {"model": "m", "api_key": KEY, "api": "openai", "headers": None, **options}
    return ask(url, messages, params=params or {}, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"url": "api.example.com"},
        {"url": "ftp://api.example.com"},
        {"url": f"https://user:{KEY}@api.example.com"},
        {"url": f"https://api.example.com?key={KEY}"},
        {"url": 5},
        {"messages": "Hello"},
        {"messages": []},
        {"messages": ["Hello"]},
        {"model": ""},
        {"model": None},
        {"api": "gemini"},
        {"api_key": KEY + "\n"},
        {"api_key": "sk-\u2026" + KEY},
        {"api_key": KEY.encode()},
        {"headers": {"x-key": KEY + "\r\nHost: evil"}},
        {"headers": {"x-key": 5}},
        {"params": {"stream": False}},
        {"params": {"seed": {1, 2}}},
        {"params": {"seed": float("nan")}},
    ],
    ids=str,
)
def test_what_is_refused_shows_no_key(options):
    with pytest.raises(InvalidOption) as raised:
        asked(**options)
    assert KEY not in str(raised.value)


def test_counts_are_asked_for_unless_told_otherwise():
    def options(**params):
        return json.loads(asked(params=params).body).get("stream_options")

    assert options() == {"include_usage": True}
    assert options(stream_options={"include_usage": False}) == {"include_usage": True}
    assert options(stream_options={"x": 1}) == {"x": 1, "include_usage": True}
    assert options(stream_options=None) is None


def test_without_a_key():
    assert "authorization" not in asked(api_key=None).headers
    assert "authorization" not in asked(api_key="").headers


def test_nothing_of_it_is_in_a_repr():
    assert KEY not in repr(asked(headers={"x": KEY}))


def test_what_openais_messages_have_no_place_for_stays_here():
    said = {"role": "assistant", "content": "a"}
    result = {"role": "tool", "tool_call_id": "c", "content": "b"}
    thought = {"thinking_blocks": [{"type": "thinking"}], "reasoning_content": "t"}
    messages = [*HELLO, said | thought, result | {"is_error": True}]
    assert json.loads(asked(messages=messages).body)["messages"] == [*HELLO, said, result]
    assert messages == [*HELLO, said | thought, result | {"is_error": True}]
