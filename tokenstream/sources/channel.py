"""A channel: parts are pushed in on one side and iterated over on the other.

For what calls back instead of yielding, and for producers in other threads:

    sender, source = channel()
    threading.Thread(target=work, args=(sender,)).start()  # with sender: sender.send("a")
    return TokenStreamResponse(source)
"""

from __future__ import annotations

import weakref
from asyncio import get_running_loop
from types import TracebackType

from ..clock import current_clock
from ..errors import ChannelFull, InvalidOption, SourceCancelled
from ..gates import LoopGate, ThreadGate
from .channel_state import END, State

__all__ = ["ChannelSource", "Sender", "channel"]


def channel(capacity: int = 1024) -> tuple[Sender, ChannelSource]:
    """Return the two sides of a new channel, which holds `capacity` parts for a slow reader.

    Raises `InvalidOption` for a capacity that is no whole number above 0.
    """
    if not (isinstance(capacity, int) and capacity > 0):
        raise InvalidOption(f"capacity={capacity!r}: give a number of parts above 0")
    state = State(capacity)
    return Sender(state), ChannelSource(state)


_NO_FAILURE = (StopIteration, StopAsyncIteration)


class Sender:
    """The side that pushes; any number of threads and tasks may share it.

    `with sender:` closes the channel, or fails it with what was raised inside.
    After the reader has gone, a send raises `ReaderLeft`; after `close` and
    `fail`, `ChannelClosed`.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        weakref.finalize(self, state.drop).atexit = False

    def send(self, part: object, timeout: float | None = None) -> None:
        """Send from a thread; block while the channel is full.

        timeout: seconds to block, None for as long as it takes. Raises
        `ChannelFull` after it, and at once on a loop's thread, which must not block.
        """
        clock = current_clock.get()
        until = None if timeout is None else clock.now() + timeout
        gate = ThreadGate(clock)
        try:
            while not self._state.put(part, gate):
                if _loop_runs_here():
                    raise ChannelFull("the channel is full: on a loop, `await sender.asend(part)`")
                if until is not None and clock.now() >= until:
                    raise ChannelFull(f"the channel is full, and was for {timeout} seconds")
                gate.wait(until)
        finally:
            self._state.forget(gate)

    async def asend(self, part: object) -> None:
        """Send from a task; wait while the channel is full."""
        gate = LoopGate()
        try:
            room = gate.arm()
            while not self._state.put(part, gate):
                await room
                room = gate.arm()
        finally:
            self._state.forget(gate)

    def send_nowait(self, part: object) -> None:
        """Send from anywhere; raise `ChannelFull` where `send` would wait."""
        if not self._state.put(part, None):
            raise ChannelFull("the channel is full: the reader is behind")

    def close(self) -> None:
        """End the source; what was sent before is still read."""
        self._state.close(None)

    def fail(self, error: BaseException) -> None:
        """End the source: it raises `error` after what was sent before.

        What would not look like a failure there, such as `StopIteration` or
        `CancelledError`, arrives as `SourceCancelled`.
        """
        if isinstance(error, Exception) and not isinstance(error, _NO_FAILURE):
            self._state.close(error)
            return
        ended = SourceCancelled(f"the channel's sender was ended by {type(error).__name__}")
        ended.__cause__ = error
        self._state.close(ended)

    def __enter__(self) -> Sender:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close() if error is None else self.fail(error)


class ChannelSource:
    """The side that is read, once, with `for` or `async for`."""

    def __init__(self, state: State) -> None:
        self._state = state
        weakref.finalize(self, state.leave).atexit = False

    def __iter__(self) -> ChannelSource:
        return self

    def __next__(self) -> object:
        gate = ThreadGate(current_clock.get())
        try:
            while (taken := self._state.take(gate)) is None:
                gate.wait(None)
        finally:
            self._state.forget(gate)
        if taken is END:
            raise StopIteration
        return taken[0]

    def __aiter__(self) -> ChannelSource:
        return self

    async def __anext__(self) -> object:
        gate = LoopGate()
        try:
            ready = gate.arm()
            while (taken := self._state.take(gate)) is None:
                await ready
                ready = gate.arm()
        finally:
            self._state.forget(gate)
        if taken is END:
            raise StopAsyncIteration
        return taken[0]

    def interrupt(self) -> None:
        """Stop reading, from any thread: `next` ends, and senders get `ReaderLeft`."""
        self._state.leave()

    def close(self) -> None:
        """Do what `interrupt` does."""
        self._state.leave()

    async def aclose(self) -> None:
        """Do what `interrupt` does."""
        self._state.leave()


def _loop_runs_here() -> bool:
    try:
        get_running_loop()
    except RuntimeError:
        return False
    return True
