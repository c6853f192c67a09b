"""Ours, the app's own over them, and none that is the server's."""

from __future__ import annotations

import pytest

from tokenstream.errors import InvalidOption
from tokenstream.headers import HEADERS, check_headers, merged


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


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\n", "\r", "\0", b"a\nb"])
def test_a_value_that_would_begin_another_header_is_refused(value):
    for use in (check_headers, lambda own: merged(HEADERS, own)):
        with pytest.raises(InvalidOption, match=r"header 'X-Own': .* can't hold CR, LF or NUL"):
            use({"X-Own": value})


@pytest.mark.parametrize("name", ["", "X Own", "X:Own", "X-Own\r\nSet-Cookie", "X-Öwn", "\0"])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(InvalidOption, match="give a name of letters, digits and dashes"):
        merged(HEADERS, {name: "a"})


@pytest.mark.parametrize("value", ["", "a b", "caf\xe9", 5, b"a"])
def test_what_frameworks_take_is_left_to_them(value):
    assert merged({}, {"X-Own": value}) == {"X-Own": value}
