"""HEAD, reconnects, errors, the request's body, keep-alives."""

from __future__ import annotations

import json

import pytest

from tokenstream import sse

from .client import EVENTS, NOTHING, Visit
from .sites import SITES, styled

STYLES = ["yielding", "returning", "coroutine", "response"]
DECORATED = ["yielding", "returning", "coroutine"]
KINDS = ["sync", "async"]

kinds = pytest.mark.parametrize("kind", KINDS)
styles = pytest.mark.parametrize("site, style", styled(SITES, STYLES))
decorated = pytest.mark.parametrize("site, style", styled(SITES, DECORATED))


@kinds
@styles
def test_head_starts_nothing(visit: Visit, style: str, kind: str) -> None:
    response = visit.send("HEAD", f"/{style}/{kind}/five", headers=EVENTS)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.content == b""
    assert visit.state() == NOTHING


@kinds
@styles
def test_both_reconnects_start_nothing(visit: Visit, style: str, kind: str) -> None:
    path = f"/{style}/{kind}/five"
    lost = visit.send("GET", path, headers={**EVENTS, "Last-Event-ID": "run-1"})
    assert lost.status_code == 200
    assert lost.headers["content-type"] == "text/event-stream; charset=utf-8"
    (event,) = sse.Decoder().feed(lost.content)
    assert event == sse.Event(
        '{"error":"connection lost, cannot resume"}', event="error", id="run-1.end"
    )
    ended = visit.send("GET", path, headers={**EVENTS, "Last-Event-ID": "run-1.end"})
    assert (ended.status_code, ended.content) == (204, b"")
    assert visit.state() == NOTHING


@kinds
@decorated
def test_an_error_before_the_first_part_is_an_http_error(
    visit: Visit, style: str, kind: str
) -> None:
    response = visit.send("POST", f"/{style}/{kind}/fails-before")
    assert response.status_code == 500
    # A server that answers for an app with no framework may name no type.
    assert "event-stream" not in response.headers.get("content-type", "")
    assert "secret" not in response.text


@kinds
@decorated
def test_the_apps_own_handler_gets_it(visit: Visit, style: str, kind: str) -> None:
    response = visit.send("POST", f"/{style}/{kind}/busy-before")
    assert (response.status_code, response.json()) == (503, {"detail": "come back"})


@kinds
@styles
def test_an_error_after_the_first_part_is_an_error_event(
    visit: Visit, style: str, kind: str
) -> None:
    with visit.reading(f"/{style}/{kind}/fails-after") as reader:
        transcript = reader.read()
    assert transcript.tokens == ["t0"]
    assert transcript.error == '{"error":"generation failed"}'
    assert len(transcript.events) == 2


@kinds
def test_the_requests_body_reaches_the_source(visit: Visit, kind: str) -> None:
    words = [f"w{n}" for n in range(2000)]
    with visit.reading(f"/echo/{kind}", content=" ".join(words)) as reader:
        assert reader.read().tokens == words


@kinds
def test_keep_alives_come_while_the_source_is_silent(visit: Visit, kind: str) -> None:
    with visit.stream("POST", f"/kept/{kind}/endless") as response:
        raw = b""
        for chunk in response.iter_bytes():
            raw += chunk
            if raw.count(b": keep-alive\n\n") >= 2:
                break
    assert visit.state()["yielded"] == 1
    assert [json.loads(event.data) for event in sse.Decoder().feed(raw)] == [{"token": "t0"}]
