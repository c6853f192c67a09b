"""What an app has running beside an event stream, and what it is told of its end."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from starlette.types import Message, Receive

from tokenstream import TokenStream
from tokenstream.errors import InvalidOption, ServerShutdown

__all__ = ["Beside", "CloseHandler", "DataSender", "ShutdownEvent", "Work"]

log = logging.getLogger("tokenstream")

DataSender = Callable[[], Awaitable[object]]
CloseHandler = Callable[[Message], Awaitable[object]]

_LEFT: Message = {"type": "http.disconnect"}


class ShutdownEvent(Protocol):
    """An `asyncio.Event` or an `anyio.Event`."""

    async def wait(self) -> object:
        """Wait until it is set."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a response was given, see `EventSourceResponse`."""

    sender: DataSender | None
    close_handler: CloseHandler | None
    shutdown_event: ShutdownEvent | None
    grace_seconds: float
    clean_up_seconds: float | None

    def __post_init__(self) -> None:
        event = self.shutdown_event
        if event is not None and not inspect.iscoroutinefunction(event.wait):
            raise InvalidOption(
                f"shutdown_event={event!r}: give an asyncio.Event or an anyio.Event, "
                "whose wait() does not hold the loop"
            )
        if self.grace_seconds < 0:
            raise InvalidOption("shutdown_grace_period must be >= 0")
        if self.clean_up_seconds is not None and self.clean_up_seconds < 0:
            raise InvalidOption("cleanup_timeout must be >= 0")


class Beside:
    """`async with Beside(work, stream, receive) as beside`, around the response.

    Entered before the stream begins, with a `receive` of its own for the
    watch; no task of it runs before the response first waits.
    """

    __slots__ = ("_closing", "_receive", "_stream", "_tasks", "_work")

    def __init__(self, work: Work, stream: TokenStream, receive: Receive) -> None:
        self._work = work
        self._stream = stream
        self._receive = receive
        self._tasks: list[asyncio.Task[None]] = []
        self._closing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Beside:
        if self._work.sender is not None:
            self._tasks.append(asyncio.create_task(self._send(self._work.sender)))
        if self._work.shutdown_event is not None:
            self._tasks.append(asyncio.create_task(self._end_after(self._work.shutdown_event)))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._work.clean_up_seconds)
        result = self._stream.result
        if error is None and result is not None and result.outcome == "disconnected":
            self._tell_app()  # a write may have shown it first
        if self._closing is not None:
            await self._closing

    async def receive(self) -> Message:
        """Return the next message; tell the app, before the source is closed, if it is the last."""
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._stream.at_end:
            self._tell_app()
        return message

    def _tell_app(self) -> None:
        handler = self._work.close_handler
        if handler is not None and self._closing is None:
            # A task of its own: the source is not to wait for it.
            self._closing = asyncio.create_task(_called(handler))

    async def _send(self, sender: DataSender) -> None:
        try:
            await sender()
        except Exception as error:
            if self._stream.result is None:
                self._stream.fail(error)
            else:  # such as that its channel is closed: nobody reads any more
                log.debug("data_sender_callable raised when its stream was over", exc_info=True)

    async def _end_after(self, event: ShutdownEvent) -> None:
        await event.wait()
        await asyncio.sleep(self._work.grace_seconds)
        self._stream.fail(ServerShutdown("the server was shut down while this stream was open"))


async def _called(handler: CloseHandler) -> None:
    try:
        await handler(dict(_LEFT))
    except Exception:
        log.exception("client_close_handler_callable raised")
