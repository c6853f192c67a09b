"""A thread for what an async source hands to `sync_to_async`: the async ORM above all.

Django runs such calls on the request's own thread. That serves only while the
view runs: under WSGI the view is over before its stream, and a sync view under
ASGI blocks the thread while it waits for the first part. So the source of such
a view gets a thread of its own.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import functools
import inspect
import threading
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager
from typing import Any, ParamSpec, TypeAlias, TypeVar

from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext

from tokenstream import Result
from tokenstream.clock import SYSTEM
from tokenstream.gates import ThreadGate
from tokenstream.native import settle, start_thread

__all__ = ["END_SECONDS", "OwnThread"]

T = TypeVar("T")
P = ParamSpec("P")

Scope: TypeAlias = Callable[[], AbstractContextManager[object]]
OnFinish: TypeAlias = Callable[[Result], Any]

END_SECONDS = 1.0
"""How long a stream's end waits for its thread's: a call that blocks can't be ended."""


class OwnThread(Executor):
    """One thread, started by the first call and ended with the stream.

    scope: entered on the thread around its whole life.

    A call that comes after the end starts another.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._lock = threading.Lock()
        self._jobs: _Jobs | None = None
        self._ended = _future()
        self._ended.set_result(None)  # there is none yet

    def lend_to(self, make: Callable[[], T]) -> T:
        """Call `make` in a context whose thread-sensitive calls come here.

        A stream keeps the context it was made in; the caller's is left as it was.
        """
        return contextvars.copy_context().run(self._enter, make)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a call on the thread."""
        future: Future[T] = Future()
        job = functools.partial(settle, future, functools.partial(fn, *args, **kwargs))
        with self._lock:
            if self._jobs is None:
                self._jobs = self._start()
            self._jobs.put(job)
        return future

    def tell(self, call: Callable[[], None]) -> None:
        """Run a call on the thread, if there is one; wait for nothing."""
        with self._lock:
            if self._jobs is not None:
                self._jobs.put(functools.partial(settle, Future(), call))

    def end(self) -> Future[None]:
        """End the thread after the calls it has; return what is done when it has ended."""
        with self._lock:
            jobs, self._jobs = self._jobs, None
            if jobs is not None:
                jobs.put(None)
            return self._ended

    def ending_after(self, on_finish: OnFinish | None) -> OnFinish:
        """Return an `on_finish` that ends the thread, too: the source is closed by then."""
        if inspect.iscoroutinefunction(on_finish):

            async def acall(result: Result) -> None:
                try:
                    await on_finish(result)
                finally:
                    await asyncio.wait({asyncio.wrap_future(self.end())}, timeout=END_SECONDS)

            return acall

        def call(result: Result) -> Any:
            try:
                return None if on_finish is None else on_finish(result)
            finally:
                concurrent.futures.wait({self.end()}, END_SECONDS)

        return call

    def _enter(self, make: Callable[[], T]) -> T:
        # asgiref's own `async with` does the same, but ends with the block.
        context: Any = ThreadSensitiveContext()
        SyncToAsync.context_to_thread_executor[context] = self
        SyncToAsync.thread_sensitive_context.set(context)
        # Before 3.13 the thread that waits for an async view would be asked first.
        AsyncToSync.executors.current = None
        return make()

    def _start(self) -> _Jobs:
        jobs = _Jobs()
        self._ended = ended = _future()
        # The thread knows nothing of this object: dropped without an end, it ends
        # the thread.
        weakref.finalize(self, jobs.put, None).atexit = False
        start_thread(functools.partial(_work, jobs, self._scope, ended), "tokenstream-sync")
        return jobs


class _Jobs:
    """A queue that any thread may put into, wherever it is: a finalizer, or beside gevent's hub."""

    def __init__(self) -> None:
        self._jobs: deque[Callable[[], None] | None] = deque()
        self._gate: ThreadGate | None = None

    def put(self, job: Callable[[], None] | None) -> None:
        """Add a job, or None for the end."""
        self._jobs.append(job)
        if (gate := self._gate) is not None:
            gate.wake()

    def get(self) -> Callable[[], None] | None:
        """Wait for a job. For one thread, always the same."""
        gate = self._gate = self._gate or ThreadGate(SYSTEM)
        while not self._jobs:
            gate.wait(None)
        return self._jobs.popleft()


def _work(jobs: _Jobs, scope: Scope, ended: Future[None]) -> None:
    try:
        with scope():
            while (job := jobs.get()) is not None:
                job()
                del job  # it holds a context, and that the executor
    finally:
        ended.set_result(None)


def _future() -> Future[None]:
    return Future()
