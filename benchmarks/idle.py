"""Streams that wait: what thousands of them hold, and what keeping them alive costs.

Memory (PSS), tasks and threads are what one more open stream adds, above the
server's own connection: a request that only waits. Each way to serve has a
server of its own, and all of them get the next streams in turn.

CPU is that of streams that get nothing but comments, in per cent of a core,
for 5,000 streams and a comment every 15 s. `--quick` opens fewer streams,
sends comments more often, and scales.

    python -m benchmarks.idle --quick
"""

from __future__ import annotations

if not __package__:
    import sys
    from pathlib import Path

    # Run as a file: with this folder on the path, django.py would stand for Django.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import functools
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks.apps.idle_reader import OpenStreams, ask, raise_file_limit
from benchmarks.harness import Report, Rounds, Row, Server, cli, interleave, uvicorn

STREAMS = 5_000
KEEP_ALIVE = 15.0
"""What the figures of the CPU are for."""

CONNECTION = "held"
WAYS = {
    "held": "the server's own connection",
    "by-hand": "raw loop by hand",
    "starlette": "Starlette StreamingResponse",
    "tokenstream": "tokenstream, raw ASGI",
    "sse-starlette": "sse-starlette",
    "in-starlette/starlette": "Starlette StreamingResponse in an application",
    "in-starlette/tokenstream": "tokenstream in a Starlette application",
    "fastapi": "FastAPI EventSourceResponse",
}

KEPT_ALIVE = ("tokenstream", "sse-starlette", "fastapi")


@dataclass(frozen=True)
class Size:
    """How much is measured.

    first: streams that are open before the first round: what a server sets up
    once is not theirs. step: streams that each round adds. kept_alive: streams a
    way that get comments. keep_alive: seconds between two of them.
    """

    first: int
    step: int
    kept_alive: int
    keep_alive: float


FULL = Size(first=200, step=400, kept_alive=STREAMS, keep_alive=KEEP_ALIVE)
QUICK = Size(first=100, step=160, kept_alive=1_000, keep_alive=2.0)
TINY = Size(first=10, step=20, kept_alive=5, keep_alive=0.2)


@contextmanager
def served(ways: Sequence[str], keep_alive: float) -> Iterator[dict[str, Server]]:
    """Start a server for each way, all at once."""
    servers = {
        way: Server(
            uvicorn("benchmarks.apps.idle_app:app", "--log-level", "warning"),
            env={"KEEP_ALIVE": str(keep_alive)},
        )
        for way in ways
    }
    with ExitStack() as stack, ThreadPoolExecutor(len(ways)) as pool:
        yield dict(zip(ways, pool.map(stack.enter_context, servers.values()), strict=True))


def memory(size: Size, rounds: int) -> Rounds:
    """Open more and more streams on every server, and see what each adds."""
    with served(list(WAYS), KEEP_ALIVE) as servers, ExitStack() as stack:
        cases: dict[str, Callable[[], Mapping[str, float]]] = {}
        for way, server in servers.items():
            streams = stack.enter_context(OpenStreams(server.port, f"/{way}"))
            streams.open(size.first)
            cases[way] = functools.partial(_one_more, server, streams, size.step)
        measured = interleave(cases, rounds, progress=cli.progress)
        for way, server in servers.items():
            measured.add(f"{way} tasks", ask(server.port, "/look")["tasks"])
    _take_off_connection(measured)
    return measured


def _one_more(server: Server, streams: OpenStreams, step: int) -> dict[str, float]:
    before = _holds(server)
    streams.open(step)
    after = _holds(server)
    return {
        "bytes": (after["bytes"] - before["bytes"]) / step,
        "tasks": (after["tasks"] - before["tasks"]) / step,
        "threads": after["threads"] - before["threads"],
    }


def _holds(server: Server) -> dict[str, int]:
    # The look collects the garbage first.
    tasks = sum(ask(server.port, "/look")["tasks"].values())
    return {"tasks": tasks, "bytes": server.memory(), "threads": server.threads()}


def _take_off_connection(measured: Rounds) -> None:
    for way in WAYS:
        for figures, own in zip(measured.figures[way], measured.figures[CONNECTION], strict=True):
            figures["bytes above"] = figures["bytes"] - own["bytes"]
            figures["tasks above"] = figures["tasks"] - own["tasks"]


def cpu(size: Size, rounds: int) -> Rounds:
    """Hold streams open on every server, and see what a round of comments costs each."""
    # FastAPI sends its comments every 15 s, which no public option changes.
    ways = [way for way in KEPT_ALIVE if way != "fastapi" or size.keep_alive == KEEP_ALIVE]
    measured = Rounds()
    with served(ways, size.keep_alive) as servers, ExitStack() as stack:
        streams = {
            way: stack.enter_context(OpenStreams(server.port, f"/{way}"))
            for way, server in servers.items()
        }
        for way in ways:
            cli.progress(f"{size.kept_alive} streams: {way}")
            streams[way].open(size.kept_alive)
        for number in range(rounds):
            cli.progress(f"round {number + 1} of {rounds}: comments")
            for way, figures in _wait(servers, size.keep_alive).items():
                measured.add(way, figures)
        for way in ways:
            check(way, streams[way].comments(), rounds)
    return measured


