"""The reply in one piece: what a stream becomes where the request says `stream: false`."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Document, Encoder, Wire, json_ascii
from .reply import Reply
from .request import JsonObject

__all__ = ["Whole", "WholeEncoder"]


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
        return WholeEncoder(self.of)

    def refusal(self, status: int, message: str, field: str | None = None) -> Document:
        """Return the error body of `of`."""
        return self.of.refusal(status, message, field)


class WholeEncoder(Encoder):
    """Parts to a whole reply. What a stream of the wire refuses, and leaves out, it does too."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self.wire = wire.name
        self._wire = wire
        self._stream = wire.begin()
        self._reply = Reply()

    def text(self, text: str) -> bytes:
        """Take a token."""
        if text:
            self._stream.text(text)  # it may end a block: what comes late is refused here, too
        self._reply.add(text)
        return b""

    def part(self, part: object) -> bytes:
        """Take a part. Raises what the wire raises for one that it has no place for."""
        self._stream.part(part)
        self._reply.add(part)
        return b""

    def document(self) -> JsonObject:
        """Return the protocol's ordinary JSON body."""
        return self._wire.document(self._reply)

    def done(self) -> bytes:
        """Return the reply."""
        return json_ascii(self.document()).encode("ascii")

    def error(self, message: str) -> bytes:
        """Return nothing: it is told by an HTTP status, and nothing has been sent."""
        return b""

    def keep_alive(self) -> bytes:
        """Return nothing: the status is still to be told."""
        return b""
