"""When a reader that waits has something else to do. Pure: it is told the time."""

from __future__ import annotations

from math import inf
from typing import Literal

__all__ = ["Schedule"]

Due = Literal["keep_alive", "source_timeout", "max_duration"]


class Schedule:
    """The three deadlines of a stream, in the seconds of whoever tells the time."""

    __slots__ = (
        "_end",
        "_keep_alive",
        "_last_part",
        "_last_write",
        "_parts",
        "_source_timeout",
        "max_duration",
        "source_timeout",
    )

    def __init__(
        self,
        now: float,
        *,
        keep_alive: float | None,
        source_timeout: float | None,
        max_duration: float | None,
    ) -> None:
        self.source_timeout = source_timeout
        self.max_duration = max_duration
        self._keep_alive = inf if keep_alive is None else keep_alive
        self._source_timeout = inf if source_timeout is None else source_timeout
        self._end = inf if max_duration is None else now + max_duration
        self._last_write = now
        self._last_part = now
        self._parts = 0

    def wrote(self, now: float, parts: int | None = None) -> None:
        """Bytes went out: only a comment, or of parts, of which so many came so far."""
        self._last_write = now
        if parts is not None:
            self._last_part = now
            self._parts = parts

    def next(self, now: float, parts: int) -> float:
        """Return when something is due, infinity if never. `parts`: see `due`."""
        if parts != self._parts:
            self._parts = parts
            self._last_part = now
        return min(
            self._last_write + self._keep_alive, self._last_part + self._source_timeout, self._end
        )

    def over(self, now: float) -> bool:
        """Tell whether the stream has lasted as long as it may."""
        return now >= self._end

    def limit(self) -> float:
        """Return when the stream fails if nothing comes, infinity if never."""
        return min(self._last_part + self._source_timeout, self._end)

    def passed(self, now: float, parts: int) -> Due | None:
        """Return which limit is passed. `parts`: see `due`."""
        due = self.due(now, parts)
        return None if due == "keep_alive" else due

    def due(self, now: float, parts: int) -> Due | None:
        """Return what is due. `parts`: how many came so far, those that send nothing included."""
        if now < self.next(now, parts):
            return None
        if now >= self._end:
            return "max_duration"
        if now >= self._last_part + self._source_timeout:
            return "source_timeout"
        return "keep_alive"
