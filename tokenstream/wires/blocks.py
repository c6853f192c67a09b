"""For protocols whose content comes in blocks: each begins, grows and ends."""

from __future__ import annotations

from enum import Enum

from ..calls import Call, Calls, arguments_object
from ..errors import InvalidOption
from ..parts import Reasoning, Step, ToolCall
from ..shown import shown
from .base import Encoder, json_string

__all__ = ["BlockEncoder", "SequentialBlocks"]


class _Kind(Enum):
    TEXT = "text"
    THINKING = "thinking"


_TEXT = _Kind.TEXT  # a look at it costs a token 50 ns less


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
        self._sent: dict[int, int] = {}  # pieces of each open call that has begun, by its number
        self._before = self._after = ""

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
        """Return the frames that begin a call; its first pieces follow.

        It has its name by then: one that comes late is waited for, up to the call's end.
        """
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
        if self._open is not _TEXT:
            return self.open_text() + self.text(text)
        return (self._before + json_string(text) + self._after).encode("ascii")

    def texts(self, texts: list[str]) -> bytes:
        """Return the frames of many tokens."""
        begin = self.open_text()
        tokens = (self._after + self._before).join(map(json_string, texts))
        return begin + (self._before + tokens + self._after).encode("ascii")

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
        if len(call.pieces) == 1:
            call.made_id()  # for a protocol to tell, here and in what follows
            self._open_calls.append(call)
        elif not any(call is known for known in self._open_calls):
            return self._after_end(call, part)
        return self._close_words() + self._grow(call)

    def step(self, part: Step) -> bytes:
        """Return the frames that end a round: all that is open."""
        frames = self.close_blocks()
        self.calls.next_round()
        return frames

    def open_text(self) -> bytes:
        """Return the frames that begin a block of text, nothing where one is open."""
        if self._open is _TEXT:
            return b""
        frames = self.close_blocks()
        begin, (self._before, self._after) = self.text_begins()
        self._open = _TEXT
        return frames + begin

    def close_blocks(self) -> bytes:
        """Return the frames that end what is open."""
        return self._close_words() + self._close_calls()

    def _grow(self, call: Call) -> bytes:
        """Return the frames of the last piece of an open call."""
        return self._rest(call) if call.name else b""

    def _rest(self, call: Call) -> bytes:
        """Return the frames of what is not sent of an open call."""
        sent = self._sent.get(call.number, 0)
        self._sent[call.number] = len(call.pieces)
        arguments = "".join(call.pieces[sent:])
        begin = b"" if sent else self.call_begins(call)
        return begin + (self.call_piece(call, arguments) if arguments else b"")

    def _end_call(self, call: Call) -> bytes:
        frames = self._rest(call) + self.call_ends(call)
        del self._sent[call.number]
        return frames

    def _after_end(self, call: Call, part: ToolCall) -> bytes:
        # White space after an object says nothing: nothing is lost.
        if not call.pieces[-1].strip(" \t\r\n"):
            return b""
        raise InvalidOption(
            f"ToolCall(index={shown(part.index)}): a fragment came when its call had ended: "
            "yield all of a call before text, thinking or a result"
        )

    def _close_calls(self) -> bytes:
        calls, self._open_calls = self._open_calls, []
        return b"".join(map(self._end_call, calls))

    def _close_words(self) -> bytes:
        kind, self._open = self._open, None
        match kind:
            case _Kind.TEXT:
                return self.text_ends()
            case _Kind.THINKING:
                return self.reasoning_ends()
        return b""


class SequentialBlocks(BlockEncoder):
    """For protocols that have one block open at a time, where it is a call too.

    Calls whose fragments interleave follow each other: what comes of a later one is
    held until the open one is whole, that is, its name is there and its arguments are an
    object, or until something else begins. Calls that come one after the other go out live.
    """

    def _grow(self, call: Call) -> bytes:
        frames = []
        # Another's pieces change nothing of the open one: its arguments are not read again.
        if call is self._open_calls[0] or len(call.pieces) == 1:
            while len(self._open_calls) > 1 and _is_whole(self._open_calls[0]):
                frames.append(self._end_call(self._open_calls.pop(0)))
            frames.append(super()._grow(self._open_calls[0]))
        return b"".join(frames)


def _is_whole(call: Call) -> bool:
    if not call.name:
        return False
    # No arguments yet may be all there are, or not: another call does not tell.
    last = next((piece for piece in reversed(call.pieces) if piece.strip()), "")
    return last.rstrip().endswith("}") and arguments_object(call.arguments) is not None
