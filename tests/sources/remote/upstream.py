"""An upstream on a raw socket: what it sends, and how it breaks, is each test's own."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["HEAD", "Upstream", "Visit", "anthropic", "chunk", "frames", "refusal"]

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"

WATCHDOG = 30.0


class Visit:
    """One connection, and the request on it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.gone = threading.Event()
        head, _, body = self._until(b"\r\n\r\n").partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        self.method, self.path, _ = first.split(" ")
        self.headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        while len(body) < int(self.headers.get("content-length", 0)):
            body += connection.recv(65536)
        self.body: Any = json.loads(body)

    def _until(self, end: bytes) -> bytes:
        data = b""
        while end not in data:
            if not (piece := self._connection.recv(65536)):
                raise ConnectionError
            data += piece
        return data

    def send(self, *pieces: bytes) -> None:
        """Send each by itself."""
        for piece in pieces:
            self._connection.sendall(piece)

    def wait_gone(self) -> None:
        """Wait until the client has closed, and say so."""
        try:
            while self._connection.recv(65536):
                pass
        except ConnectionError:
            pass
        self.gone.set()

    def reset(self) -> None:
        """Break the connection: the client's next read fails."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Upstream:
    """Answers each connection with `answer(visit)`, in a thread of its own; `with` ends it."""

    def __init__(
        self, answer: Callable[[Visit], object], tls: ssl.SSLContext | None = None
    ) -> None:
        self._answer = answer
        self._tls = tls
        self.visits: list[Visit] = []
        self.came = threading.Semaphore(0)
        self._socket = socket.create_server(("127.0.0.1", 0))
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Upstream:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def visit(self) -> Visit:
        """Wait for the next request; return it."""
        assert self.came.acquire(timeout=WATCHDOG), "no request came"
        return self.visits[-1]

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._meet, args=(connection,), daemon=True).start()

    def _meet(self, connection: socket.socket) -> None:
        connection.settimeout(WATCHDOG)
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                self.visits.append(visit := Visit(connection))
                self.came.release()
                self._answer(visit)
        except OSError:
            connection.close()  # the client's to say


def frames(*documents: object) -> bytes:
    """Return documents as events; text is an event's data as it is."""
    return b"".join(
        f"data: {it if isinstance(it, str) else json.dumps(it)}\n\n".encode() for it in documents
    )


def chunk(content: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a chunk of OpenAI's chat."""
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    head = {"id": "chatcmpl-up", "object": "chat.completion.chunk", "created": 7, "model": "up-1"}
    return {**head, "choices": [choice], **more}


def anthropic(*texts: str, reason: str | None = "end_turn", stop: bool = True) -> bytes:
    """Return a reply in Anthropic's events."""
    usage = {"input_tokens": 5, "output_tokens": 1}
    message = {"id": "msg_up", "type": "message", "role": "assistant", "model": "up-1"}
    message |= {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
    ]
    for text in texts:
        delta = {"type": "text_delta", "text": text}
        events.append({"type": "content_block_delta", "index": 0, "delta": delta})
    events.append({"type": "content_block_stop", "index": 0})
    if reason is not None:
        delta = {"stop_reason": reason, "stop_sequence": None}
        events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 2}})
    if stop:
        events.append({"type": "message_stop"})
    return b"".join(f"event: {it['type']}\ndata: {json.dumps(it)}\n\n".encode() for it in events)


def refusal(status: str, body: bytes, kind: str = "application/json", *headers: str) -> bytes:
    """Return an answer that is no stream."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "Connection: close", "", ""]).encode() + body
