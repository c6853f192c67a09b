"""The wire "text": a token is an event, its text the event's data.

A line end inside of a token arrives as LF: CR is the one thing that an event
stream cannot carry. A line of a token that is itself `[DONE]` is split over two
events, so that `data: [DONE]` always is the end. A failure ends with `event: error`,
its data the message. `Reasoning`, `Source`, `Usage` and `Finish` are not sent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .. import sse
from .base import Encoder, Wire

__all__ = ["Text"]


# Between "[DO" and "NE]", where they are a line: hand-written readers go by lines.
_INSIDE_DONE = re.compile(r"(?<=^\[DO)(?=NE\]$)", re.MULTILINE)


@dataclass(frozen=True)
class Text(Wire):
    """The wire "text"."""

    name = "text"
    event_source = True

    def begin(self) -> Encoder:
        """Return the encoder of one stream."""
        return _TextEncoder()


def _frame(text: str) -> bytes:
    return _encoded("data: " + text.replace("\n", "\ndata: ") + "\n\n")


def _encoded(frames: str) -> bytes:
    try:
        return frames.encode()
    except UnicodeEncodeError:
        return sse.utf8(frames)


class _TextEncoder(Encoder):
    wire = "text"

    def __init__(self) -> None:
        super().__init__()
        self._after_cr = False

    def text(self, text: str) -> bytes:
        if not ("\r" in text or "\n" in text or "[DONE]" in text or self._after_cr):
            try:
                return f"data: {text}\n\n".encode()
            except UnicodeEncodeError:
                pass
        return self._lines(text)

    def _lines(self, text: str) -> bytes:
        if "\r" in text or self._after_cr:
            text = self._without_cr(text)
        if "[DONE]" in text and len(pieces := _INSIDE_DONE.split(text)) > 1:
            return b"".join(map(_frame, pieces))
        return _frame(text) if text else b""

    def texts(self, texts: list[str]) -> bytes:
        text = "".join(texts)
        if self._after_cr or "\r" in text or "\n" in text or "[DONE]" in text:
            return super().texts(texts)
        # All that is between two tokens is the same: 20 ns a token, not 160.
        return _encoded("data: " + "\n\ndata: ".join(texts) + "\n\n")

    def _without_cr(self, text: str) -> str:
        # A CRLF may come in two tokens: its LF was sent with the CR.
        if self._after_cr:
            text = text.removeprefix("\n")
        self._after_cr = text.endswith("\r")
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def event(self, part: sse.Event) -> bytes:
        return sse.encode(part)

    def error(self, message: str) -> bytes:
        return sse.encode(sse.Event(message, event="error"))
