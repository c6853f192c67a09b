"""A small HTTP/1.1 client over asyncio's streams: a thousand of them are open at once."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Answer", "Connection", "Cut", "ask_control"]


class Cut(Exception):
    """The connection ended inside of an answer, or before it."""


class Connection:
    """A connection to a server. narrow: it takes in little that was not read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int, *, narrow: bool = False) -> Connection:
        sock = socket.socket()
        sock.setblocking(False)
        if narrow:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        limit = 4096 if narrow else 1 << 16
        return cls(*await asyncio.open_connection(sock=sock, limit=limit))

    async def ask(self, method: str, target: str, headers: dict[str, str]) -> Answer:
        """Send a request, and read the head of its answer."""
        self.send(method, target, headers)
        try:
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Cut from error
        first, *lines = head.split("\r\n")
        fields = (line.split(": ", 1) for line in lines if line)
        named = {name.lower(): value for name, value in fields}
        return Answer(self._reader, int(first.split()[1]), named, method)

    def send(self, method: str, target: str, headers: dict[str, str]) -> None:
        """Send a request."""
        lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if method == "POST":
            lines.append("Content-Length: 0")
        self._writer.write("\r\n".join([*lines, "", ""]).encode())

    def half_close(self) -> None:
        """Say that no more will be sent."""
        self._writer.write_eof()

    def reset(self) -> None:
        """End it so that the server's next write fails, as for a process that was killed."""
        linger = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, linger
        )
        self._writer.transport.abort()

    def close(self) -> None:
        """End it."""
        self._writer.transport.abort()


@dataclass(frozen=True)
class Answer:
    """A head, and the way to the body behind it."""

    _reader: asyncio.StreamReader
    status: int
    headers: dict[str, str]
    _method: str

    async def body(self) -> AsyncIterator[bytes]:
        """Read it to its end. Raises `Cut`."""
        try:
            if self.headers.get("transfer-encoding") == "chunked" and self._method != "HEAD":
                while size := int(await self._reader.readuntil(b"\r\n"), 16):
                    yield (await self._reader.readexactly(size + 2))[:-2]
                await self._reader.readexactly(2)
            elif (length := int(self.headers.get("content-length", 0))) and self._method != "HEAD":
                yield await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Cut from error


async def ask_control(port: int, path: str) -> Any:
    """Return what the soak's own port of a server tells."""
    connection = await Connection.open(port)
    try:
        answer = await connection.ask("GET", path, {"Connection": "close"})
        return json.loads(b"".join([piece async for piece in answer.body()]))
    finally:
        connection.close()