def _wait(servers: Mapping[str, Server], seconds: float) -> dict[str, dict[str, float]]:
    # All at once: they do not wait for one another's comments.
    since, before = time.monotonic(), {way: server.cpu() for way, server in servers.items()}
    time.sleep(seconds)
    wall = time.monotonic() - since
    return {
        way: {"cpu": server.cpu() - before[way], "wall": wall} for way, server in servers.items()
    }


def check(way: str, comments: Sequence[int], at_least: int) -> None:
    """Raise `ValueError` for a stream that was not kept alive."""
    # The last one may be due just now.
    if min(comments) < at_least - 1:
        raise ValueError(f"{way}: a stream got {min(comments)} comments in {at_least} intervals")


def per_cent(measured: Rounds, size: Size) -> None:
    """Add to each round what it is of a core, for 5,000 streams and a comment every 15 s."""
    scale = STREAMS / size.kept_alive * size.keep_alive / KEEP_ALIVE
    for rounds in measured.figures.values():
        for figures in rounds:
            figures["%"] = figures["cpu"] / figures["wall"] * 100 * scale
            figures["us a comment"] = figures["cpu"] / size.kept_alive * 1e6


def memory_rows(measured: Rounds) -> Iterator[Row]:
    """Return the rows of memory, tasks and threads."""
    ratios = {
        "idle.memory.starlette": ("tokenstream", "starlette"),
        "idle.memory.in-starlette": ("in-starlette/tokenstream", "in-starlette/starlette"),
        "idle.memory.by-hand": ("by-hand", "starlette"),
        "idle.memory.sse-starlette": ("sse-starlette", "starlette"),
        "idle.memory.fastapi": ("fastapi", "starlette"),
    }
    group = "an idle stream's memory above the server's own connection / Starlette's"
    for key, (way, base) in ratios.items():
        yield Row(
            key, group, f"{WAYS[way]} / {WAYS[base]}", measured.ratio(way, base, "bytes above")
        )
    group = "an idle stream's memory above the server's own connection"
    for way, what in WAYS.items():
        figure = "bytes" if way == CONNECTION else "bytes above"
        yield Row(f"idle.bytes.{way}", group, what, measured.of(way, figure), "B")
    group = "an idle stream's tasks besides the request's own, and threads"
    for way, what in WAYS.items():
        mine = way == "tokenstream"
        tasks, threads = measured.of(way, "tasks above"), measured.of(way, "threads")
        note = _names(measured, way)
        yield Row("idle.tasks" if mine else f"idle.tasks.{way}", group, what, tasks, "tasks", note)
        if mine:
            yield Row("idle.threads", group, what, threads, "threads")


def _names(measured: Rounds, way: str) -> str:
    # What a function within functions is called at last is enough.
    names = {name.rpartition("<locals>.")[2] for name in measured.figures[f"{way} tasks"][0]}
    return ", ".join(sorted(names - {"Task"}))


def cpu_rows(measured: Rounds, size: Size) -> Iterator[Row]:
    """Return the rows of the CPU."""
    group = f"{STREAMS:,} idle streams, a comment every {KEEP_ALIVE:g} s: CPU"
    scaled = (size.kept_alive, size.keep_alive) != (STREAMS, KEEP_ALIVE)
    note = f"scaled from {size.kept_alive:,} and {size.keep_alive:g} s" if scaled else ""
    for way in measured.figures:
        key = "idle.keep-alive" if way == "tokenstream" else f"idle.keep-alive.{way}"
        yield Row(key, group, WAYS[way], measured.of(way, "%"), "% of a core", note)
    for way in measured.figures:
        key = f"idle.comment.{way}"
        yield Row(key, "CPU a comment", WAYS[way], measured.of(way, "us a comment"), "µs")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    options = cli.parse("idle", __doc__, arguments)
    size = TINY if options.tiny else QUICK if options.quick else FULL
    needed = max(len(KEPT_ALIVE) * size.kept_alive, len(WAYS) * (size.first + 5 * size.step))
    if raise_file_limit() < needed + 100:
        sys.exit(f"{needed} streams need as many open files: raise the hard limit, or use --quick")
    rows: list[Row] = []
    raw = {}
    if options.only in "memory":
        measured = memory(size, options.rounds)
        rows += memory_rows(measured)
        raw["memory"] = measured.raw()
    if options.only in "keep-alive":
        measured = cpu(size, options.rounds)
        per_cent(measured, size)
        rows += cpu_rows(measured, size)
        raw["keep-alive"] = measured.raw()
    cli.finish(Report("idle", rows, raw, options.quick, options.rounds), options)


if __name__ == "__main__":
    main()
