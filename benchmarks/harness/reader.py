"""The reader's process, `python -m benchmarks.harness.reader`: a line of JSON in, one out.

Raw sockets and epoll. While streams are open it only stores what came and when;
all is taken apart and checked after the last has ended.
"""

from __future__ import annotations

import gc
import json
import resource
import selectors
import socket
import sys
import time
from dataclasses import asdict
from typing import Any

from .client import Check, Reading, Want
from .wire import Body, check, count_events, lags

__all__ = ["Reader", "Stream", "answer", "main"]

PIECE = 1 << 18
TIMEOUT = 240.0


class Stream:
    """One connection: what came, and when (monotonic nanoseconds)."""

    def __init__(self, port: int, want: Want) -> None:
        self.want = want
        self.pieces: list[tuple[int, bytes]] = []
        self.first_byte: int | None = None
        self.size = 0
        self._head = b""
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.started = time.monotonic_ns()
        self.socket.sendall(_request(want))
        self.socket.setblocking(False)

    def read(self) -> bool:
        """Take what is there; return whether more may come."""
        try:
            piece = self.socket.recv(PIECE)
        except BlockingIOError:
            return True
        now = time.monotonic_ns()
        self.size += len(piece)
        if self.first_byte is None:
            self._look_for_body(piece, now)
        if not self.want.background:
            self.pieces.append((now, piece))
        return bool(piece)

    def _look_for_body(self, piece: bytes, now: int) -> None:
        self._head += piece
        _, blank, body = self._head.partition(b"\r\n\r\n")
        if blank and body:
            self.first_byte = now
            self._head = b""

    def close(self) -> None:
        self.socket.close()


def _request(want: Want) -> bytes:
    lines = [
        f"{want.method} {want.path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Accept: {want.accept}",
        "Connection: close",
    ]
    if want.method == "POST":
        lines.append("Content-Length: 0")
    return "\r\n".join([*lines, "", ""]).encode()


class Reader:
    """Opens what is wanted and reads all of it in one loop."""

    def __init__(self, port: int, wants: list[Want]) -> None:
        self._port = port
        self._wants = wants
        self._selector = selectors.DefaultSelector()
        self._streams: dict[int, list[Stream]] = {number: [] for number in range(len(wants))}
        self._ended: dict[int, int] = {}
        self._open = 0

    def run(self) -> list[Reading]:
        """Read to the end of all that is not in the background."""
        began = time.monotonic_ns()
        try:
            self._read_all()
        finally:
            self._leave()
        return [self._reading(number, began) for number in range(len(self._wants))]

    def _read_all(self) -> None:
        for number, want in enumerate(self._wants):
            for _ in range(1 if want.one_by_one else want.streams):
                self._add(number)
        while self._open:
            ready = self._selector.select(TIMEOUT)
            if not ready:
                raise TimeoutError(f"nothing came for {TIMEOUT} s")
            for key, _ in ready:
                self._read(*key.data)

    def _leave(self) -> None:
        for streams in self._streams.values():
            for stream in streams:
                stream.close()
        self._selector.close()

    def _add(self, number: int) -> None:
        want = self._wants[number]
        stream = Stream(self._port, want)
        self._streams[number].append(stream)
        self._selector.register(stream.socket, selectors.EVENT_READ, (number, stream))
        self._open += not want.background

    def _read(self, number: int, stream: Stream) -> None:
        if stream.read():
            return
        want = self._wants[number]
        if want.background:
            raise RuntimeError(f"a stream in the background has ended: {want}")
        self._ended[number] = time.monotonic_ns()
        self._selector.unregister(stream.socket)
        stream.close()
        self._open -= 1
        if len(self._streams[number]) < want.streams:
            self._add(number)

    def _reading(self, number: int, began: int) -> Reading:
        want, streams = self._wants[number], self._streams[number]
        size = sum(stream.size for stream in streams)
        if want.background:
            return Reading(size, 0, 0, 0.0)
        bodies = [Body(stream.pieces) for stream in streams]
        for body in bodies:
            if want.check is not None:
                check(body, want.check)
        return Reading(
            bytes=size,
            body=sum(len(body.content) for body in bodies),
            events=sum(count_events(body.content) for body in bodies),
            wall=(self._ended[number] - began) / 1e9,
            first_byte=[
                (stream.first_byte - stream.started) / 1e9
                for stream in streams
                if stream.first_byte is not None
            ],
            lags=[lag for body in bodies for lag in lags(body)] if want.lags else [],
        )


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the readings, or what went wrong."""
    wants = []
    for want in asked["wants"]:
        needed = want.pop("check")
        wants.append(Want(**want, check=Check(**needed) if needed else None))
    try:
        return {"readings": [asdict(reading) for reading in Reader(asked["port"], wants).run()]}
    except (OSError, RuntimeError, ValueError) as error:
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Read what each line of standard input asks for."""
    _raise_file_limit()
    gc.disable()  # a collection would be taken for a late token
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
        gc.collect()


if __name__ == "__main__":
    main()
