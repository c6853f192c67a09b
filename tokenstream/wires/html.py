"""The wire "html": text for a page, escaped, for htmx's two ways to read event streams.

A token is an unnamed event whose data is HTML that shows the token's text: what
htmx 2 swaps with `sse-swap="message"`, and htmx 4 by itself. The end is an event
`close`, which the page names in `sse-close` (2) or `hx-sse:close` (4): a reader
that closes does not come back. Its data is `[DONE]` for success and for nothing
else; no page swaps it. A failure is an event `error`, its data the escaped
message, and then an event `close`.

`Reasoning`, `Source`, `Usage` and `Finish` are not sent. The data of an
`sse.Event` is the app's own HTML, sent as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import InvalidOption
from ..shown import shown
from ..sse import Event, encode, utf8
from .base import Encoder, Wire

__all__ = ["Html"]

_DONE = b"event: close\ndata: [DONE]\n\n"
_CLOSED = b"event: close\ndata: closed\n\n"

_MAY_BE_SPECIAL = re.compile("[&<>\"'\r\n\0\ufeff[]")  # a third of the other's time
_SPECIAL = re.compile("[&<>\"'\n\0\ufeff]|\\[DONE\\]")

_NAMED = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#x27;",
    "\0": "\ufffd",  # a page can't hold it, and drops it
    "\ufeff": "&#xfeff;",  # in JavaScript it is space: see `_is_blank`
    "[DONE]": "&#91;DONE]",  # for readers by hand: a line of data that says so is the end
}


@dataclass(frozen=True)
class Html(Wire):
    """The wire "html".

    breaks: send a line end as `<br>`, which shows in any element. With False it stays
        as it is, for an element whose style has `white-space: pre-wrap`.

    Raises `InvalidOption` where `breaks` is no bool.
    """

    breaks: bool = True
    name = "html"
    event_source = True
    closing = _CLOSED

    def __post_init__(self) -> None:
        if not isinstance(self.breaks, bool):
            raise InvalidOption(f"Html(breaks={shown(self.breaks)}): breaks must be a bool")

    def begin(self) -> Encoder:
        """Return the encoder of one stream."""
        return _HtmlEncoder("<br>" if self.breaks else "\ndata: ")


def _is_blank(text: str) -> bool:
    return text.replace("\ufeff", " ").isspace()


class _HtmlEncoder(Encoder):
    wire = "html"

    def __init__(self, line_end: str) -> None:
        super().__init__()
        self._by_special = {**_NAMED, "\n": line_end}
        self._after_cr = False

    def text(self, text: str) -> bytes:
        if self._after_cr or _MAY_BE_SPECIAL.search(text) or text.isspace():
            text = self._without_cr(text)
            return self._frame(text) if text else b""
        return utf8(f"data: {text}\n\n")

    def texts(self, texts: list[str]) -> bytes:
        joined = "".join(texts)
        if self._after_cr or _MAY_BE_SPECIAL.search(joined) or any(map(str.isspace, texts)):
            return super().texts(texts)
        # All that is between two tokens is the same.
        return utf8("data: " + "\n\ndata: ".join(texts) + "\n\n")

    def event(self, part: Event) -> bytes:
        return encode(part)

    def done(self) -> bytes:
        return _DONE

    def error(self, message: str) -> bytes:
        text = message.replace("\r\n", "\n").replace("\r", "\n")
        return utf8(f"event: error\ndata: {self._html(text)}\n\n") + _CLOSED

    def _frame(self, text: str) -> bytes:
        html = self._html(text)
        if _is_blank(text):
            # htmx 4 swaps nothing where there is neither an element nor a word.
            html = f"<span>{html}</span>"
        return utf8(f"data: {html}\n\n")

    def _html(self, text: str) -> str:
        return _SPECIAL.sub(lambda found: self._by_special[found[0]], text)

    def _without_cr(self, text: str) -> str:
        # A CRLF may come in two tokens: its LF was sent with the CR.
        if self._after_cr:
            text = text.removeprefix("\n")
        self._after_cr = text.endswith("\r")
        return text.replace("\r\n", "\n").replace("\r", "\n")
