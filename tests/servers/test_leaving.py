"""A reader that leaves stops the source."""

from __future__ import annotations

import pytest

from .client import Visit, wait_until
from .sites import ONE_THREAD, Site

STYLES = ["yielding", "returning", "coroutine", "response", "inline"]
KINDS = ["sync", "async"]


def read_one_token(visit: Visit, path: str) -> None:
    with visit.reading(path) as reader:
        for _ in reader:
            break


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("style", STYLES)
def test_a_source_that_talks(visit: Visit, style: str, kind: str) -> None:
    read_one_token(visit, f"/{style}/{kind}/endless")

    def is_closed() -> bool:
        visit.release()
        return bool(visit.state()["closed"])

    wait_until(is_closed, "the source was closed")


@pytest.mark.parametrize("style", ["yielding", "returning", "coroutine", "response"])
def test_an_async_source_that_is_silent(visit: Visit, site: Site, style: str) -> None:
    if not site.sees_leaving:
        style = "kept"  # there the keep-alives find out
    read_one_token(visit, f"/{style}/async/endless")
    wait_until(lambda: bool(visit.state()["closed"]), "the silent source was closed")
    assert visit.state()["yielded"] == 1


@pytest.mark.parametrize("style", ["yielding", "returning", "response"])
@pytest.mark.parametrize("site", ONE_THREAD, ids=str)
def test_a_silent_source_that_cant_be_stopped_frees_the_servers_thread(
    visit: Visit, style: str
) -> None:
    read_one_token(visit, f"/{style}/sync/endless")
    visit.send("POST", "/echo/sync").raise_for_status()  # by the server's one thread
    state = visit.state()
    assert (state["yielded"], state["closed"]) == (1, 0)

    def is_closed() -> bool:
        visit.release()
        return bool(visit.state()["closed"])

    wait_until(is_closed, "the source was closed")
