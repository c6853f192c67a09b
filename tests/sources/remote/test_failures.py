"""What a `Retry-After` says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.needs import need_module

need_module("httpx")

from tokenstream.sources.remote.failures import seconds_of


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
