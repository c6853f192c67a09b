"""What is said of a server, by what it puts into the environ. The servers: tests/servers."""

from __future__ import annotations

import importlib
import logging
import tempfile
import threading
from typing import Any

import pytest

from tokenstream import warn
from tokenstream.warn import warn_of_server

SYNC = {"gunicorn.socket": object(), "wsgi.multithread": False}


@pytest.fixture(autouse=True)
def _nothing_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warn, "_said", {})


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert all(r.levelno == logging.WARNING and r.name == "tokenstream" for r in caplog.records)
    return [record.getMessage() for record in caplog.records]


def test_once_for_each_cause(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_server(SYNC)
    warn_of_server(SYNC)
    warn_of_server({"asgi.scope": {}})
    assert [text.split()[0] for text in warned(caplog)] == ["gunicorn's", "under"]


def test_once_though_many_streams_are_the_first(caplog: pytest.LogCaptureFixture) -> None:
    barrier = threading.Barrier(8)

    def first() -> None:
        barrier.wait()
        warn_of_server(SYNC)

    threads = [threading.Thread(target=first) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(warned(caplog)) == 1


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"wsgi.multithread": False},  # wsgiref
        {**SYNC, "wsgi.multithread": True},  # gthread, gevent
    ],
)
def test_nothing_of_the_others(environ: Any, caplog: pytest.LogCaptureFixture) -> None:
    warn_of_server(environ)
    assert warned(caplog) == []


def test_a_spooled_body_alone_is_no_sign(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    with tempfile.SpooledTemporaryFile() as body:
        monkeypatch.delitem(sys.modules, "asgiref.wsgi", raising=False)
        warn_of_server({"wsgi.input": body})
        assert warned(caplog) == []
        importlib.import_module("asgiref.wsgi")
        warn_of_server({"wsgi.input": body})
        assert len(warned(caplog)) == 1
