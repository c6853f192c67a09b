"""The reply in one piece: what a stream becomes where the request says `stream: false`."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Document, Encoder, Wire, json_ascii
from .reply import Reply

__all__ = ["Whole"]


@dataclass(frozen=True)
class Whole(Wire):
    """A wire whose stream is one chunk at its end: the ordinary JSON body of `of`.

    With it a whole reply has what a stream has: its source is stopped when the reader
    leaves, and runs where and as long as a stream's would.
    """

    of: Wire
    name = "whole"

    def begin(self) -> Encoder:
        """Return the encoder of one reply."""
        return _WholeEncoder(self.of)

    def refusal(self, status: int, message: str, field: str | None = None) -> Document:
        """Return the error body of `of`."""
        return self.of.refusal(status, message, field)


class _WholeEncoder(Encoder):
    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self.wire = wire.name
        self._wire = wire
        self._stream = wire.begin()
        self._reply = Reply()

    def text(self, text: str) -> bytes:
        self._reply.add(text)
        return b""

    def part(self, part: object) -> bytes:
        self._stream.part(part)  # what a stream has no place for is refused here, too
        self._reply.add(part)
        return b""

    def done(self) -> bytes:
        return json_ascii(self._wire.document(self._reply)).encode("ascii")

    def error(self, message: str) -> bytes:
        return b""  # it is told by an HTTP status: nothing has been sent

    def keep_alive(self) -> bytes:
        return b""  # the status is still to be told
