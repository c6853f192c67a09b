"""Serve an app to a browser from a thread, and break its connections."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from tokenstream.asgi import App
from tokenstream.probe.server import Server, bind

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

HTML = {"Content-Type": "text/html; charset=utf-8"}


def serve(app: App) -> Server:
    """`with serve(app) as server:`: real uvicorn on a free port."""
    return Server(app, bind("127.0.0.1", 0))


class Relay:
    """A TCP port before another one, whose connections can be cut as a network cuts them.

    `with Relay("http://127.0.0.1:1234") as relay:`; url: where it listens.
    """

    def __init__(self, target: str) -> None:
        host, port = target.removeprefix("http://").split(":")
        self._target = host, int(port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []

    def __enter__(self) -> Relay:
        _in_thread(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()

    def cut(self) -> None:
        """End all connections that are open."""
        with self._lock:
            left, self._open = self._open, []
        for end in left:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # its other side was quicker

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            with self._lock:
                self._open += [near, far]
            _in_thread(lambda near=near, far=far: _copy(near, far))
            _in_thread(lambda near=near, far=far: _copy(far, near))


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while piece := source.recv(1 << 16):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # cut


def _in_thread(run: Callable[[], None]) -> None:
    threading.Thread(target=run, name="test-relay", daemon=True).start()
