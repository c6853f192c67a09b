"""The connection of a request in a thread, which any other thread may cut.

httpx has no way to end a call that another thread is in, and to close a
socket that is being read is no use. To shut it down is: what reads it sees
the end. httpcore tells of a connection by the extension "trace", and lends
its socket by `get_extra_info("socket")`.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ...clock import Clock
from ...gates import ThreadGate

__all__ = ["Line"]


class Line:
    """One request's connection, from the moment at which there is one."""

    def __init__(self) -> None:
        self.is_cut = False
        # Reentrant: a collection, which may drop the stream, may come while it is held.
        self._lock = threading.RLock()
        self._socket: socket.socket | None = None
        self._gate: ThreadGate | None = None

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Take note of what httpcore does; in the thread of the request."""
        if event.endswith((".connect_tcp.complete", ".connect_unix_socket.complete")):
            self.hold(info["return_value"])
        elif event.endswith(".start_tls.complete"):
            self._release_shared(info["return_value"])

    def hold(self, stream: Any) -> None:
        """Know the socket of a connection, if it has one."""
        found = None if stream is None else stream.get_extra_info("socket")
        with self._lock:
            self.release()
            if isinstance(found, socket.socket):
                # A copy: TLS takes the first one over, and a number may be used anew.
                self._socket = socket.fromfd(found.fileno(), found.family, found.type)
            if self.is_cut:
                self.cut()

    def _release_shared(self, stream: Any) -> None:
        found = stream.get_extra_info("socket")
        # Over HTTP/2 a connection has other requests in it.
        if isinstance(found, ssl.SSLSocket) and found.selected_alpn_protocol() == "h2":
            self.release()

    @property
    def is_held(self) -> bool:
        """Whether there is a connection that can be cut."""
        return self._socket is not None

    def cut(self) -> None:
        """End the connection, and a wait; from any thread, more than once."""
        with self._lock:
            self.is_cut = True
            if self._socket is not None:
                with suppress(OSError):  # the other side was first
                    self._socket.shutdown(socket.SHUT_RDWR)
        if (gate := self._gate) is not None:
            gate.wake()

    def wait(self, seconds: float, clock: Clock) -> None:
        """Wait, unless it is cut."""
        self._gate = gate = ThreadGate(clock)
        if not self.is_cut:
            gate.wait(clock.now() + seconds)
        self._gate = None

    def release(self) -> None:
        """Let go of the connection, which may live on in a client's pool."""
        with self._lock:
            found, self._socket = self._socket, None
            if found is not None:
                found.close()
