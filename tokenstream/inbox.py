"""The bounded hand-over between the pump and the reader.

One producer, one reader, and no lock: a list's append is atomic, and so are a
copy and a deletion of its head; each count has one writer, and each side makes
its gate known before it looks again whether it must wait.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from .gates import Gate

__all__ = ["Inbox", "Sink"]

Sink: TypeAlias = Callable[[bytes], Coroutine[Any, Any, None]]
"""Writes frames for the reader, awaited by the producer."""


class _Last(bytes):
    """The frames that end the stream: the mark travels with them, so none can be lost behind it."""


class Inbox:
    """Frames on their way. `high_water`: bytes held before the producer should wait."""

    __slots__ = (
        "_put",
        "_taken",
        "finished",
        "frames",
        "high_water",
        "lender",
        "producer",
        "reader",
        "sink",
    )

    def __init__(self, high_water: int) -> None:
        self.high_water = high_water
        self.reader: Gate | None = None  # of a reader that waits for what comes next
        self.lender: Gate | None = None  # a reader that waits, and lends its sink meanwhile
        self.sink: Sink | None = None  # for the producer to use before it waits, on the same loop
        self.producer: Gate | None = None  # known while the producer waits
        self.finished = False  # the reader has taken the last frames
        self.frames: list[bytes] = []  # an idle deque holds 760 bytes
        self._put = 0
        self._taken = 0

    def put(self, frames: bytes) -> bool:
        """Add frames, wake a reader that waits for them; return whether there is room for more."""
        self._put += len(frames)
        self.frames.append(frames)
        if (reader := self.reader) is not None:
            self.reader = None
            reader.wake()
        return self._put - self._taken < self.high_water

    def end(self, frames: bytes) -> None:
        """Add the last frames, maybe none."""
        self.put(_Last(frames))
        self.wake_reader()

    def wake_reader(self) -> None:
        """Let the reader look; what it lent is its own again."""
        reader = self.reader or self.lender
        self.withdraw()
        if reader is not None:
            reader.wake()

    def lend(self, gate: Gate, sink: Sink) -> None:
        """Know a reader that waits, to be woken by the last frames; others go to its sink."""
        self.lender, self.sink = gate, sink

    def withdraw(self) -> None:
        """The reader waits no longer."""
        self.reader = self.lender = self.sink = None

    def room(self) -> int:
        """Tell the producer how many bytes it may add."""
        return self.high_water - self._put + self._taken

    def has_room(self) -> bool:
        """Tell the producer whether it may go on."""
        return self._put - self._taken < self.high_water

    def is_empty(self) -> bool:
        """Tell the reader whether there is nothing to take."""
        return not self.frames

    def take(self) -> bytes:
        """Return all that is ready, joined: one write for many tokens."""
        frames = self.frames
        count = len(frames)
        if not count:
            return b""
        if count == 1:
            ready = last = frames.pop(0)
        else:
            batch = frames[:count]
            del frames[:count]
            ready, last = b"".join(batch), batch[-1]
        if type(last) is _Last:
            self.finished = True
            ready = bytes(ready)  # PEP 3333: wsgiref takes no subclass
        self._taken += len(ready)
        if (producer := self.producer) is not None:
            self.producer = None
            producer.wake()
        return ready
