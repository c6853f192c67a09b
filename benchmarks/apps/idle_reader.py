"""Thousands of streams, opened and left alone: raw sockets that are read only to be checked."""

from __future__ import annotations

import json
import re
import resource
import socket
from typing import Any

__all__ = ["OpenStreams", "ask", "raise_file_limit"]

TIMEOUT = 60.0
BATCH = 100
"""Requests that are on their way at once: below what a server's backlog holds."""

TOKEN = b"data: token"
COMMENT = re.compile(rb"(?m)^: ?(?:keep-alive|ping)")


class OpenStreams:
    """The open streams of one path; a context manager that closes them."""

    def __init__(self, port: int, path: str) -> None:
        self._port = port
        self._request = _request(path)
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> OpenStreams:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._sockets:
            connection.close()

    def open(self, count: int) -> None:
        """Open so many more, and wait until each has its token.

        Raises `RuntimeError` where one has not.
        """
        while count > 0:
            self._open_batch(min(count, BATCH))
            count -= BATCH

    def comments(self) -> list[int]:
        """Return how many comments each stream got since the last call.

        Raises `RuntimeError` for a stream that has ended.
        """
        return [len(COMMENT.findall(_waiting(connection))) for connection in self._sockets]

    def _open_batch(self, count: int) -> None:
        batch = [self._connect() for _ in range(count)]
        for connection in batch:
            _read_token(connection)
            connection.setblocking(False)
        self._sockets += batch

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self._port), timeout=TIMEOUT)
        connection.sendall(self._request)
        return connection


def ask(port: int, path: str) -> Any:
    """Return the JSON of one response."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
        connection.sendall(_request(path, "Connection: close"))
        response = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    return json.loads(response.partition(b"\r\n\r\n")[2])


def raise_file_limit() -> int:
    """Let this process, and what it starts, open as many files as may be; return how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _request(path: str, *headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: text/event-stream", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def _read_token(connection: socket.socket) -> None:
    got = b""
    while TOKEN not in got:
        piece = connection.recv(4096)
        if not piece:
            raise RuntimeError(f"a stream ended before its token: {got!r}")
        got += piece


def _waiting(connection: socket.socket) -> bytes:
    got = b""
    try:
        while piece := connection.recv(1 << 16):
            got += piece
    except BlockingIOError:
        return got
    raise RuntimeError(f"a stream ended that was to stay open, after {got[-200:]!r}")
