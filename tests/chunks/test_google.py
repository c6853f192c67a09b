"""Gemini: what the real client yields, and the API's own JSON."""

from __future__ import annotations

import logging

import pytest

from tests.needs import need_module
from tokenstream import Finish, Source
from tokenstream.chunks import Chunks
from tokenstream.errors import UnknownPart

from .reading import aread, check, fails, read
from .scripts import GOOGLE
from .upstream import Upstream, as_sse

genai = need_module("google.genai")

DETAILS = {"cached_tokens": 3, "reasoning_tokens": 2}


def client(upstream):
    return genai.Client(api_key="k", http_options={"base_url": upstream.url})


def test_the_client():
    with Upstream(as_sse(GOOGLE)) as upstream:
        ours = client(upstream)
        told = read(lambda: ours.models.generate_content_stream(model="m", contents="hi"))
    check(told, details=DETAILS)


def test_the_async_client():
    with Upstream(as_sse(GOOGLE)) as upstream:
        ours = client(upstream)
        told = aread(lambda: ours.aio.models.generate_content_stream(model="m", contents="hi"))
    check(told, details=DETAILS)


def test_plain_dicts():
    check(read(GOOGLE), details=DETAILS)


def test_a_source_is_a_part():
    assert Source("https://example.org/a", "A") in list(Chunks().parts(GOOGLE[3]))


@pytest.mark.parametrize("kept", [1, 4])
def test_a_cut_is_no_end(kept):
    with Upstream(as_sse(GOOGLE[:kept])) as upstream:
        ours = client(upstream)
        told = read(lambda: ours.models.generate_content_stream(model="m", contents="hi"))
    fails(told, "cut", text="Hello" if kept == 4 else "")


def test_an_error_in_the_stream():
    error = {"error": {"code": 503, "message": "secret", "status": "UNAVAILABLE"}}
    told = read([GOOGLE[2], error])
    fails(told, "secret", text="Hel")
    assert told[0].error.kind == "UNAVAILABLE"


def test_a_prompt_that_was_refused():
    assert Chunks().parts({"promptFeedback": {"blockReason": "SAFETY"}}) == [
        Finish("content_filter")
    ]


def test_a_second_candidate_is_an_error():
    with pytest.raises(UnknownPart, match="candidate_count=1"):
        Chunks().parts({"candidates": [{"index": 1, "content": {"parts": [{"text": "b"}]}}]})


def test_a_picture_is_left_out_and_said_once(caplog):
    part = {"inlineData": {"mimeType": "image/png", "data": ""}}
    chunk = {"candidates": [{"content": {"parts": [part]}}]}
    chunks = Chunks()
    with caplog.at_level(logging.INFO, "tokenstream"):
        assert [*chunks.parts(chunk), *chunks.parts(chunk)] == []
    assert len(caplog.records) == 1
