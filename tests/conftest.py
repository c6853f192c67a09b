"""What every test stands on: a quick search, programs that may be missing, nothing left open."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tokenstream import process

from .needs import need_program

settings.register_profile(
    "quick", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("long", max_examples=2000, deadline=None)
# A round of `make fuzz`, which repeats it.
settings.register_profile(
    "fuzz",
    max_examples=1000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile(os.environ.get("TOKENSTREAM_HYPOTHESIS", "quick"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        for program in marker.args:
            need_program(program)


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    """A test that leaves a stream open is told, and the next one does not suffer."""
    before = set(process._open)
    yield
    deadline = time.monotonic() + 10
    while left := set(process._open) - before:
        if time.monotonic() > deadline:
            for it in left:
                it.shut_down()
            pytest.fail(f"the test left {len(left)} stream(s) open")
        for it in left:
            it.wait_closed(0.1)
