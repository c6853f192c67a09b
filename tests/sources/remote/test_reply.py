"""The same parts at every split of an upstream's bytes, and no end for one that is cut."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.needs import need_module
from tokenstream.errors import UpstreamError
from tokenstream.parts import Reasoning, ToolCall

need_module("httpx")

from tokenstream.sources.remote.reply import reply_of
from tokenstream.sources.remote.secrets import Secrets

from .upstream import anthropic, chunk, frames

CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
OPENAI = b": hello\n\n" + frames(
    chunk("Hé \u2028"),
    chunk(None, choices=[{"index": 0, "delta": {"reasoning_content": "hm"}}]),
    chunk(None, choices=[{"index": 0, "delta": {"tool_calls": [CALL]}}]),
    chunk("\ud83d\ude00"),
    chunk(finish="stop"),
    "[DONE]",
)
REPLIES = {"openai-chat": OPENAI, "anthropic": anthropic("Hé", "\u2028 lo")}
NOTHING = Secrets(None)

each = pytest.mark.parametrize("protocol", REPLIES)


def read(protocol: str, pieces: list[bytes]) -> list[object]:
    reply = reply_of(protocol, NOTHING)
    parts = [part for piece in pieces for part in reply.feed(piece)]
    reply.end()
    return parts


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cuts), len(data)]
    return [data[a:b] for a, b in pairwise(places)]


@each
@given(data=st.data())
def test_any_split_gives_the_same(protocol, data):
    whole = REPLIES[protocol]
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=30))
    assert read(protocol, pieces_of(whole, cuts)) == read(protocol, [whole])


@each
def test_byte_by_byte(protocol):
    whole = REPLIES[protocol]
    assert read(protocol, [bytes([it]) for it in whole]) == read(protocol, [whole])


def test_what_it_says():
    parts = read("openai-chat", [OPENAI])
    assert parts[:4] == ["Hé \u2028", Reasoning("hm"), ToolCall(0, "c", "f", "{}"), "😀"]


@each
def test_a_reply_that_is_cut_anywhere_is_never_whole(protocol):
    whole = REPLIES[protocol]
    # The end of a reply that has its finish reason is where some servers leave.
    terminal = whole.index(b'"finish_reason": "stop"') if protocol == "openai-chat" else len(whole)
    for end in range(min(terminal, len(whole) - 1)):
        reply = reply_of(protocol, NOTHING)
        list(reply.feed(whole[:end]))
        with pytest.raises(UpstreamError, match="in the middle"):
            reply.end()


@each
@given(data=st.binary().filter(lambda data: b"[DONE]" not in data))  # it is an empty reply
def test_any_bytes_give_parts_or_an_upstream_error(protocol, data):
    reply = reply_of(protocol, NOTHING)
    with pytest.raises(UpstreamError) as raised:
        list(reply.feed(data))
        reply.end()
    assert raised.value.status == (None if reply.begun else 502)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
NAMES = ["choices", "delta", "content", "usage", "tool_calls", "finish_reason", "index", "function"]
NAMES += ["type", "content_block", "message", "text", "stop_reason", "id", "name", "arguments"]
documents = st.recursive(
    json_values | st.sampled_from(["stop", "text_delta", "content_block_delta", "message_delta"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=12,
)


@each
@given(document=documents)
def test_any_json_gives_parts_or_an_upstream_error(protocol, document):
    reply = reply_of(protocol, NOTHING)
    try:
        list(reply.feed(b"data: " + json.dumps(document).encode() + b"\n\n"))
        reply.end()
    except UpstreamError:
        pass


def test_the_parts_before_a_fault_are_given():
    reply = reply_of("openai-chat", NOTHING)
    parts = []
    with pytest.raises(UpstreamError):
        for part in reply.feed(frames(chunk("a"), chunk("b"), "{")):
            parts.append(part)
    assert parts == ["a", "b"]


@pytest.mark.parametrize("nothing", [None, False, "", {}])
def test_an_error_that_says_nothing_is_none(nothing):
    data = frames(chunk("a") | {"error": nothing}, chunk(finish="stop"), "[DONE]")
    assert read("openai-chat", [data])[0] == "a"
