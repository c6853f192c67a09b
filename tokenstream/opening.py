"""What a source is, how it is opened, and how it is closed."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any, TypeGuard

from .errors import FinishedTooLate, ForeignLoop, NotASource

__all__ = [
    "Returns",
    "aclose_all",
    "aenter",
    "check_source",
    "close_all",
    "enter",
    "explained",
    "is_async",
    "is_factory",
    "loop_runs_here",
    "makes_async",
    "open_async",
    "open_sync",
    "refuse_opened",
    "runs_on_loop",
    "too_late",
]

log = logging.getLogger("tokenstream")


def check_source(source: object) -> None:
    """Raise `NotASource` for what can't be one, before anything is started."""
    if isinstance(source, str | bytes | bytearray | dict):
        raise NotASource(
            f"the source is a {type(source).__name__}, which would be streamed in "
            f"{'keys' if isinstance(source, dict) else 'single characters'}: "
            "give an iterable of tokens, such as [text]"
        )
    if inspect.isgenerator(source) and inspect.getgeneratorstate(source) == inspect.GEN_CLOSED:
        raise NotASource("the source is a generator that is exhausted already: make a new one")
    if inspect.isasyncgen(source) and source.ag_frame is None:
        raise NotASource("the source is a generator that is exhausted already: make a new one")
    if inspect.iscoroutine(source) and inspect.getcoroutinestate(source) == inspect.CORO_CLOSED:
        raise NotASource("the source is a coroutine that was awaited already: call it again")
    if isinstance(source, Iterable | AsyncIterable) or hasattr(source, "__getitem__"):
        return
    if callable(source) or inspect.isawaitable(source) or is_manager(source):
        return
    raise NotASource(
        f"the source is {type(source).__name__}, which can't be iterated: give an iterable or "
        "async iterable of tokens, an awaitable or a context manager of one, or a callable "
        "that returns one"
    )


def is_async(source: object) -> bool:
    """Tell whether a source can only be read on a loop, as far as it shows before it is called."""
    if isinstance(source, AsyncIterable):
        return not isinstance(source, Iterable)
    if is_manager(source):
        return not hasattr(type(source), "__enter__")
    return inspect.isawaitable(source) or (is_factory(source) and makes_async(source))


def refuse_opened(source: object) -> None:
    """Raise `ForeignLoop` for a source that is bound to the passing loop of an async view.

    Under WSGI that loop ends with the view, before the stream begins.
    """
    unbound = inspect.iscoroutine(source) or inspect.isasyncgen(source) or is_factory(source)
    if is_async(source) and not (unbound or is_manager(source)):
        raise ForeignLoop(
            f"the source ({type(source).__name__}) was opened on the loop of an async view under "
            "WSGI, which ends before the stream: give a callable, such as "
            "`lambda: client.chat.completions.create(..., stream=True)`, "
            "so that it is opened where it is read"
        )


def loop_runs_here() -> bool:
    """Tell whether an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def runs_on_loop(source: object, *, wants_async: bool) -> bool:
    """Tell whether a source is read on a loop; of one that is both, the reader's kind decides."""
    if isinstance(source, AsyncIterable) and isinstance(source, Iterable):
        return wants_async
    if is_manager(source) and hasattr(type(source), "__enter__"):
        return wants_async and hasattr(type(source), "__aenter__")
    return is_async(source)


def is_factory(source: object) -> TypeGuard[Callable[[], Any]]:
    """Tell whether a source is to be called for the real one."""
    is_iterable = isinstance(source, Iterable | AsyncIterable)
    return callable(source) and not (is_iterable or is_manager(source))


def is_manager(source: object) -> bool:
    """Tell whether a source is to be entered for the real one, and left at the end.

    As SDKs' `stream()` helpers are, which make their request there.
    """
    kind = type(source)
    is_iterable = isinstance(source, Iterable | AsyncIterable)
    return not is_iterable and (hasattr(kind, "__enter__") or hasattr(kind, "__aenter__"))


def makes_async(source: object) -> bool:
    """Tell whether calling it gives something for a loop, as far as can be seen before."""
    partial_of: Any = getattr(source, "func", source)
    function = inspect.unwrap(partial_of)
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


