"""Flask's contexts, kept until the last token.

A request's contexts, and with them `request`, `session` and `g`, are context
variables: the stream's copy of the view's context carries the very same ones
to the pump. What must be seen to is their end. Flask pops them, and so tears
them down, when the view's response is handed to the server, before the first
token. A context that was pushed twice is torn down by the second pop only, so
a `Lease` pushes each once more meanwhile, and pops it when the stream is over.

Flask's own `stream_with_context` pushes them at the first chunk, when they have
been torn down once already: it tears down twice (3.1.3), and it has to end in
the thread it began in.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from functools import partial
from typing import Any, TypeAlias

from flask.globals import app_ctx, request_ctx

from tokenstream import Result

__all__ = ["Lease", "hold_apart", "hold_here"]

log = logging.getLogger("tokenstream")

Release: TypeAlias = Callable[[BaseException | None], None]


class Lease:
    """Keeps the contexts of one request until all who use them are done: one teardown then.

    There are two: the response's body, and the source, which may outlast a
    reader that left by as long as its `next()` blocks.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._release: Release | None = None
        self._error: BaseException | None = None

    def take(self) -> None:
        """Keep the current request's contexts, as one who uses them; before Flask pops them."""
        self._release = hold()
        self.join()

    def join(self) -> None:
        """Use them, too."""
        with self._lock:
            self._users += 1

    def leave(self, error: BaseException | None = None) -> None:
        """Be done with them. `error`: what the teardown functions are to hear of."""
        with self._lock:
            self._users -= 1
            self._error = self._error or error
            if self._users or self._release is None:
                return
            release, self._release = self._release, None
        release(self._error)

    def until_finished(self, on_finish: Callable[[Result], Any] | None) -> Callable[[Result], Any]:
        """Return an `on_finish` that leaves the lease after calling the one given."""

        def finish(result: Result) -> Awaitable[None] | None:
            with contextlib.ExitStack() as stack:
                leave = stack.callback(partial(self.leave, result.error))
                finishing = None if on_finish is None else on_finish(result)
                if inspect.isawaitable(finishing):
                    stack.pop_all()
                    return _awaited(finishing, leave)
            return None

        return finish


async def _awaited(finishing: Awaitable[object], leave: Callable[[], None]) -> None:
    try:
        await finishing
    finally:
        await asyncio.to_thread(leave)  # teardown functions may block


def hold() -> Release:
    """Push the current request's contexts once more; return what pops them."""
    return hold_apart() if _has_stacks() else hold_here()


def hold_apart() -> Release:
    """Hold them in a context of their own, from where any thread may pop them.

    Flask's thread has nothing of the request in it once the view's response is
    out of hand, so that another request there, as in a test that has two
    streams open, does not share this one's `g`; and streams may be closed in
    any order and by any thread.

    There is no public way to this: a pop takes the newest push, and this one
    has to outlast an older one, which only moving it down the stack does.
    """
    context = copy_context()
    held = [
        (flask_context, _push_below(flask_context, context.run)) for flask_context in _current()
    ]

    def release(error: BaseException | None) -> None:
        with contextlib.ExitStack() as stack:
            for flask_context, entry in held:
                stack.callback(_pop, flask_context, entry, context.run, error)

    return release


def hold_here() -> Release:
    """Hold them in this thread, by Flask's public means: for a Flask that keeps other books."""
    *_, request_context = _current()
    request_context.push()

    def release(error: BaseException | None) -> None:
        try:
            request_context.pop(error)
        except Exception:
            # Another thread closes the response, or streams close out of order.
            log.exception("the request's contexts could not be popped")

    return release


def _current() -> tuple[Any, Any]:
    # In this order, so that a push of the second does not make an app context of its own.
    return app_ctx._get_current_object(), request_ctx._get_current_object()  # type: ignore[attr-defined]  # of a proxy


def _has_stacks() -> bool:
    stacks = [getattr(flask_context, "_cv_tokens", None) for flask_context in _current()]
    return all(isinstance(stack, list) and stack for stack in stacks)


def _push_below(flask_context: Any, run: Callable[..., Any]) -> object:
    run(_push, flask_context)
    stack: list[object] = flask_context._cv_tokens
    entry = stack.pop()
    stack.insert(0, entry)
    return entry


def _push(flask_context: Any) -> None:
    # A request context matches its URL again: what a url_value_preprocessor
    # took from the view's arguments would be back.
    request = getattr(flask_context, "request", None)
    view_args = getattr(request, "view_args", None)
    flask_context.push()
    if request is not None:
        request.view_args = view_args


def _pop(flask_context: Any, entry: object, run: Callable[..., Any], error: object) -> None:
    stack: list[object] = flask_context._cv_tokens
    stack.remove(entry)
    stack.append(entry)
    run(flask_context.pop, error)
