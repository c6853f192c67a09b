"""A reader that leaves stops the source, whose clean-up is awaited to its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from .client import Visit, wait_until
from .record import RUNS, record
from .sites import FULL, ONE_THREAD, SITES, Site, styled

STYLES = ["yielding", "returning", "coroutine", "response", "inline"]
KINDS = ["sync", "async"]

LOOKS = 10
"""How often in a row the source must not have moved, for the server to count as blocked."""


@contextmanager
def after_one_token(visit: Visit, path: str) -> Iterator[None]:
    with visit.reading(path) as reader:
        events = iter(reader)
        next(events)
        yield


@contextmanager
def before_the_first_token(visit: Visit, path: str) -> Iterator[None]:
    with visit.asking(path):
        wait_until(lambda: visit.state()["started"] == 1, "the source was started")
        yield


@contextmanager
def after_a_stall(visit: Visit, path: str) -> Iterator[None]:
    seen: list[int] = []

    def is_held_back() -> bool:
        seen.append(visit.state()["yielded"])
        return seen[-1] > 0 and seen[-LOOKS:] == [seen[-1]] * LOOKS

    with visit.asking(path):
        wait_until(is_held_back, "the source was held back")
        yield


Reading = Callable[[Visit, str], AbstractContextManager[None]]

MOMENTS: dict[str, tuple[Reading, str, str]] = {
    "talking": (after_one_token, "async", "talking"),
    "talking, sync": (after_one_token, "sync", "talking"),
    "silent": (after_one_token, "async", "endless"),
    "early": (before_the_first_token, "async", "late"),
    "stalled": (after_a_stall, "async", "flood"),
    "stalled, sync": (after_a_stall, "sync", "flood"),
}
"""When a reader leaves: what it did until then, and the source."""


def kept(site: Site, script: str) -> str:
    """Return the style of view in which a source that gives nothing hears of it.

    Where a server doesn't show that the reader has left, the keep-alives find out.
    """
    return "returning" if site.sees_leaving or script in ("talking", "flood") else "kept"


def is_closed(visit: Visit) -> bool:
    return bool(visit.state()["closed"] == 1)


def is_closed_at_a_token(visit: Visit) -> bool:
    visit.release()
    return is_closed(visit)


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_source_is_closed(visit: Visit, site: Site, moment: str) -> None:
    reading, kind, script = MOMENTS[moment]
    closed = is_closed if kind == "async" else is_closed_at_a_token
    for _ in range(RUNS):
        asked = visit.another()
        with reading(asked, f"/{kept(site, script)}/{kind}/{script}"):
            left_at = time.monotonic()
        wait_until(lambda asked=asked: closed(asked), "the source was closed")
        (cut_at,) = asked.state()["cut_at"]
        record(site, moment, 1000 * max(0.0, cut_at - left_at))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("site, style", styled(SITES, STYLES))
def test_every_style_of_view_closes_it(visit: Visit, style: str, kind: str) -> None:
    with after_one_token(visit, f"/{style}/{kind}/endless"):
        pass
    wait_until(lambda: is_closed_at_a_token(visit), "the source was closed")


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_that_never_waits_is_closed(visit: Visit, kind: str) -> None:
    with after_one_token(visit, f"/returning/{kind}/hot"):
        pass
    wait_until(lambda: is_closed(visit), "the source was closed")


def the_thread_is_free(visit: Visit) -> bool:
    return visit.send("POST", "/echo/sync", content="a b").is_success


@pytest.mark.parametrize("site, style", styled(ONE_THREAD, ["yielding", "returning", "response"]))
def test_a_silent_source_that_cant_be_stopped_frees_the_servers_thread(
    visit: Visit, site: Site, style: str
) -> None:
    with after_one_token(visit, f"/{style if site.sees_leaving else 'kept'}/sync/endless"):
        pass
    assert the_thread_is_free(visit)
    state = visit.state()
    assert (state["yielded"], state["closed"]) == (1, 0)
    wait_until(lambda: is_closed_at_a_token(visit), "the source was closed")


@pytest.mark.parametrize("site", ONE_THREAD if FULL else ONE_THREAD[:2], ids=str)
def test_so_does_one_that_has_given_nothing_yet(visit: Visit, site: Site) -> None:
    with before_the_first_token(visit, f"/{kept(site, 'late')}/sync/late"):
        pass
    assert the_thread_is_free(visit)
    state = visit.state()
    assert (state["yielded"], state["closed"]) == (0, 0)
    wait_until(lambda: is_closed_at_a_token(visit), "the source was closed")


@pytest.mark.parametrize("site", ONE_THREAD, ids=str)
def test_a_reader_that_stalls_and_leaves_frees_the_servers_thread(visit: Visit) -> None:
    with after_a_stall(visit, "/returning/sync/flood"):
        pass
    assert the_thread_is_free(visit)
    wait_until(lambda: is_closed(visit), "the source was closed")
