"""A connection that is cut: what stands between a server and its client, and dies."""

from __future__ import annotations

import socket
import threading

__all__ = ["Cutter"]


class Cutter:
    """Passes bytes on to the server at `url`, until the end of the event that has `mark` in it.

    Then it closes both connections, as the death of the server's process does: what was
    passed arrives, and the response's end never comes. It serves as many as come.
    """

    def __init__(self, url: str, mark: bytes) -> None:
        self._mark = mark
        host, port = url.removeprefix("http://").split(":")
        self._upstream = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Cutter:
        self._threads[0].start()
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._upstream) as server:
            asking = threading.Thread(target=_pass_on, args=(client, server), daemon=True)
            asking.start()
            self._answer(server, client)
            for it in (client, server):
                _shut(it)
            asking.join()

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        passed = b""
        while data := server.recv(65536):
            passed += data
            if (at := passed.find(self._mark)) >= 0 and (end := passed.find(b"\n\n", at)) >= 0:
                client.sendall(data[: len(data) - (len(passed) - end - 2)])
                return
            client.sendall(data)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass  # it has been cut


def _shut(it: socket.socket) -> None:
    try:
        it.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # the other side was first
