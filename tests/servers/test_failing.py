"""An error at each stage, by what a real reader gets and what a real server prints.

The stages are those of `tests/test_failing.py`, which has all of them.
"""

from __future__ import annotations

import httpx
import pytest

from .client import Visit, wait_until
from .conftest import Farm
from .sites import Site

NAMES = ("canary", "Secret", "scripts.py", "tokenstream/", "Traceback")
"""What is internal: a message, a class, and where they are."""

FAILED, ON_ERROR, ON_FINISH = "stream failed after", "on_error raised", "on_finish raised"
ALL_LINES = (FAILED, ON_ERROR, ON_FINISH)

kinds = pytest.mark.parametrize("kind", ["sync", "async"])


def seen(response: httpx.Response) -> str:
    """Return all that a reader sees."""
    head = "\n".join(f"{name}: {value}" for name, value in response.headers.items())
    return f"{response.status_code} {response.reason_phrase}\n{head}\n\n{response.text}"


def assert_told_and_not_named(response: httpx.Response) -> None:
    assert not [name for name in NAMES if name in seen(response)]
    if response.status_code == 200:
        last = response.text.split("\n\n")[-2]
        assert last.startswith("event: error\n")
        assert "[DONE]" not in response.text
    else:
        assert response.status_code == 500
        # hypercorn and granian say nothing of their own one, which a raw ASGI app gets.
        assert "event-stream" not in response.headers.get("content-type", "")


@kinds
@pytest.mark.parametrize(
    "path, before, lines",
    [
        ("returning/{kind}/secret-after", "t0", (FAILED,)),
        ("yielding/{kind}/secret-after", "t0", (FAILED,)),
        ("response/{kind}/secret-after", "t0", (FAILED,)),
        ("returning/{kind}/secret-at-its-end", "t0", (FAILED,)),
        ("returning/{kind}/not-encoded", "t0", (FAILED,)),
        # Each of these fails in `on_error` and in `on_finish`, too.
        ("broken/{kind}/secret-after", "t0", ALL_LINES),
        ("broken/{kind}/not-framed", "t1", ALL_LINES),
        ("broken/{kind}/not-framed-at-its-end", "break-end", ALL_LINES),
    ],
)
def test_after_the_first_part(
    visit: Visit, site: Site, farm: Farm, kind: str, path: str, before: str, lines: tuple[str, ...]
) -> None:
    drop_what_is_late(farm, visit)
    response = visit.send("POST", f"/{path.format(kind=kind)}")
    assert response.status_code == 200
    assert before in response.text
    assert_told_and_not_named(response)
    assert_logged(farm, site, visit, *lines)


@kinds
@pytest.mark.parametrize(
    "path", ["returning/{kind}/secret-before", "response/{kind}/secret-before",
             "broken/{kind}/not-framed-at-first"],
)  # fmt: skip
def test_before_the_first_part(visit: Visit, site: Site, farm: Farm, kind: str, path: str) -> None:
    response = visit.send("POST", f"/{path.format(kind=kind)}")
    assert_told_and_not_named(response)
    # A response's status is out before its source begins, where the framework sends it.
    may_wait = path.startswith("response") and site.app in ("django", "flask")
    assert response.status_code == (200 if may_wait else 500)
    if site.server == "daphne" and response.status_code == 500:
        # It logs in a thread, and not into the next test.
        wait_until(lambda: "Traceback" in farm.server(site).output(), "it is logged")


@kinds
def test_after_success(visit: Visit, site: Site, farm: Farm, kind: str) -> None:
    drop_what_is_late(farm, visit)
    response = visit.send("POST", f"/broken/{kind}/two")
    assert response.text == "data: t0\n\ndata: t1\n\ndata: [DONE]\n\n"
    assert_logged(farm, site, visit, ON_FINISH)


def drop_what_is_late(farm: Farm, visit: Visit) -> None:
    """Read what the test before made the server print: that may come after its response."""
    visit.send("POST", "/echo/sync").raise_for_status()
    farm.outputs()


def assert_logged(farm: Farm, site: Site, visit: Visit, *lines: str) -> None:
    """Look for what the server prints: these lines once, each with a traceback."""
    printed = [""]

    def has_all() -> bool:
        printed[0] += farm.server(site).output()
        return all(line in printed[0] for line in lines)

    wait_until(has_all, f"{lines} are printed")
    visit.send("POST", "/echo/sync").raise_for_status()  # what is printed late is there by now
    has_all()
    for line in ALL_LINES:
        assert printed[0].count(f"{line}") == (line in lines), printed[0]
    # One that is raised in the handling of another is printed with it.
    tracebacks = printed[0].count("Traceback (most recent call last)")
    assert tracebacks - printed[0].count("During handling of the above") == len(lines)
