"""Ours, the app's own over them, and none that is the server's."""

from __future__ import annotations

import pytest

from tokenstream.headers import HEADERS, merged


def test_ours_are_the_contract_s_and_can_not_be_changed():
    assert dict(HEADERS) == {
        "Content-Type": "text/event-stream; charset=utf-8",
        "Cache-Control": "no-cache, no-transform",
        "X-Accel-Buffering": "no",
    }
    with pytest.raises(TypeError):
        HEADERS["X"] = "y"


def test_the_app_s_own_go_over_ours_whatever_their_case():
    assert merged(HEADERS, {"cache-control": "no-store", "X-Own": "1"}) == {
        "Content-Type": "text/event-stream; charset=utf-8",
        "X-Accel-Buffering": "no",
        "cache-control": "no-store",
        "X-Own": "1",
    }
    assert merged(HEADERS, None) == HEADERS


@pytest.mark.parametrize("name", ["Connection", "transfer-encoding", "Keep-Alive"])
def test_the_server_s_are_dropped_with_a_warning(name, caplog):
    assert merged(HEADERS, {name: "x"}) == HEADERS
    assert f"header {name}: x is the server's to send: dropped" in caplog.text
