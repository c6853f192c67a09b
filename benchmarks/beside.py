"""Ours beside a stream written by hand, in one app on one server: for django.py and flask.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median

from benchmarks.harness import Check, Rounds, Row, Server, cli, interleave, measure, python, read

__all__ = ["Contest", "Load", "gunicorn", "hot", "paced", "rows", "run"]

TOKEN = " token"
"""What the apps' sources yield."""

OPENINGS = 3
"""How often a round measures what opening costs: the median is taken from the whole."""

THREADS = 32
"""Of gunicorn's gthread: more than there are streams at a time, for each holds one."""


@dataclass(frozen=True)
class Load:
    """What is asked for at once. pause: seconds before each token, 0 for a source that is hot."""

    streams: int
    tokens: int
    pause: float = 0.0

    def __str__(self) -> str:
        rate = f"a token every {self.pause * 1000:g} ms" if self.pause else "hot"
        return f"{self.streams} streams of {self.tokens:,} tokens, {rate}"

    def path(self, path: str) -> str:
        """Return what to ask of the app."""
        return f"/{path}?tokens={self.tokens}&pause={self.pause}"


@dataclass(frozen=True)
class Contest:
    """A load, and who is put to it; they take turns in each round.

    key: of the rows. title: of the table. base: the path that is written by hand.
    ours: what is appended to `key` -> the path. note: what a reader must know.
    """

    key: str
    title: str
    load: Load
    base: str
    ours: Mapping[str, str]
    note: str = ""

    @property
    def paths(self) -> tuple[str, ...]:
        """All of them, the hand-written one first."""
        return (self.base, *self.ours.values())

    def case(self, path: str) -> str:
        """Return the name of a case."""
        return f"{self.key} {path}"


def hot(options: cli.Options) -> Load:
    """Return a load of sources that never wait."""
    return Load(2, 50 if options.tiny else 10_000 if options.quick else 50_000)


def paced(options: cli.Options, streams: int) -> Load:
    """Return a load of sources that are as slow as a model."""
    if options.tiny:
        return Load(2, 5, 0.002)
    return Load(streams, 50 if options.quick else 250, 0.02)


def gunicorn(app: str, worker: str) -> tuple[str, ...]:
    """Return gunicorn with one worker."""
    threads = ("--threads", str(THREADS)) if worker == "gthread" else ()
    where = ("--bind", "127.0.0.1:{port}", "--workers", "1")
    return python("-m", "gunicorn", "--worker-class", worker, *threads, *where, app)


def run(
    command: Sequence[str], contests: Sequence[Contest], options: cli.Options, into: Rounds
) -> None:
    """Start the server and hold the contests that have `--only`'s text in their key."""
    wanted = [contest for contest in contests if options.only in contest.key]
    if not wanted:
        return
    with Server(command) as server:
        for contest in wanted:
            cases = {
                contest.case(path): partial(figures, server, path, contest.load)
                for path in contest.paths
            }
            for path in contest.paths:
                spend(server, path, replace(contest.load, tokens=100, pause=0.001))
            interleave(cases, options.rounds, progress=cli.progress, into=into)


def figures(server: Server, path: str, load: Load) -> dict[str, float]:
    """Return µs of the server's CPU: a token beyond the first, in all, and a stream's opening.

    cpu: what each token more costs. opening: what a stream of one token costs, its
    end included. whole: all that the streams cost, a token. first_byte: ms.
    """
    one = replace(load, tokens=1, pause=0.0)
    opening = median(spend(server, path, one)["cpu"] for _ in range(OPENINGS))
    whole = spend(server, path, load)
    return {
        "cpu": (whole["cpu"] - opening) / (load.streams * (load.tokens - 1)) * 1e6,
        "whole": whole["cpu"] / (load.streams * load.tokens) * 1e6,
        "opening": opening / load.streams * 1e6,
        "first_byte": whole["first_byte"],
        "wall": whole["wall"],
    }


def spend(server: Server, path: str, load: Load) -> dict[str, float]:
    """Put the load to the server; return the seconds of CPU, and what the reader saw."""
    check = Check(load.tokens, needle=TOKEN)
    with measure(server) as cost:
        reading = read(server.port, load.path(path), load.streams, check=check)
    first_byte = median(reading.first_byte) * 1e3
    return {"cpu": cost.cpu, "wall": reading.wall, "first_byte": first_byte}


def rows(measured: Rounds, contests: Sequence[Contest]) -> list[Row]:
    """Return a table for each contest that was held."""
    held = [contest for contest in contests if contest.case(contest.base) in measured.figures]
    return [row for contest in held for row in _rows(measured, contest)]


def _rows(measured: Rounds, contest: Contest) -> Iterator[Row]:
    title = f"{contest.title}: {contest.load}"
    if contest.note:
        title += f". {contest.note}"
    for path in contest.paths:
        cost = measured.of(contest.case(path), "cpu")
        yield Row(f"{contest.key}.us.{path}", title, f"{path}, CPU a token", cost, "µs")
    for figure, suffix, note in (
        ("cpu", "", ""),
        ("whole", ".whole", "its opening and end counted in"),
        ("opening", ".opening", "its opening and end alone"),
    ):
        for ours, path in contest.ours.items():
            ratio = measured.ratio(contest.case(path), contest.case(contest.base), figure)
            yield Row(
                f"{contest.key}{ours}{suffix}", title, f"{path} / {contest.base}", ratio, note=note
            )
