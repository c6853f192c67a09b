"""The one place that knows the order: opening, parts, exactly one terminal.

Pure: no clock, no I/O, no thread. A driver feeds it what the source does and
sends what it returns.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from . import errors
from .calls import Calls
from .chunks import PARTS, Chunks
from .parts import Finish, FinishReason, Reasoning, Relayed, Step, TextPieces, ToolCall, Usage
from .shown import shown, type_name
from .sse import Event
from .wires.base import Encoder, Wire

__all__ = ["END_SUFFIX", "Gathered", "Machine", "State", "message_for", "public_message"]

log = logging.getLogger("tokenstream")

_ITEMS = (*PARTS, bytes, bytearray, memoryview)
"""What is itself a part: all else is a chunk, or nothing that is known."""

END_SUFFIX = ".end"
"""`id: <run>` is on the first event, `id: <run>.end` on the terminal."""


class State(Enum):
    """Where a stream is. It moves down only."""

    BEFORE = "before the first part"
    STREAMING = "parts"
    ENDED = "after the terminal"


def public_message(error: BaseException) -> str:
    """Return what a reader is told of `error` by default: it names no internals."""
    match error:
        case errors.SourceTimeout() | errors.DurationExceeded():
            return "generation timed out"
        case errors.SizeExceeded():
            return "the reply is too long"
        case errors.SourceCancelled():
            return "generation was cancelled"
        case errors.ServerShutdown():
            return "the server is shutting down"
        case _:
            return "generation failed"


def message_for(error: BaseException, on_error: Callable[[BaseException], str] | None) -> str:
    """Return what a reader is told of `error` where the app has words of its own for it.

    Raises nothing: an `on_error` that raises, or returns no text, is logged.
    """
    if on_error is None:
        return public_message(error)
    try:
        message = on_error(error)
    except KeyboardInterrupt:
        raise
    except BaseException:  # SystemExit, say, which would end a loop that streams share
        log.exception("on_error raised: the reader gets the default message")
        return public_message(error)
    if isinstance(message, str):
        return str.__str__(message)
    log.error(
        "on_error returned %s, not a str: the reader gets the default message",
        type_name(message),
    )
    if inspect.iscoroutine(message):
        message.close()  # it would complain that it was never awaited
    return public_message(error)


@dataclass(slots=True)
class Gathered:
    """What the parts add up to, for `Result`."""

    texts: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: Calls = field(default_factory=Calls)
    usage: Usage | None = None
    finish_reason: FinishReason | None = None

    def add(self, part: object) -> None:
        """Take note of a part that is not text.

        Raises `InvalidOption` for one that could not be told in `Result`.
        """
        match part:
            case Reasoning():
                self.reasoning.append(_checked_text(part))
            case ToolCall():
                self.calls.add(part)
            case Step():
                self.calls.next_round()
            case Usage():
                self.usage = part
            case Finish():
                self.finish_reason = part.reason


def _checked_text(part: Reasoning) -> str:
    """Return the text as what can be joined, whatever its class adds to that."""
    try:
        return str.__str__(part.text)
    except TypeError:
        given = f"Reasoning(text={shown(part.text)})"
        raise errors.InvalidOption(f"{given}: text must be a str") from None


class Machine:
    """Parts in, frames out.

    wire: what encodes. run_id: where given, the first event carries it as its
    id and the terminal `<run_id>.end`, so that a browser's EventSource can be
    told to stop when it reconnects. on_error: exception -> public message.

    in_band: whether even a failure before the first part is told in the stream, since
    a reader would answer an HTTP error by starting the source again.
    """

    __slots__ = (
        "_add_text",
        "_chunks",
        "_encode_text",
        "_encoder",
        "_has_ids",
        "_id_due",
        "_is_open",
        "_joins",
        "_kept",
        "_on_error",
        "_pieces",
        "_run_id",
        "gathered",
        "in_band",
        "parts",
        "state",
    )

    def __init__(
        self,
        wire: Wire,
        run_id: str | None = None,
        on_error: Callable[[BaseException], str] | None = None,
    ) -> None:
        self.state = State.BEFORE
        self.parts = 0
        self.gathered = Gathered()
        self._encoder = wire.begin()
        self._run_id = run_id
        self._id_due = run_id is not None
        self._has_ids = self._id_due
        self.in_band = self._id_due and bool(wire.closing)
        self._on_error = on_error
        self._pieces: TextPieces | None = None
        self._chunks: Chunks | None = None
        self._kept = b""  # made of a batch, or of a chunk, before the wire raised in the middle
        # In the middle of the stream and not of a character: one look a token, not two
        # (a member of an enum costs 50 ns).
        self._is_open = False
        self._joins = type(self._encoder).texts is not Encoder.texts
        self._encode_text = self._encoder.text
        self._add_text = self.gathered.texts.append

    @property
    def overhead(self) -> int:
        """Bytes of a token's frame that are not the token, about."""
        return self._encoder.overhead

    def part(self, item: object) -> bytes:
        """Return the frames of one part: none for an empty token, or after the end.

        An SDK's chunk is as many parts as it says something, maybe none.

        Raises `UnknownPart`, `UnsupportedPart` and `UpstreamError`; the stream is still open
        then.
        """
        if self._is_open and type(item) is str:
            # A token in the middle of a stream, which nearly every call is.
            self.parts += 1
            if not item and not self._encoder.verbatim:
                return b""
            self._add_text(item)
            return (
                self._with_id(self._encode_text(item)) if self._id_due else self._encode_text(item)
            )
        if self.state is State.ENDED:
            return b""
        if not (self._encoder.verbatim or issubclass(type(item), _ITEMS)):
            return self._relay(item) if type(item) is Relayed else self._chunk(item)
        frames = self._frames(item)
        if self.state is State.BEFORE:
            frames = self._encoder.opening() + frames
            self.state = State.STREAMING
        self.parts += 1
        self._is_open = self._pieces is None
        return self._with_id(frames)

    @property
    def relays(self) -> str | None:
        """The protocol whose events, as they came, are taken in place of parts."""
        return self._encoder.relays

    def texts(self, tokens: list[str]) -> bytes:
        """Return the frames of many tokens: what `part` gives for each, joined."""
        if len(tokens) == 1:
            return self.part(tokens[0])  # a join would cost a token that comes alone
        if not (self._is_open and self._joins):
            return self._each(tokens)
        texts = tokens
        if "" in tokens and not self._encoder.verbatim:
            texts = [token for token in tokens if token]
        frames = self._encoder.texts(texts) if texts else b""
        self.parts += len(tokens)
        self.gathered.texts += texts
        return self._with_id(frames) if self._id_due else frames

    def _each(self, parts: Iterable[object]) -> bytes:
        """Frame one by one; what is made before one raises goes out with the failure end."""
        frames: list[bytes] = []
        try:
            for part in parts:
                frames.append(self.part(part))
        except Exception:
            self._kept = b"".join(frames)
            raise
        return b"".join(frames)

    def finish(self) -> bytes:
        """Return the success end, once.

        Raises what the wire raises for what it was to tell at the end, usage
        say, and `UpstreamError` where an SDK's reply was cut; the stream is
        still open then, for `fail`.
        """
        if self.state is State.ENDED:
            return b""
        if self._chunks is not None:
            self._chunks.end()
        opening = self._encoder.opening() if self.state is State.BEFORE else b""
        tail, done = opening + self._cut_character(), self._encoder.done()
        self._close()
        return self._with_id(tail) + self._with_end_id(done)

    def fail(self, error: BaseException) -> bytes:
        """Return the failure end, once. Nothing of `error` is in it but what `on_error` says.

        Raises nothing: a wire that can't even tell a failure is cut.
        """
        if self.state is State.ENDED:
            return b""
        self._close()
        tail = self._with_id(self._kept + self._last_character())
        try:
            message = message_for(error, self._on_error)
            return tail + self._with_end_id(self._encoder.failure(message, error))
        except Exception:
            log.exception("the wire's error frame raised: the stream ends with no terminal")
            return tail

    def _close(self) -> None:
        self.state = State.ENDED
        self._is_open = False

    def _last_character(self) -> bytes:
        try:
            return self._cut_character()
        except Exception:
            log.exception("the wire raised at the rest of a character, which is lost")
            return b""

    def keep_alive(self) -> bytes:
        """Return what goes out while nothing comes.

        Where ids are on a comment has no blank line: decoders that share httpx-sse's
        ancestry dispatch an empty event on any blank line once an id was set. An event
        has its own, or it would be joined to the next.
        """
        frame = self._encoder.keep_alive()
        if self._has_ids and not self._encoder.verbatim and frame.startswith(b":"):
            return frame.removesuffix(b"\n")
        return frame

    def _frames(self, item: Any) -> bytes:
        # By its type: what only says of itself that it is text, as a proxy does, is none.
        kind = type(item)
        if not self._encoder.verbatim and issubclass(kind, bytes | bytearray | memoryview):
            if self._pieces is None:
                self._pieces = TextPieces()
            return self._text(self._pieces.feed(bytes(item)))
        # Another kind of part ends what was cut of a character before it.
        cut = self._cut_character()
        if issubclass(kind, str):
            # Of a subclass, an enum say, its text and not what it prints as.
            return cut + self._text(str.__str__(item))
        return cut + self._plain(item)

    def _plain(self, part: object) -> bytes:
        frames = self._encoder.part(part)
        if isinstance(part, Event) and part.id is not None:
            self._has_ids = True
        self.gathered.add(part)
        if self._chunks is not None and isinstance(part, Finish):
            self._chunks.finished()
        return frames

    def _relay(self, item: Relayed) -> bytes:
        frames = self._encoder.relay(item.events)
        self.state = State.STREAMING  # with the upstream's own opening
        for _, parts in item.events:
            self.parts += len(parts)
            for part in parts:
                if type(part) is str:
                    self._add_text(part)
                else:
                    self.gathered.add(part)
        return self._with_id(frames)

    def _chunk(self, item: object) -> bytes:
        # Nothing of it counts but its parts: `prime` and `ttft` wait for the first of them.
        if self._chunks is None:
            self._chunks = Chunks()
        return self._each(self._chunks.parts(item))

    def _text(self, text: str) -> bytes:
        if not text and not self._encoder.verbatim:
            return b""
        self._add_text(text)
        return self._encode_text(text)

    def _cut_character(self) -> bytes:
        if self._pieces is None:
            return b""
        pieces, self._pieces = self._pieces, None
        return self._text(pieces.end())

    def _with_id(self, frames: bytes) -> bytes:
        if not self._id_due or not frames:
            return frames
        self._id_due = False
        return f"id: {self._run_id}\n".encode("ascii") + frames

    def _with_end_id(self, frames: bytes) -> bytes:
        if self._run_id is None:
            return frames
        return f"id: {self._run_id}{END_SUFFIX}\n".encode("ascii") + frames
