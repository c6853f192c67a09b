"""Threads and locks where gevent has made greenlets of threads. gevent itself is never imported.

Under `gevent.monkey` a `threading.Thread` is a greenlet of the thread that
starts it. For sync sources that is what such an app expects. An event loop
needs a real thread: asyncio knows one running loop a thread, and all greenlets
would share it.

A greenlet may be woken only in its own thread. gevent's locks lose a wake that
comes from another, up to gevent 25 at least.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar, cast

__all__ = [
    "are_greenlets",
    "executor",
    "new_lock",
    "original",
    "settle",
    "start_loop_thread",
    "start_thread",
]

T = TypeVar("T")
P = ParamSpec("P")

_home: Any = None
"""The hub of the thread that first asked for the shared loop: sync work goes back there."""


def are_greenlets() -> bool:
    """Tell whether gevent has made greenlets of the threads."""
    monkey = _module("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def new_lock() -> threading.Lock:
    """Return a lock for this thread, or greenlet, to wait at, and for any other to release."""
    if (hub := _hub()) is None:
        return threading.Lock()
    lock: Any = _HubLock(hub)
    return cast("threading.Lock", lock)


def start_thread(target: Callable[[], object], name: str) -> None:
    """Start a daemon thread for sync code; a greenlet, where threads are that.

    From the shared loop it is a greenlet of the thread that the app's own
    greenlets are in: what they hold, as the sockets of a connection pool, is
    of no use in another. Raises `RuntimeError` where no thread can be started.
    """
    thread = threading.Thread(target=target, name=name, daemon=True)
    if _home is None or _home.loop is None or _home is _hub():
        thread.start()
    else:
        # `start` waits for the thread, and the hub itself must not.
        _home.loop.run_callback_threadsafe(_module("gevent").spawn, thread.start)


def start_loop_thread(target: Callable[[], object], name: str) -> None:
    """Start a daemon thread that is a real one. Raises `RuntimeError` where none can be."""
    global _home
    if are_greenlets():
        _home = _hub()
        original("_thread", "start_new_thread")(_named, (target, name))
    else:
        _home = None
        threading.Thread(target=target, name=name, daemon=True).start()


def executor() -> ThreadPoolExecutor | None:
    """Return what runs sync calls for the shared loop; None where its own does."""
    return None if _home is None else _AtHome()


def original(module: str, name: str) -> Any:
    """Return what a module of the standard library had before gevent patched it."""
    if (monkey := _module("gevent.monkey")) is not None:
        return monkey.get_original(module, name)
    return getattr(importlib.import_module(module), name)


def settle(future: Future[T], call: Callable[[], T]) -> None:
    """Make a call, and put what becomes of it into its future."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)


class _HubLock:
    """gevent's lock, which never leaves its thread: a release from another goes by its hub."""

    __slots__ = ("_hub", "_lock")

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._lock = importlib.import_module("gevent.lock").BoundedSemaphore()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if self._lock.acquire(blocking=False):
            return True
        return blocking and self._wait(None if timeout < 0 else timeout)

    def _wait(self, timeout: float | None) -> bool:
        # A hub that has nothing else to wait for would give up: it knows only of its own.
        watcher = self._hub.loop.async_()
        watcher.start(_do_nothing)
        try:
            acquired: bool = self._lock.acquire(timeout=timeout)
        finally:
            watcher.stop()
            watcher.close()
        return acquired

    def release(self) -> None:
        if _hub() is self._hub:
            self._release()
        elif (loop := self._hub.loop) is not None:  # else its thread has ended
            loop.run_callback_threadsafe(self._release)

    def _release(self) -> None:
        try:
            self._lock.release()
        except ValueError:
            pass  # it was free


class _AtHome(ThreadPoolExecutor):  # asyncio takes no other kind for a loop's own
    """Makes each call where `start_thread` does."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        start_thread(partial(settle, future, partial(fn, *args, **kwargs)), "tokenstream-call")
        return future


def _hub() -> Any:
    """Return the hub in which this thread waits, None where it waits by itself."""
    if (hub := _module("gevent.hub")) is None:
        return None
    # Without the patch, too, a server of gevent's has each request in a greenlet.
    if are_greenlets() or isinstance(hub.getcurrent().parent, hub.Hub):
        return hub.get_hub()
    return None


def _module(name: str) -> Any:
    """Return a module of gevent's, if the app has brought it."""
    # Imported anew, so that one that another thread is just importing is whole.
    return importlib.import_module(name) if name in sys.modules else None


def _do_nothing() -> None:
    pass


def _named(target: Callable[[], object], name: str) -> None:
    threading.current_thread().name = name
    target()
