"""Whether a token costs the same however many there are: the slope of its cost.

CPU a token of the server (uvicorn), above what opening a stream costs, and tokens a
second, as concurrent streams grow from 1 to 5,000 and a stream's tokens from 10^2 to 10^6.
"One by one" is a loop that is never idle: every token costs it a turn, none can be joined
to another, and there is no timer or sleep beside which the cost would be small.
The slope is that of a line through the points in log-log: 0 is flat, 1 doubles where the
amount doubles.

    python -m benchmarks.scale --quick
"""

from __future__ import annotations

if not __package__:
    import sys
    from pathlib import Path

    # Run as a file: with this folder on the path, django.py would stand for Django.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import linear_regression
from typing import Any

from benchmarks.apps.idle_reader import raise_file_limit
from benchmarks.apps.scale_plot import Curve, Curves, Panel
from benchmarks.harness import (
    Check,
    Report,
    Rounds,
    Row,
    Server,
    Spread,
    Want,
    cli,
    interleave,
    measure,
    read_all,
    spread,
    uvicorn,
)

WAYS = {"by-hand": "raw loop by hand", "tokenstream": "tokenstream"}


@dataclass(frozen=True)
class Point:
    """What is asked for: so many streams at a time, each of so many tokens.

    at_least: tokens in all, for a figure to mean something: streams follow one another.
    """

    source: str
    streams: int
    tokens: int
    at_least: int

    @property
    def repeats(self) -> int:
        """How many streams follow one another."""
        return max(1, self.at_least // (self.streams * self.tokens))

    @property
    def total(self) -> int:
        """Streams in all."""
        return self.streams * self.repeats

    def wants(self, way: str) -> list[Want]:
        """Return what the reader is to ask for."""
        path = f"/{way}/{self.source}?tokens={self.tokens}"
        check = Check(self.tokens + 1)  # the terminal has a data line, too
        if self.repeats == 1:
            return [Want(path, self.streams, check)]
        return [Want(path, self.repeats, check, one_by_one=True)] * self.streams


@dataclass(frozen=True)
class Axis:
    """What grows. grows: the field of `Point`; name: for the rows' keys."""

    name: str
    title: str
    grows: str
    x: str
    points: Sequence[Point]

    def amount(self, point: Point) -> int:
        """Return where on the axis a point is."""
        value: int = getattr(point, self.grows)
        return value


def axes(options: cli.Options) -> list[Axis]:
    """Return the axes that a run has: a quick one leaves out the largest, and one source."""
    if options.tiny:
        counts, lengths, tokens, at_least = [1, 2], [10, 20], 10, 20
    elif options.quick:
        counts, lengths, tokens, at_least = [1, 10, 100, 1000], [100, 1000, 10**4, 10**5], 50, 10**4
    else:
        counts, tokens, at_least = [1, 10, 100, 1000, 5000], 100, 5 * 10**4
        lengths = [100, 1000, 10**4, 10**5, 10**6]
    found = [
        Axis(
            "tokens",
            "one stream, tokens ready at once",
            "tokens",
            "tokens of the stream",
            [Point("hot", 1, length, at_least) for length in lengths],
        ),
        Axis(
            "streams",
            "many streams, tokens one by one",
            "streams",
            "streams at a time",
            [Point("turn", count, tokens, at_least) for count in counts],
        ),
        Axis(
            "hot-streams",
            "many streams, tokens ready at once",
            "streams",
            "streams at a time",
            # Longer, or what is taken off for the opening is most of it.
            [Point("hot", count, 10 * tokens, at_least) for count in counts if count <= 1000],
        ),
    ]
    return found[:2] if options.quick and not options.tiny else found


def case(axis: Axis, point: Point, way: str) -> str:
    """Return the name of a case."""
    return f"{axis.name} {axis.amount(point)} {way}"


def run(every: Sequence[Axis], rounds: int) -> Rounds:
    """Measure all points, both ways, in turn."""
    with ExitStack() as stack:
        servers = {
            way: stack.enter_context(
                Server(uvicorn("benchmarks.apps.scale_app:app", "--log-level", "warning"))
            )
            for way in WAYS
        }
        return interleave(dict(_cases(every, servers)), rounds, progress=cli.progress)


def _cases(
    every: Sequence[Axis], servers: Mapping[str, Server]
) -> Iterator[tuple[str, Callable[[], Mapping[str, float]]]]:
    # In a round the two ways of a point follow each other.
    for axis in every:
        for point in axis.points:
            for way, server in servers.items():
                yield case(axis, point, way), functools.partial(stream, server, point, way)


def stream(server: Server, point: Point, way: str) -> dict[str, float]:
    """Stream it, and streams of one token; return what each token more costs.

    cpu: µs a token of the server's CPU, above the opening. opening: µs a stream of
    one token. rate: tokens a second, all that the streams took included.
    """
    whole, wall = _take(server, point, way)
    few = min(point.total, 200)
    opening, _ = _take(server, Point(point.source, min(point.streams, few), 1, few), way)
    opening /= few
    more = point.total * (point.tokens - 1)
    return {
        "cpu": (whole - opening * point.total) / more * 1e6,
        "opening": opening * 1e6,
        "rate": point.total * point.tokens / wall,
    }


def _take(server: Server, point: Point, way: str) -> tuple[float, float]:
    with measure(server) as cost:
        readings = read_all(server.port, point.wants(way))
    return cost.cpu, max(reading.wall for reading in readings)


def slope(amounts: Sequence[float], costs: Sequence[float]) -> float:
    """Return the slope of the line through the points in log-log."""
    # A cost below a nanosecond is the noise of what was taken off.
    logs = [math.log10(max(cost, 1e-3)) for cost in costs]
    return linear_regression([math.log10(amount) for amount in amounts], logs).slope


def slope_of(measured: Rounds, axis: Axis, way: str) -> Spread:
    """Return the slope of each round."""
    amounts = [axis.amount(point) for point in axis.points]
    costs = [measured.figures[case(axis, point, way)] for point in axis.points]
    return spread([slope(amounts, [of["cpu"] for of in one]) for one in zip(*costs, strict=True)])


def rows(measured: Rounds, every: Sequence[Axis]) -> Iterator[Row]:
    """Return the slopes, and for each axis what every point costs."""
    for axis in every:
        for way, who in WAYS.items():
            what = f"{who}: {axis.title}"
            value = slope_of(measured, axis, way)
            yield Row(f"scale.{axis.name}.slope.{way}", "slope of the cost", what, value, "")
    for axis in every:
        yield from _costs(measured, axis)
        yield from _rates(measured, axis)


def _costs(measured: Rounds, axis: Axis) -> Iterator[Row]:
    group = f"CPU a token: {axis.title}"
    for point in axis.points:
        amount = axis.amount(point)
        key, at = f"scale.{axis.name}.{amount}", f"{amount:,} {axis.x}"
        names = {way: case(axis, point, way) for way in WAYS}
        for way, name in names.items():
            yield Row(f"{key}.{way}", group, f"{at}: {WAYS[way]}", measured.of(name, "cpu"), "µs")
        ratio = measured.ratio(names["tokenstream"], names["by-hand"], "cpu")
        yield Row(f"{key}.ratio", group, f"{at}: tokenstream / by hand", ratio)


def _rates(measured: Rounds, axis: Axis) -> Iterator[Row]:
    group = f"tokens a second: {axis.title}"
    for point in axis.points:
        amount = axis.amount(point)
        for way, who in WAYS.items():
            value = measured.of(case(axis, point, way), "rate")
            key = f"scale.{axis.name}.{amount}.{way}.rate"
            yield Row(key, group, f"{amount:,} {axis.x}: {who}", value, "/s")


def picture(measured: Rounds, every: Sequence[Axis]) -> Curves:
    """Return both curves for each axis."""
    panels = [
        Panel(axis.title, axis.x, [_curve(measured, axis, way) for way in WAYS]) for axis in every
    ]
    return Curves("scale", "CPU a token as streams and tokens grow", "CPU a token, µs", panels)


def _curve(measured: Rounds, axis: Axis, way: str) -> Curve:
    steep = slope_of(measured, axis, way).median
    return Curve(
        f"{WAYS[way]}, slope {steep:+.2f}",
        [axis.amount(point) for point in axis.points],
        [measured.of(case(axis, point, way), "cpu").median for point in axis.points],
        ours=way == "tokenstream",
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    options = cli.parse("scale", __doc__, arguments)
    every = [axis for axis in axes(options) if options.only in axis.name]
    raise_file_limit()  # for the servers: the reader does it by itself
    measured = run(every, options.rounds)
    # Lines are no bars, but named and written as those are.
    plots: list[Any] = [picture(measured, every)]
    report = Report(
        "scale", [*rows(measured, every)], measured.raw(), options.quick, options.rounds, plots
    )
    cli.finish(report, options)


if __name__ == "__main__":
    main()
