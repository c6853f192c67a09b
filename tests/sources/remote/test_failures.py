"""What a `Retry-After` says, what is left of a message, and which words a reader may see."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.needs import need_module

need_module("httpx")

import httpx

from tokenstream.sources.remote.failures import refused, said, seconds_of, unanswered
from tokenstream.sources.remote.reply import reply_of
from tokenstream.sources.remote.secrets import Secrets

KEY = "sk-0123456789abcdef"


@pytest.mark.parametrize(
    "value, seconds",
    [(None, None), ("7", 7.0), ("0", 0.0), ("-1", None), ("soon", None), ("٣", None), ("", None)],
)
def test_seconds(value, seconds):
    assert seconds_of(value) == seconds


def test_a_date():
    soon = datetime.now(UTC) + timedelta(seconds=100)
    assert 90 < (seconds_of(format_datetime(soon, usegmt=True)) or 0) <= 100
    assert seconds_of("Wed, 21 Oct 2015 07:28:00 GMT") == 0


@pytest.mark.parametrize("at", [975, 985, 990, 996, 1000])
def test_no_half_of_a_secret_is_left_where_a_message_is_cut(at):
    message = "x" * at + " 0123456789abcdef" + " y" * 100
    body = json.dumps({"error": {"message": message, "type": message}}).encode()
    error = refused(400, {}, body, Secrets("0123456789abcdef")).error
    assert "01" not in f"{error} {error.kind}"
    assert len(str(error)) == len(error.kind or "") == 1000


def test_an_empty_message_is_none():
    assert said({"error": {"message": " ", "type": ""}}, Secrets(None)) == (None, None)


@pytest.mark.parametrize(
    "failure",
    [
        refused(429, {}, b'{"error": "slow down"}', Secrets(KEY)),
        refused(302, {}, b"", Secrets(KEY)),
        unanswered(httpx.ConnectError(KEY), Secrets(KEY)),
        unanswered(httpx.ReadTimeout(KEY), Secrets(KEY)),
    ],
)
def test_a_request_that_failed_has_public_words(failure):
    assert failure.error.public == str(failure.error)


def test_in_which_no_key_is():
    body = f'{{"error": "bad key {KEY}"}}'.encode()
    assert refused(401, {}, body, Secrets(KEY)).error.public == "bad key [redacted]"


def test_what_a_stream_tells_is_for_the_log():
    reply = reply_of("openai-chat", Secrets(KEY))
    assert reply._failed({"error": {"message": "db at 10.0.0.3"}}).public is None
    assert reply.broken("the upstream was lost").public is None
