"""Errors that are told by an HTTP status."""

from __future__ import annotations

import json
import logging

import pytest

from tokenstream.errors import (
    BadRequest,
    BodyTooLarge,
    DurationExceeded,
    ModelNotLoaded,
    NotASource,
    PromptTooLong,
    ServerShutdown,
    SourceCancelled,
    SourceTimeout,
    UpstreamError,
)
from tokenstream.refusal import known_refusal, refusal, refuse
from tokenstream.wires import Json, OpenAIChat

CHAT = OpenAIChat()


def told(error, **options):
    answer = refusal(error, CHAT, **options)
    assert answer is not None
    return answer, json.loads(answer.body)["error"]


@pytest.mark.parametrize(
    "error, status, message",
    [
        (BadRequest("is missing", "messages[0].role"), 400, "messages[0].role: is missing"),
        (PromptTooLong("9 tokens; at most 8"), 400, "9 tokens; at most 8"),
        (BodyTooLarge("larger than 9 bytes"), 413, "larger than 9 bytes"),
        (SourceTimeout("internal"), 504, "generation timed out"),
        (DurationExceeded("internal"), 504, "generation timed out"),
        (ServerShutdown("internal"), 503, "the server is shutting down"),
        (UpstreamError("internal", status=529), 529, "generation failed"),
        (UpstreamError("internal", status=529, public="overloaded"), 529, "overloaded"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_has_its_status_and_words(error, status, message):
    answer, body = told(error)
    assert (answer.status, body["message"]) == (status, message)
    assert answer.headers == {"Content-Type": "application/json", "Cache-Control": "no-store"}


@pytest.mark.parametrize(
    "error, status",
    [
        (SourceTimeout("internal"), 504),
        (ServerShutdown("internal"), 503),
        (UpstreamError("internal"), 502),
    ],
    ids=lambda value: type(value).__name__,
)
def test_on_error_has_the_words_where_none_are_public(error, status):
    answer, body = told(error, on_error=lambda it: f"sorry: {type(it).__name__}")
    assert (answer.status, body["message"]) == (status, f"sorry: {type(error).__name__}")


def test_what_is_public_needs_no_other_words():
    error = UpstreamError("internal", public="overloaded")
    assert told(error, on_error=lambda it: "sorry")[1]["message"] == "overloaded"


def test_the_field_is_named():
    assert told(BadRequest("is missing", "messages"))[1]["param"] == "messages"


@pytest.mark.parametrize(
    "error",
    [
        LookupError("secret"),
        NotASource("secret"),
        ModelNotLoaded("/secret/path"),
        SourceCancelled("secret"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_says_nothing_to_a_reader_has_none(error):
    assert refusal(error, CHAT) is None


@pytest.mark.parametrize("status", [None, 0, 101, 200, 204, 302, 399, 600, 10**9, -1])
def test_an_upstream_that_did_not_refuse_is_a_bad_gateway(status):
    assert told(UpstreamError("no", status=status))[0].status == 502


@pytest.mark.parametrize("value", ["7", "Fri, 31 Dec 1999 23:59:59 GMT"])
def test_retry_after_goes_along(value):
    assert told(UpstreamError("no", retry_after=value))[0].headers["Retry-After"] == value


@pytest.mark.parametrize("value", [None, "", "7\r\nX: 1", "7\n", "\u0667", "7" * 65])
def test_but_nothing_else(value):
    assert "Retry-After" not in told(UpstreamError("no", retry_after=value))[0].headers


def test_headers_of_the_app_go_along_under_ours():
    own = {"x-own": "1", "content-type": "text/event-stream"}
    answer, _ = told(UpstreamError("no", retry_after="7"), headers=own)
    assert answer.headers == {
        "x-own": "1",
        "Retry-After": "7",
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
    }


def test_the_wire_has_the_shape():
    answer = refuse(Json(), 400, "no")
    assert json.loads(answer.body) == {"error": "no"}


def test_what_the_source_did_is_logged_once(caplog):
    refusal(UpstreamError("no"), CHAT)
    [record] = caplog.records
    assert (record.name, record.levelno) == ("tokenstream", logging.WARNING)
    assert record.getMessage() == "answered with 502 before the first part: UpstreamError"
    assert record.exc_info


def test_what_the_reader_did_is_not(caplog):
    refusal(BadRequest("no"), CHAT)
    refusal(BodyTooLarge("no"), CHAT)
    assert not caplog.records


def test_nor_what_has_been_logged(caplog):
    assert known_refusal(UpstreamError("no"), CHAT) is not None
    assert not caplog.records
