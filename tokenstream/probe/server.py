"""uvicorn in a thread, so that the terminal stays with the main one."""

from __future__ import annotations

import os
import socket
import threading
from types import TracebackType

import uvicorn

from tokenstream import process
from tokenstream.asgi import App

from .failure import CommandFailed

__all__ = ["Server", "bind"]

GRACE_SECONDS = 1
"""How long what is still open gets when the server stops: uvicorn itself waits for ever."""


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens there, or raise `CommandFailed`. Port 0 takes a free one.

    Who connects before the server runs is served then.
    """
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise CommandFailed(
            f"can't serve on {host} port {port} ({_why(error)}): choose another with --port, "
            "0 for a free one, or --host"
        ) from error


def _why(error: OSError) -> str:
    # create_server puts the address into `strerror`, a failed look-up its own number into `errno`.
    if error.errno is None or isinstance(error, socket.gaierror):
        return error.strerror or str(error)
    return os.strerror(error.errno)


class Server:
    """`with Server(app, bind(host, port)) as server:` serves; the exit stops it.

    url: where it is reached from this machine.
    """

    def __init__(self, app: App, listening: socket.socket) -> None:
        self.url = _url(listening)
        self._socket = listening
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE_SECONDS
        )
        self._server = uvicorn.Server(config)
        # Not the thread's own `join`: in Python 3.11 one that Ctrl-C interrupts takes the thread
        # for ended, and the next one does not wait.
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tokenstream-demo", daemon=True)

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        process.shut_down()  # readers get an error frame and the end
        self._ended.wait()
        self._socket.close()

    def wait(self) -> None:
        """Serve until Ctrl-C."""
        # On Windows a wait with no end can't be interrupted.
        while not self._ended.wait(1.0):
            pass

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._ended.set()


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
