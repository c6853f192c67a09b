"""A real upstream on loopback: it serves frames as they are written, and sees its readers leave."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
from collections.abc import Iterator

__all__ = ["Upstream", "as_json", "as_sse", "as_sse_with_events"]

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nConnection: close\r\nCache-Control: no-cache\r\n\r\n"
)


def as_sse(events: list[dict]) -> list[bytes]:
    return [f"data: {json.dumps(event)}\n\n".encode() for event in events]


def as_sse_with_events(events: list[dict]) -> list[bytes]:
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


def as_json(events: list[dict]) -> list[bytes]:
    return [f"{json.dumps(event)}\n".encode() for event in events]


class Upstream:
    """Answers each POST with `frames`, and then, where `more` is given, with it again and again.

    The body ends with the connection, so that an end and a cut look alike.
    left: set once a reader has closed its connection before the end.
    """

    def __init__(self, frames: list[bytes], more: bytes = b"", media: str = "text/event-stream"):
        self._frames, self._more, self._media = frames, more, media
        self.left = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Upstream:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ends.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join(20)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        _read_request(connection)
        connection.sendall(HEAD % self._media.encode() + b"".join(self._frames))
        for frame in self._endless():
            # A reader sends nothing after its request: what can be read is its end.
            if select.select([connection], [], [], 0.01)[0]:
                self.left.set()
                return
            try:
                connection.sendall(frame)
            except OSError:
                self.left.set()
                return

    def _endless(self) -> Iterator[bytes]:
        while self._more and not self._ends.is_set():
            yield self._more


def _read_request(connection: socket.socket) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(
        (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        ),
        0,
    )
    while len(body) < length:
        body += connection.recv(65536)
