"""A response taken apart: head, chunks, events. It raises where the response is not whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from .client import Check

__all__ = ["Body", "check", "count_events", "lags"]

STAMP = re.compile(rb"@(\d+)")


class Body:
    """The body of a response that came in pieces: `content`, and what arrived when.

    Raises `ValueError` where the status is not 200 or a chunked body has no end.
    """

    def __init__(self, pieces: Sequence[tuple[int, bytes]]) -> None:
        self._pieces = pieces
        raw = b"".join(piece for _, piece in pieces)
        head, _, rest = raw.partition(b"\r\n\r\n")
        if not re.match(rb"HTTP/1\.[01] 200 ", head):
            raise ValueError(f"not a 200: {raw[:500]!r}")
        chunked = re.search(rb"(?im)^transfer-encoding: *chunked", head) is not None
        self._rest = rest
        self._offset = len(head) + 4
        # Of each chunk: where it begins in the response, and its content.
        self.chunks = list(_dechunk(rest, self._offset)) if chunked else [(self._offset, rest)]
        self.content = b"".join(content for _, content in self.chunks)

    def arrivals(self) -> list[tuple[int, int]]:
        """Return (how many bytes of the response there were, when), piece by piece."""
        total, arrivals = 0, []
        for when, piece in self._pieces:
            total += len(piece)
            arrivals.append((total, when))
        return arrivals


def _dechunk(rest: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    at = 0
    while True:
        line = rest.find(b"\r\n", at)
        if line < 0:
            raise ValueError(f"the chunked body was cut short, after {rest[-80:]!r}")
        size = int(rest[at:line].split(b";")[0], 16)
        at = line + 2
        if not size:
            return
        if len(rest) < at + size + 2:
            raise ValueError(f"the last chunk was cut short: {rest[-80:]!r}")
        yield offset + at, rest[at : at + size]
        at += size + 2


def _blocks(content: bytes) -> list[bytes]:
    # Some peers write CRLF.
    return content.replace(b"\r\n", b"\n").split(b"\n\n")


def _has_data(block: bytes) -> bool:
    return block.startswith(b"data:") or b"\ndata:" in block


def count_events(content: bytes) -> int:
    """Return how many events have data: comments have none."""
    return sum(map(_has_data, _blocks(content)))


def check(body: Body, needed: Check) -> None:
    """Raise `ValueError` where tokens or the terminal are missing."""
    found = body.content.count(needed.needle.encode())
    if found != needed.tokens:
        raise ValueError(
            f"{needed.needle!r} was there {found} times, not {needed.tokens}: "
            f"{body.content[:200]!r}...{body.content[-200:]!r}"
        )
    if needed.terminal is not None:
        last = [block for block in _blocks(body.content[-4096:]) if _has_data(block)][-1:]
        if not last or not last[0].endswith(b"data: " + needed.terminal.encode()):
            raise ValueError(f"no {needed.terminal!r} at the end: {body.content[-200:]!r}")


def lags(body: Body) -> Iterator[float]:
    """Yield the seconds between each stamp in a token and the arrival of its last byte."""
    arrivals = iter(body.arrivals())
    total, when = next(arrivals)
    for offset, content in body.chunks:
        for stamp in STAMP.finditer(content):
            while offset + stamp.end() > total:
                total, when = next(arrivals)
            yield (when - int(stamp[1])) / 1e9
