"""What the server's process knows of its sources, and of all that could be left over."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextvars import ContextVar
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from plans import KEEP_ALIVE, SEND_TIMEOUT, Plan

from tokenstream import Result, TokenStream, process
from tokenstream.asgi import Watch
from tokenstream.drivers import LoopDriver, ThreadDriver
from tokenstream.inbox import Inbox
from tokenstream.pump import Pump
from tokenstream.reader import Reader

__all__ = ["OPTIONS", "note_loop", "source_of"]

OURS = (TokenStream, Pump, Reader, Inbox, Watch, LoopDriver, ThreadDriver)


class Ledger:
    """Each source that was begun is closed once, and finished once.

    What is finished is taken away by the client, each second: memory is to stay flat.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[int] = set()
        self._unfinished: set[int] = set()
        self._ends: list[tuple[int, str, int]] = []
        self._faults: list[str] = []

    def begin(self, number: int) -> None:
        with self._lock:
            if number in self._open:
                self._faults.append(f"{number} was begun twice")
            self._open.add(number)
            self._unfinished.add(number)

    def close(self, number: int) -> None:
        with self._lock:
            self._drop(self._open, number, "closed")

    def finish(self, number: int, result: Result) -> None:
        with self._lock:
            self._drop(self._unfinished, number, "finished")
            if number in self._open:
                self._faults.append(f"{number} was finished before it was closed")
            self._ends.append((number, result.outcome, result.parts))

    def fault(self, text: str) -> None:
        with self._lock:
            self._faults.append(text)

    def _drop(self, those: set[int], number: int, what: str) -> None:
        if number not in those:
            self._faults.append(f"{number} was {what} twice, or never begun")
        those.discard(number)

    def take(self) -> dict[str, Any]:
        """Return what has ended since the last call, and how many have not."""
        with self._lock:
            ends, self._ends = self._ends, []
            left = {"open": len(self._open), "unfinished": len(self._unfinished)}
            return {"ends": ends, "faults": self._faults[:20], **left}


_ledger = Ledger()
_number: ContextVar[int] = ContextVar("_number")
_loops: set[asyncio.AbstractEventLoop] = set()


def finished(result: Result) -> None:
    """Note it; `on_finish` is called in the context of its source."""
    _ledger.finish(_number.get(), result)


OPTIONS: dict[str, Any] = {
    "keep_alive": KEEP_ALIVE,
    "send_timeout": SEND_TIMEOUT,
    "on_finish": finished,
}


def note_loop() -> None:
    """Know the server's loop: its tasks are counted."""
    _loops.add(asyncio.get_running_loop())


def source_of(query: Mapping[str, str], use: Callable[[], object] | None = None) -> Any:
    """Return the source of the plan that a query holds. use: called by it, in a thread."""
    plan = Plan.of(query)
    _number.set(plan.number)
    return (_sync if plan.kind == "sync" else _async)(plan, use)


def _sync(plan: Plan, use: Callable[[], object] | None) -> Iterator[str]:
    _ledger.begin(plan.number)
    try:
        if use is not None:
            use()
        for step in plan.steps():
            if isinstance(step, str):
                yield step
            else:
                time.sleep(step)
    finally:
        _ledger.close(plan.number)


async def _async(plan: Plan, use: Callable[[], object] | None) -> AsyncIterator[str]:
    _ledger.begin(plan.number)
    try:
        if use is not None:
            await asyncio.to_thread(use)
        for step in plan.steps():
            if isinstance(step, str):
                yield step
            elif step:
                await asyncio.sleep(step)
    finally:
        await _clean_up(plan.number)


async def _clean_up(number: int) -> None:
    was_told = isinstance(sys.exception(), asyncio.CancelledError | GeneratorExit)
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        # Of a source that ends by itself nobody knows that it cleans up already.
        if was_told:
            _ledger.fault(f"the clean-up of {number} was cut short")
        raise
    finally:
        _ledger.close(number)


def counts() -> dict[str, dict[str, int]]:
    """Return all that a stream could leave behind, by kind."""
    gc.collect()
    alive = gc.get_objects()
    ours = Counter(type(it).__name__ for it in alive if type(it) in OURS)
    return {
        "python": {"objects": len(alive), "blocks": sys.getallocatedblocks()},
        "objects": {**ours, "open in the process": len(process._open)},
        "tasks": Counter(_kind_of_task(task) for loop in _all_loops() for task in _tasks(loop)),
        "threads": Counter(_without_numbers(it.name) for it in threading.enumerate()),
        "descriptors": Counter(_descriptors()),
    }


def _all_loops() -> set[asyncio.AbstractEventLoop]:
    return _loops if process._loop is None else {*_loops, process._loop}


def _tasks(loop: asyncio.AbstractEventLoop) -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks(loop)


def _kind_of_task(task: asyncio.Task[Any]) -> str:
    coroutine = getattr(task.get_coro(), "__qualname__", "")
    return f"{_without_numbers(task.get_name())} {coroutine}"


def _descriptors() -> Iterator[str]:
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # that of the listing itself
        yield _without_numbers(os.path.basename(target))


def _without_numbers(name: str) -> str:
    return re.sub(r"\d+", "", name)


class Control(BaseHTTPRequestHandler):
    """`/take`, `/counts` and `/pid`."""

    ANSWERS: Mapping[str, Callable[[], object]] = {
        "/take": _ledger.take,
        "/counts": counts,
        "/pid": os.getpid,
    }

    def do_GET(self) -> None:
        body = json.dumps(self.ANSWERS[self.path]()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


_server = HTTPServer(("127.0.0.1", int(os.environ["CONTROL_PORT"])), Control)
threading.Thread(target=_server.serve_forever, name="soak-control", daemon=True).start()