class _Entered:
    """What a context manager gave, and the manager: iterating it costs a token nothing."""

    def __init__(self, given: Any, leave: Callable[..., object]) -> None:
        self._given = given
        self._leave = leave

    def close(self) -> object:
        """Leave the manager; of an async one, an awaitable."""
        return self._leave(None, None, None)


class _EnteredSync(_Entered):
    def __iter__(self) -> Iterator[object]:
        return open_sync(self._given)


class _EnteredAsync(_Entered):
    def __aiter__(self) -> AsyncIterator[object]:
        return open_async(self._given)


def enter(source: Any) -> Any:
    """Return a source that is open: of a sync context manager, what it gave."""
    if not is_manager(source) or not hasattr(type(source), "__enter__"):
        return source
    return _EnteredSync(source.__enter__(), source.__exit__)


async def aenter(source: Any) -> Any:
    """Return a source that is open: of an async context manager, what it gave."""
    if not is_manager(source) or not hasattr(type(source), "__aenter__"):
        return source
    return _EnteredAsync(await source.__aenter__(), source.__aexit__)


def open_sync(source: Any) -> Iterator[object]:
    """Return the iterator of a sync source, or raise `NotASource`."""
    _check_iterable(source, "__iter__", "__getitem__")
    return iter(source)


def open_async(source: Any) -> AsyncIterator[object]:
    """Return the iterator of an async source, or raise `NotASource`."""
    _check_iterable(source, "__aiter__")
    return aiter(source)


def _check_iterable(source: object, *methods: str) -> None:
    check_source(source)
    # By its type, as `iter` does, and not by the TypeError: that may be the source's own.
    # A method that is None says that there is none, whatever else there is.
    known = [getattr(type(source), name) for name in methods if hasattr(type(source), name)]
    if not known or known[0] is None:
        raise NotASource(
            f"the source gave {type(source).__name__}, which can't be iterated: "
            "return an iterable or async iterable of tokens"
        )


def close_all(*things: object) -> None:
    """Close what can be closed; what that raises is logged."""
    for thing in _each(things):
        close = getattr(thing, "close", None)
        if not callable(close):
            continue
        try:
            close()
        except BaseException:  # KeyboardInterrupt and SystemExit too: see `_SyncLife`
            log.exception("closing the source raised")


async def aclose_all(*things: object) -> None:
    """Close what can be closed, awaiting where it must be; what that raises is logged.

    Raises what is not the source's: `KeyboardInterrupt`, `SystemExit`, and the
    caller's own cancellation.
    """
    task = asyncio.current_task()
    cancelled = task.cancelling() if task is not None else 0
    for thing in _each(things):
        close = getattr(thing, "aclose", None) or getattr(thing, "close", None)
        if not callable(close):
            continue
        try:
            closing = close()
            if inspect.isawaitable(closing):
                await closing
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            is_cancelled = isinstance(error, asyncio.CancelledError)
            if is_cancelled and task is not None and task.cancelling() > cancelled:
                raise
            log.exception("closing the source raised")


def _each(things: Iterable[object]) -> Iterable[object]:
    seen: list[object] = []
    for thing in things:
        if thing is not None and not any(thing is other for other in seen):
            seen.append(thing)
    return seen


def explained(error: BaseException) -> BaseException:
    """asyncio says in words only that a thing belongs to another loop, or to a closed one."""
    words = ("attached to a different loop", "bound to a different event loop", "loop is closed")
    said = error.args[0] if isinstance(error, RuntimeError) and error.args else None
    # Not by `str(error)`: that is the code of whoever raised it.
    if not isinstance(said, str) or not any(word in said for word in words):
        return error
    explained = ForeignLoop(
        "the source belongs to another event loop than the one that reads it: "
        "give a callable, such as `lambda: client.create(...)`, "
        "so that it is opened where it is read"
    )
    explained.__cause__ = error
    return explained


def too_late(response: object) -> FinishedTooLate:
    """Return the error for a response that came after the stream had begun."""
    return FinishedTooLate(
        f"the source returned {type(response).__name__} after the stream had begun: "
        "return a response before the first token, and within `prime` seconds"
    )


class Returns:
    """An iterator of nothing that ends with a value, for either kind of driver."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __iter__(self) -> Iterator[object]:
        return self

    def __next__(self) -> object:
        raise StopIteration(self.value)

    def __aiter__(self) -> AsyncIterator[object]:
        return self

    async def __anext__(self) -> object:
        raise StopAsyncIteration
