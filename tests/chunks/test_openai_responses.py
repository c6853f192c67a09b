"""Responses: the real client's events and those of its helper, and plain dicts."""

from __future__ import annotations

import pytest

from tests.needs import need_module
from tokenstream import Source
from tokenstream.chunks import Chunks

from .reading import aread, check, fails, read
from .scripts import RESPONSES
from .upstream import Upstream, as_sse_with_events

openai = need_module("openai")

DETAILS = {"cached_tokens": 3, "reasoning_tokens": 2}


def serve(events=RESPONSES):
    return Upstream(as_sse_with_events(events))


def client(upstream, kind):
    return kind(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0, timeout=20)


def create(upstream, kind=openai.OpenAI):
    return lambda: client(upstream, kind).responses.create(model="m", input="hi", stream=True)


def helper(upstream, kind=openai.OpenAI):
    return lambda: client(upstream, kind).responses.stream(model="m", input="hi")


@pytest.mark.parametrize("make", [create, helper])
def test_the_client(make):
    with serve() as upstream:
        check(read(make(upstream)), details=DETAILS)


@pytest.mark.parametrize("make", [create, helper])
def test_the_async_client(make):
    with serve() as upstream:
        check(aread(make(upstream, openai.AsyncOpenAI)), details=DETAILS)


def test_plain_dicts():
    check(read(RESPONSES), details=DETAILS)


def test_a_source_is_a_part():
    chunks = Chunks()
    parts = [part for event in RESPONSES for part in chunks.parts(event)]
    assert Source("https://example.org/a", "A") in parts


@pytest.mark.parametrize("kept", [1, 10])
def test_a_cut_is_no_end(kept):
    with serve(RESPONSES[:kept]) as upstream:
        fails(read(create(upstream)), "response.completed", text="Hello" if kept == 10 else "")


ERROR = {"type": "error", "code": "server_error", "message": "secret", "param": None}
FAILED = {
    "type": "response.failed",
    "response": RESPONSES[0]["response"]
    | {"status": "failed", "error": {"code": "server_error", "message": "secret"}},
}


@pytest.mark.parametrize("last", [ERROR, FAILED])
def test_a_failure_is_no_end(last):
    with serve([*RESPONSES[:10], last | {"sequence_number": 10}]) as upstream:
        told = read(create(upstream))
    fails(told, "secret", text="Hello")
    assert told[0].error.kind == "server_error"


def test_an_incomplete_reply_says_why():
    last = {
        "type": "response.incomplete",
        "response": RESPONSES[0]["response"]
        | {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
    }
    told = read([*RESPONSES[:10], last])
    check(told, calls=[], finish="length", usage=None)


def test_a_refusal_is_text():
    refusal = {"type": "response.refusal.delta", "delta": "No."}
    assert Chunks().parts(refusal) == ["No."]
