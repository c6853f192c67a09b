"""A reader over a real socket, and the way to a run's `/release` and `/state`."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.client import HTTPResponse
from typing import Any

import httpx
import pytest

from tokenstream.testing import StreamReader, read_stream

__all__ = ["EVENTS", "NOTHING", "WATCHDOG", "Visit", "wait_until"]

WATCHDOG = 20.0
"""Seconds after which a test fails: nothing that works comes near to it."""

EVENTS = {"Accept": "text/event-stream"}

NOTHING = {"called": 0, "started": 0, "closed": 0, "cut_at": [], "yielded": 0, "threads": []}
"""The state of a run that no view was called for."""


class Visit:
    """One test's visit to a site: a run of its own, with its sources and its permits.

    control: where the app tells of its runs, past the server that is tested.
    """

    def __init__(self, http: httpx.Client, url: str, control: str) -> None:
        self._http = http
        self.url = url
        self._control = control
        self._run = {"run": uuid.uuid4().hex}

    def another(self) -> Visit:
        """Return another visit to the same site, with a run of its own."""
        return Visit(self._http, self.url, self._control)

    def target(self, path: str) -> str:
        """Return what a request line names, for one written by hand."""
        return f"{path}?run={self._run['run']}"

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send a request, and read its answer to the end."""
        return self._http.request(method, self.url + path, params=self._run, **request)

    def stream(
        self, method: str, path: str, **request: Any
    ) -> AbstractContextManager[httpx.Response]:
        """Send a request, and return its answer, unread."""
        return self._http.stream(method, self.url + path, params=self._run, **request)

    def release(self) -> None:
        """Give each source of the run a permit."""
        self._http.post(self._control + "/release", params=self._run).raise_for_status()

    def state(self) -> dict[str, Any]:
        """Return what became of the run's sources."""
        answer = self._http.get(self._control + "/state", params=self._run)
        state: dict[str, Any] = answer.raise_for_status().json()
        return state

    def signals(self) -> dict[str, int]:
        """Return what became of the app's `drain_on_signal`."""
        answer = self._http.get(self._control + "/signals", params=self._run)
        told: dict[str, int] = answer.raise_for_status().json()
        return told

    def results(self) -> list[dict[str, Any]]:
        """Return what the run's `on_finish` was told, of streams that are over."""
        answer = self._http.get(self._control + "/results", params=self._run)
        results: list[dict[str, Any]] = answer.raise_for_status().json()
        return results

    @contextmanager
    def unread(self, path: str) -> Iterator[HTTPResponse]:
        """Open a stream and read its head alone; leaving the block is a reader that leaves."""
        url = httpx.URL(self.url + path, params=self._run)
        with socket.socket() as sock:
            sock.settimeout(WATCHDOG)
            # What the test's own side of the connection holds is not the server's.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            sock.connect((url.host, url.port))
            target = url.raw_path.decode()
            ask = f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"
            sock.sendall(ask.encode())
            with HTTPResponse(sock, method="POST") as response:
                response.begin()
                assert response.status == 200
                yield response

    @contextmanager
    def reading(self, path: str, method: str = "POST", **request: Any) -> Iterator[StreamReader]:
        """Open a stream, which must be one; leaving the block is a reader that leaves."""
        with self.stream(method, path, **request) as response:
            assert response.status_code == 200, response.read()
            assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
            yield read_stream(response, timeout=2 * WATCHDOG)

    @contextmanager
    def asking(self, path: str) -> Iterator[None]:
        """Ask for a stream and read nothing, until the block is left and with it the server."""
        url = httpx.URL(self.url + path, params=self._run)
        head = f"POST {url.raw_path.decode()} HTTP/1.1\r\nHost: {url.host}\r\n"
        with socket.create_connection((url.host, url.port or 80), timeout=WATCHDOG) as connection:
            connection.sendall(f"{head}Content-Length: 0\r\n\r\n".encode())
            yield


def wait_until(holds: Callable[[], bool], why: str) -> None:
    """Look again and again; fail when it takes too long."""
    deadline = time.monotonic() + WATCHDOG
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"{why}: not within {WATCHDOG} s")
        time.sleep(0.02)
