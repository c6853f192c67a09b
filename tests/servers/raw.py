"""One HTTP/1 connection over a socket, written by hand and parsed by h11.

h11 parses answers alone: it writes neither HTTP/1.0 nor two requests at once.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from types import TracebackType
from urllib.parse import urlsplit

import h11

from tokenstream import sse

from .client import WATCHDOG

__all__ = ["Connection", "request"]


def request(
    method: str, target: str, headers: Mapping[str, str] | None = None, version: str = "1.1"
) -> bytes:
    """Return a request's head; a POST has no body unless `headers` say so."""
    fields = {"Host": "127.0.0.1", **(headers or {})}
    if method == "POST" and not fields.keys() & {"Content-Length", "Transfer-Encoding"}:
        fields["Content-Length"] = "0"
    lines = [f"{method} {target} HTTP/{version}", *(f"{n}: {v}" for n, v in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode()


class Connection:
    """A connection to a server. Answers are read in the order of the requests."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self._socket = socket.create_connection((where.hostname, where.port), timeout=WATCHDOG)
        self._rest = b""
        self._closed = False
        self._h11 = h11.Connection(h11.CLIENT)

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            # A close alone would wait for a write that another thread is in.
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the server was first
        self._socket.close()

    def send(self, raw: bytes) -> None:
        """Write all of it."""
        self._socket.sendall(raw)

    def send_meanwhile(self, raw: bytes) -> None:
        """Write all of it while answers are read: a server may not take it before it answers."""
        threading.Thread(target=self._try_to_send, args=(raw,), daemon=True).start()

    def shut_down(self) -> None:
        """Say that no more will be sent, and read on."""
        self._socket.shutdown(socket.SHUT_WR)

    def head(self, method: str = "POST") -> h11.Response:
        """Read the head of the next answer, to a request of that method."""
        event = self.informed(method)
        assert isinstance(event, h11.Response), event
        return event

    def after_information(self) -> h11.Response:
        """Read the head of the answer that follows a `100 Continue`."""
        while isinstance(event := self._next(), h11.InformationalResponse):
            pass  # Werkzeug says it twice
        assert isinstance(event, h11.Response), event
        return event

    def informed(self, method: str = "POST") -> object:
        """Read the head of the next answer, or the `100 Continue` before it."""
        self._h11 = parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method=method, target="/", headers=[("Host", "127.0.0.1")]))
        parser.send(h11.EndOfMessage())
        if self._rest:
            parser.receive_data(self._rest)
        if self._closed:
            parser.receive_data(b"")
        self._rest = b""
        return self._next()

    def body(self) -> Iterator[bytes]:
        """Read the body that follows the head. Raises `RemoteProtocolError` where it is cut."""
        while isinstance(event := self._next(), h11.Data):
            yield bytes(event.data)
        assert isinstance(event, h11.EndOfMessage), event
        self._rest, self._closed = self._h11.trailing_data

    def events(self) -> Iterator[sse.Event]:
        """Read the events of the body that follows the head."""
        decoder = sse.Decoder()
        for chunk in self.body():
            yield from decoder.feed(chunk)

    def rest(self) -> bytes:
        """Return what follows the last answer; it must be the end of the connection."""
        while not self._closed:
            self._rest += (received := self._receive())
            self._closed = not received
        return self._rest

    def _next(self) -> object:
        while (event := self._h11.next_event()) is h11.NEED_DATA:
            self._h11.receive_data(self._receive())
        return event

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(1 << 16)
        except ConnectionResetError:
            return b""  # a server that left something unread says its end so

    def _try_to_send(self, raw: bytes) -> None:
        try:
            self._socket.sendall(raw)
        except OSError:
            pass  # the answer says what became of it
