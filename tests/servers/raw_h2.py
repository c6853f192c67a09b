"""One HTTP/2 connection over a socket, by prior knowledge, with windows that open when told to."""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Iterator
from types import TracebackType
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.events

from tokenstream import sse

from .client import WATCHDOG

__all__ = ["Connection", "Reset", "Stream"]


class Reset(Exception):
    """The server reset a stream."""


class Connection:
    """A connection to a server."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self._socket = socket.create_connection((where.hostname, where.port), timeout=WATCHDOG)
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration())
        self._h2.initiate_connection()
        self._flush()
        self._came: defaultdict[int, list[h2.events.Event]] = defaultdict(list)

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()

    def request(self, method: str, target: str) -> Stream:
        """Send a request without a body."""
        number = self._h2.get_next_available_stream_id()
        names = {":method": method, ":scheme": "http", ":authority": "127.0.0.1", ":path": target}
        self._h2.send_headers(number, [*names.items()], end_stream=True)
        self._flush()
        return Stream(self, number)

    def reset(self, number: int) -> None:
        """Send RST_STREAM, with CANCEL."""
        self._h2.reset_stream(number, error_code=8)
        self._flush()

    def open_window(self, number: int, size: int) -> None:
        """Let the server send as many bytes more."""
        self._h2.acknowledge_received_data(size, number)
        self._flush()

    def next(self, number: int) -> h2.events.Event:
        """Return the next event of a stream; those of others are kept for them."""
        while not self._came[number]:
            received = self._socket.recv(1 << 16)
            assert received, "the server closed the connection"
            for event in self._h2.receive_data(received):
                self._came[getattr(event, "stream_id", None) or 0].append(event)
            self._flush()
        return self._came[number].pop(0)

    def _flush(self) -> None:
        self._socket.sendall(self._h2.data_to_send())


class Stream:
    """One request's answer."""

    def __init__(self, connection: Connection, number: int) -> None:
        self._connection = connection
        self._number = number

    def head(self) -> dict[bytes, bytes]:
        """Read the answer's head."""
        while not isinstance(event := self._next(), h2.events.ResponseReceived):
            pass
        return dict(event.headers or ())

    def body(self, *, opens: bool = True) -> Iterator[bytes]:
        """Read the body. opens: the window, for as much as was read."""
        while not isinstance(event := self._next(), h2.events.StreamEnded):
            if isinstance(event, h2.events.DataReceived):
                if opens and event.flow_controlled_length:
                    self._connection.open_window(self._number, event.flow_controlled_length)
                yield event.data or b""

    def events(self) -> Iterator[sse.Event]:
        """Read the events of the body."""
        decoder = sse.Decoder()
        for piece in self.body():
            yield from decoder.feed(piece)

    def reset(self) -> None:
        """Leave, while the connection stays."""
        self._connection.reset(self._number)

    def _next(self) -> h2.events.Event:
        event = self._connection.next(self._number)
        if isinstance(event, h2.events.StreamReset):
            raise Reset(event.error_code)
        return event
