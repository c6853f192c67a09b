"""For protocols whose content comes in blocks: each begins, grows and ends."""

from __future__ import annotations

import uuid
from enum import Enum

from ..calls import Call, Calls
from ..errors import InvalidOption
from ..parts import Reasoning, Step, ToolCall
from .base import Encoder, json_string

__all__ = ["BlockEncoder"]


class _Kind(Enum):
    TEXT = "text"
    THINKING = "thinking"


class BlockEncoder(Encoder):
    """Knows which block is open. A subclass says what a beginning, a piece and an end look like.

    At most one block of text or thinking is open at a time; calls may be open
    beside each other, and end before anything else begins.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls = Calls()
        self._open: _Kind | None = None
        self._open_calls: list[Call] = []
        self._frame: tuple[str, str] = ("", "")

    # What a protocol says.

    def text_begins(self) -> tuple[bytes, tuple[str, str]]:
        """Return the frames that begin a block of text, and what is around each piece of it."""
        raise NotImplementedError

    def text_ends(self) -> bytes:
        """Return the frames that end the block of text."""
        raise NotImplementedError

    def reasoning_begins(self) -> bytes:
        """Return the frames that begin a block of thinking."""
        raise NotImplementedError

    def reasoning_piece(self, part: Reasoning) -> bytes:
        """Return the frames of a piece of thinking, which may be a signature with no text."""
        raise NotImplementedError

    def reasoning_ends(self) -> bytes:
        """Return the frames that end the block of thinking."""
        raise NotImplementedError

    def call_begins(self, call: Call) -> bytes:
        """Return the frames that begin a call; its first piece follows."""
        raise NotImplementedError

    def call_piece(self, call: Call, arguments: str) -> bytes:
        """Return the frames of a piece of a call's arguments, which is not empty."""
        raise NotImplementedError

    def call_ends(self, call: Call) -> bytes:
        """Return the frames that end a call."""
        raise NotImplementedError

    # The order.

    def text(self, text: str) -> bytes:
        """Return the frames of a token, in an open block of text."""
        begin = b"" if self._open is _Kind.TEXT else self._begin_text()
        before, after = self._frame
        return begin + f"{before}{json_string(text)}{after}".encode("ascii")

    def texts(self, texts: list[str]) -> bytes:
        """Return the frames of many tokens."""
        begin = b"" if self._open is _Kind.TEXT else self._begin_text()
        before, after = self._frame
        joined = f"{after}{before}".join(map(json_string, texts))
        return begin + f"{before}{joined}{after}".encode("ascii")

    def reasoning(self, part: Reasoning) -> bytes:
        """Return the frames of a piece of thinking, in an open block of it."""
        if not part.text and part.signature is None:
            return b""
        frames = b""
        if self._open is not _Kind.THINKING:
            frames = self.close_blocks() + self.reasoning_begins()
            self._open = _Kind.THINKING
        frames += self.reasoning_piece(part)
        # As in `Reply`: a signature is the last of its block of thinking.
        return frames if part.signature is None else frames + self.close_blocks()

    def tool_call(self, part: ToolCall) -> bytes:
        """Return the frames of a fragment, in its call. Raises `InvalidOption` after its end."""
        call = self.calls.add(part)
        frames = self._close_words()
        if len(call.pieces) == 1:
            call.id = call.id or f"call_{uuid.uuid4().hex}"
            self._open_calls.append(call)
            frames += self.call_begins(call)
        elif not any(call is known for known in self._open_calls):
            raise InvalidOption(
                f"ToolCall(index={part.index}): a fragment came when its call had ended: "
                "yield all of a call before text, thinking or a result"
            )
        return frames + (self.call_piece(call, call.pieces[-1]) if call.pieces[-1] else b"")

    def step(self, part: Step) -> bytes:
        """Return the frames that end a round: all that is open."""
        frames = self.close_blocks()
        self.calls.next_round()
        return frames

    def close_blocks(self) -> bytes:
        """Return the frames that end what is open."""
        calls, self._open_calls = self._open_calls, []
        return self._close_words() + b"".join(map(self.call_ends, calls))

    def _begin_text(self) -> bytes:
        frames = self.close_blocks()
        begin, self._frame = self.text_begins()
        self._open = _Kind.TEXT
        return frames + begin

    def _close_words(self) -> bytes:
        kind, self._open = self._open, None
        match kind:
            case _Kind.TEXT:
                return self.text_ends()
            case _Kind.THINKING:
                return self.reasoning_ends()
        return b""
