"""A reader that leaves in the middle: the upstream sees its connection closed, in each pairing."""

from __future__ import annotations

import asyncio

import pytest

from tests.needs import need_module
from tokenstream import TokenStream

from . import test_anthropic, test_openai_chat
from .scripts import ANTHROPIC, CHAT
from .upstream import Upstream, as_sse, as_sse_with_events

openai = need_module("openai")
anthropic = need_module("anthropic")

CHAT_FRAMES = as_sse(CHAT[:5])
EVENTS = as_sse_with_events(ANTHROPIC[:11])

# By name: what opens the source, and what the upstream sends without an end.
SOURCES = {
    "openai": (test_openai_chat.create, CHAT_FRAMES),
    "openai helper": (test_openai_chat.helper, CHAT_FRAMES),
    "anthropic": (test_anthropic.create, EVENTS),
    "anthropic helper": (test_anthropic.helper, EVENTS),
}

CLIENTS = {
    ("openai", False): openai.OpenAI,
    ("openai", True): openai.AsyncOpenAI,
    ("anthropic", False): anthropic.Anthropic,
    ("anthropic", True): anthropic.AsyncAnthropic,
}

every_source = pytest.mark.parametrize("name", SOURCES)
every_kind = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


def endless(name, is_async):
    make, frames = SOURCES[name]
    upstream = Upstream(frames, more=frames[-1])
    client = CLIENTS[name.split()[0], is_async]
    return upstream, lambda: make(upstream, client)()


@every_source
@every_kind
@pytest.mark.parametrize("keep_alive", [15.0, None], ids=["", "inline"])
def test_a_reader_in_a_thread(name, is_async, keep_alive):
    upstream, source = endless(name, is_async)
    with upstream:
        stream = TokenStream(source, keep_alive=keep_alive)
        while b"lo" not in next(stream):
            assert not upstream.left.is_set()
        stream.close()
        assert upstream.left.wait(20)
        assert stream.result is not None
        assert stream.result.outcome == "disconnected"
        assert stream.result.text.startswith("Hello")


@every_source
@every_kind
async def test_a_reader_in_a_task(name, is_async):
    upstream, source = endless(name, is_async)
    with upstream:
        stream = TokenStream(source)
        while b"lo" not in await anext(stream):
            assert not upstream.left.is_set()
        await stream.aclose()
        assert await asyncio.to_thread(upstream.left.wait, 20)
        assert stream.result is not None
        assert stream.result.outcome == "disconnected"
