"""gevent: threads are greenlets there, and a loop needs a thread of its own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from .client import Visit, wait_until
from .sites import GEVENT, Site

CROWD = 100

pytestmark = pytest.mark.parametrize("site", GEVENT, ids=str)


def crowd(visit: Visit, path: str, count: int, stack: ExitStack) -> list[Iterator[str]]:
    """Open so many streams."""
    readers = [stack.enter_context(visit.reading(path)) for _ in range(count)]
    return [(event.data for event in reader) for reader in readers]


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("style", ["yielding", "returning", "coroutine", "response"])
def test_a_hundred_at_once_in_lock_step(visit: Visit, style: str, kind: str) -> None:
    with ExitStack() as stack:
        readers = crowd(visit, f"/{style}/{kind}/five", CROWD, stack)
        for number in range(5):
            assert {next(reader) for reader in readers} == {f'{{"token":"t{number}"}}'}
            assert visit.state()["yielded"] == CROWD * (number + 1)
            visit.release()
        assert {next(reader) for reader in readers} == {"[DONE]"}
    wait_until(lambda: visit.state()["closed"] == CROWD, "all were closed")


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("style", ["yielding", "returning", "coroutine", "response"])
def test_a_hundred_wait_for_their_first_token_at_once(
    visit: Visit, site: Site, style: str, kind: str
) -> None:
    if (site.app, style, kind) == ("django", "response", "async"):
        pytest.skip("an async view without the decorator: Django itself can run but one at a time")

    def read() -> str:
        with visit.reading(f"/{style}/{kind}/late") as reader:
            return reader.read().text

    with ThreadPoolExecutor(CROWD) as pool:
        reading = [pool.submit(read) for _ in range(CROWD)]
        wait_until(lambda: visit.state()["started"] == CROWD, "all were started")
        visit.release()
        assert {future.result() for future in reading} == {"t0"}
