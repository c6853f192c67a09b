"""The pytest plugin: one fixture."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .clock import FakeClock

__all__ = ["fake_clock"]


@pytest.fixture
def fake_clock() -> Iterator[FakeClock]:
    """Time for the streams that the test makes, moved by `fake_clock.advance(seconds)`."""
    with FakeClock() as clock:
        yield clock
