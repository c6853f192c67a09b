"""What a `Retry-After` says, and what is left of a message."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.needs import need_module

need_module("httpx")

from tokenstream.sources.remote.failures import refused, said, seconds_of
from tokenstream.sources.remote.secrets import Secrets


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
