"""Anthropic's Messages: the real client's raw events, those of its helper, and plain dicts."""

from __future__ import annotations

import pytest

from tests.needs import need_module
from tokenstream import Finish, Reasoning, Source, ToolCall, Usage
from tokenstream.chunks import Chunks
from tokenstream.errors import UnknownPart

from .reading import aread, check, fails, read
from .scripts import ANTHROPIC, ask
from .upstream import Upstream, as_sse_with_events

anthropic = need_module("anthropic")

DETAILS = {"cache_read_input_tokens": 3}


def serve(events=ANTHROPIC):
    return Upstream(as_sse_with_events(events))


def client(upstream, kind):
    return kind(base_url=upstream.url, api_key="k", max_retries=0, timeout=20)


def create(upstream, kind=anthropic.Anthropic):
    return lambda: client(upstream, kind).messages.create(
        model="m", max_tokens=9, messages=ask, stream=True
    )


def helper(upstream, kind=anthropic.Anthropic):
    return lambda: client(upstream, kind).messages.stream(model="m", max_tokens=9, messages=ask)


@pytest.mark.parametrize("make", [create, helper])
def test_the_client(make):
    with serve() as upstream:
        check(read(make(upstream)), details=DETAILS)


@pytest.mark.parametrize("make", [create, helper])
def test_the_async_client(make):
    with serve() as upstream:
        check(aread(make(upstream, anthropic.AsyncAnthropic)), details=DETAILS)


def test_plain_dicts():
    check(read(ANTHROPIC), details=DETAILS)


def test_the_parts_in_their_order():
    chunks = Chunks()
    assert [part for event in ANTHROPIC for part in chunks.parts(event)] == [
        Reasoning("They "),
        Reasoning("greet."),
        Reasoning("", "sig-1"),
        "Hel",
        "lo",
        Source("https://example.org/a", "A"),
        ToolCall(2, "call_a", "weather"),
        ToolCall(2, arguments='{"city":'),
        ToolCall(2, arguments='"Rome"}'),
        ToolCall(3, "call_b", "time"),
        ToolCall(3, arguments="{}"),
        Usage(5, 7, DETAILS),
        Finish("tool_calls"),
    ]


@pytest.mark.parametrize("make", [create, helper])
@pytest.mark.parametrize("kept", [1, 10, len(ANTHROPIC) - 1])
def test_a_cut_is_no_end(make, kept):
    with serve(ANTHROPIC[:kept]) as upstream:
        fails(read(make(upstream)), "message_stop", text="Hello" if kept > 8 else "")


def test_an_error_in_the_stream():
    # The client raises it itself; of a dict it is ours to raise.
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "secret"}}
    told = read([*ANTHROPIC[:10], error])
    fails(told, "secret", text="Hello")
    assert told[0].error.kind == "overloaded_error"
    with serve([*ANTHROPIC[:10], error]) as upstream:
        result, frames = read(create(upstream))
    assert result.outcome == "failed"
    assert b"secret" not in frames


def test_a_plain_block_of_text_is_not_taken_for_the_helpers():
    with pytest.raises(UnknownPart):
        Chunks().parts({"type": "text", "text": "a"})


def test_a_tool_that_runs_at_anthropic_is_left_out():
    block = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}}
    delta = {"type": "input_json_delta", "partial_json": "{}"}
    events = [
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
    ]
    chunks = Chunks()
    assert [part for event in events for part in chunks.parts(event)] == []
