"""Token n+1 is made only after token n was read at the client: what buffers anything deadlocks."""

from __future__ import annotations

import time

import pytest

from .client import EVENTS, Visit
from .record import RUNS, record
from .sites import SITES, Site, styled

STYLES = ["yielding", "returning", "coroutine", "response", "inline"]
KINDS = ["sync", "async"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("site, style", styled(SITES, STYLES))
def test_each_token_is_read_before_the_next_is_made(
    visit: Visit, site: Site, style: str, kind: str
) -> None:
    tokens = []
    with visit.reading(f"/{style}/{kind}/five") as reader:
        for event in reader:
            tokens.append(event.data)
            if event.data != "[DONE]":
                assert visit.state()["yielded"] == len(tokens)
                visit.release()
    assert tokens == [*(f'{{"token":"t{n}"}}' for n in range(5)), "[DONE]"]
    state = visit.state()
    assert (state["started"], state["yielded"]) == (1, 5)
    assert len(state["threads"]) == 1
    record(site, "direct", "yes")


@pytest.mark.parametrize("kind", KINDS)
def test_a_browsers_get_streams_too(visit: Visit, kind: str) -> None:
    with visit.reading(f"/returning/{kind}/five", "GET", headers=EVENTS) as reader:
        for _ in reader:
            visit.release()
    events = reader.transcript.events
    assert reader.transcript.text == "t0t1t2t3t4"
    assert events[0].id
    assert events[-1].id == f"{events[0].id}.end"


@pytest.mark.parametrize("kind", KINDS)
def test_a_reply_of_one_token(visit: Visit, site: Site, kind: str) -> None:
    for _ in range(RUNS):
        asked_at = time.monotonic()
        with visit.reading(f"/returning/{kind}/one") as reader:
            for event in reader:
                if event.data != "[DONE]":
                    record(site, "first token", 1000 * (time.monotonic() - asked_at))
        assert reader.transcript.text == "t0"
        assert reader.transcript.done
