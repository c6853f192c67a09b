"""What the two sides of a channel share, and neither holds the other by."""

from __future__ import annotations

import threading
from collections import deque

from ..errors import AlreadyRead, ChannelClosed, ReaderLeft, SourceCancelled
from ..gates import Gate

__all__ = ["END", "State"]

END: tuple[object] = ("end",)
"""What `State.take` returns when nothing follows."""


class State:
    """Parts on their way, who waits for what, and who has gone."""

    def __init__(self, capacity: int) -> None:
        # Reentrant: a collection inside of it may drop a side.
        self._lock = threading.RLock()
        self._capacity = capacity
        self._parts: deque[object] = deque()
        self._senders: set[Gate] = set()
        self._reader: Gate | None = None
        self._closed = False
        self._left = False
        self._error: Exception | None = None

    def put(self, part: object, gate: Gate | None) -> bool:
        """Add a part, or return False; `gate` is woken when there may be room."""
        with self._lock:
            if self._left:
                raise ReaderLeft("the reader of this channel has gone: stop sending")
            if self._closed:
                raise ChannelClosed("this channel was closed: send before close() and fail()")
            if len(self._parts) >= self._capacity:
                if gate is not None:
                    self._senders.add(gate)
                return False
            self._parts.append(part)
            self._wake_reader()
            return True

    def take(self, gate: Gate) -> tuple[object] | None:
        """Return a part in a tuple, `END`, or None; then `gate` is woken."""
        with self._lock:
            if self._reader not in (None, gate):
                raise AlreadyRead("two read this channel at once: a channel has one reader")
            if self._parts and not self._left:
                part = self._parts.popleft()
                self._wake_senders()
                return (part,)
            if self._closed or self._left:
                return self._end()
            self._reader = gate
            return None

    def _end(self) -> tuple[object]:
        error, self._error = self._error, None
        if error is not None and not self._left:
            raise error
        return END

    def close(self, error: Exception | None) -> None:
        """Nothing follows what was sent, but the error if there is one. The first word counts."""
        with self._lock:
            if not self._closed:
                self._closed, self._error = True, error
                self._wake_senders()
                self._wake_reader()

    def drop(self) -> None:
        """The sender was collected; nobody can end the channel any more."""
        self.close(SourceCancelled("the channel's sender was dropped without close() or fail()"))

    def leave(self) -> None:
        """The reader has gone."""
        with self._lock:
            self._left = True
            self._parts.clear()
            self._wake_senders()
            self._wake_reader()

    def forget(self, gate: Gate) -> None:
        """It waits no more."""
        with self._lock:
            self._senders.discard(gate)
            if self._reader is gate:
                self._reader = None

    def _wake_senders(self) -> None:
        senders, self._senders = self._senders, set()
        for gate in senders:
            gate.wake()

    def _wake_reader(self) -> None:
        if self._reader is not None:
            self._reader.wake()
