"""What a framework lends to the streams in it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["CLEAN_UP_SECONDS", "Host"]

CLEAN_UP_SECONDS = 30.0
"""How long a task waits for an async source's own clean-up."""


def _no_response(_: object) -> bool:
    return False


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Host:
    """What a framework lends to the streams in it.

    scope: entered around all sync work of the stream, on the thread that does it.
    on_first_part: called with the first part, where the source runs, before the part
        goes on: on the thread of a sync source, on the loop of an async one.
    is_response: tells a finished response, which is passed through, from a source.
    shared_loop: run async sources on the process's shared loop, though a loop
        runs where the stream is made: that one is about to end.
    run_id: ids for the first event and the terminal, see `Machine`.
    has_left: looks, from the reader's thread, whether the reader has gone.
    hang_up: ends a write to a reader that has taken nothing for `send_timeout`; from
        any thread, and maybe too late.
    inline: run a sync source that needs no clock in the reader's own thread; not
        where one thread primes the stream and a loop then reads it.
    clean_up_seconds: how long a task waits for an async source's own clean-up,
        None for as long as it takes; what takes longer goes on alone.
    """

    scope: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext
    on_first_part: Callable[[], None] = _nothing
    is_response: Callable[[object], bool] = _no_response
    shared_loop: bool = False
    run_id: str | None = None
    has_left: Callable[[], bool] | None = None
    hang_up: Callable[[], None] | None = None
    inline: bool = True
    clean_up_seconds: float | None = CLEAN_UP_SECONDS
