"""ASGI servers: ours beside the hand-written loop and the peers.

uvicorn is started as users start it, `uvicorn app:app`, with uvloop and httptools; each
contender has a server process of its own, with only its own framework in it.
"""

from __future__ import annotations

if not __package__:
    import sys
    from pathlib import Path

    # Run as a file: with this folder on the path, django.py would stand for Django.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from statistics import median, quantiles

from benchmarks.apps.asgi_scenes import HOT_BESIDE, SCENES, Amount, Ratio, Scene
from benchmarks.harness import (
    Check,
    Plot,
    Reading,
    Report,
    Rounds,
    Row,
    Server,
    Want,
    cli,
    interleave,
    measure,
    python,
    read,
    read_all,
    uvicorn,
)

APPS = "benchmarks.apps.asgi_"
GRANIAN = python("-m", "granian", "--interface", "asgi", "--port", "{port}")
HYPERCORN = python("-m", "hypercorn", "--bind", "127.0.0.1:{port}")

APP_LABELS = {
    "raw": "hand-written raw loop",
    "ours": "tokenstream",
    "ours_starlette": "tokenstream in Starlette",
    "starlette": "Starlette StreamingResponse",
    "sse_starlette": "sse-starlette",
    "fastapi": "FastAPI EventSourceResponse",
    "litestar": "Litestar ServerSentEvent",
}
KIND_LABELS = {"": "", "sync": ", sync source", "lambda": ", source from a lambda"}


# One case of a scene, once.


def run(server: Server, scene: Scene, path: str, amount: Amount) -> dict[str, float]:
    """Stream it; return µs a token of CPU and wall, and what is particular to the scene.

    whole: all that the streams cost, a token. opening: what a stream of one token
    costs. cpu: what each token more costs.
    """
    whole, figures = stream(server, scene, path, amount)
    more = amount.total - amount.streams
    opening = stream(server, scene, path, replace(amount, tokens=1))[0] if more else whole
    return {
        "cpu": (whole - opening) / more * 1e6 if more else 0.0,
        "whole": whole / amount.total * 1e6,
        "opening": opening / amount.streams * 1e6,
        **figures,
    }


def stream(
    server: Server, scene: Scene, path: str, amount: Amount
) -> tuple[float, dict[str, float]]:
    """Return the seconds of CPU, and what the reader saw."""
    want = Want(
        f"/{path}?tokens={amount.tokens}&ms={amount.ms:g}",
        amount.streams,
        check_of(path, amount.tokens),
        lags=path.endswith("paced"),
        one_by_one=scene.one_by_one,
    )
    beside = Want("/endless", HOT_BESIDE, background=True)
    with measure(server) as cost:
        reading, *rest = read_all(server.port, [want, beside] if scene.beside_hot else [want])
    figures = seen(reading, amount)
    if rest:
        figures["beside"] = rest[0].bytes / reading.wall / 1e6
    return cost.cpu, figures


def seen(reading: Reading, amount: Amount) -> dict[str, float]:
    figures = {
        "wall": reading.wall / amount.total * 1e6,
        "first_byte": median(reading.first_byte) * 1e6,
    }
    if len(reading.lags) > 1:
        figures["lag"] = median(reading.lags) * 1e6
        figures["p99"] = quantiles(reading.lags, n=100, method="inclusive")[98] * 1e3
    return figures


def check_of(path: str, tokens: int) -> Check:
    """Return what a whole stream holds."""
    if path == "chat":
        return Check(tokens, '"delta":{"content":"')
    return Check(tokens + 1)  # the terminal has a data line, too


def command(name: str) -> tuple[str, ...]:
    """Return how the server of a contender is started."""
    server, _, app = name.rpartition(":")
    target = f"{APPS}{app}:app"
    match server:
        case "granian":
            return (*GRANIAN, target)
        case "hypercorn":
            return (*HYPERCORN, target)
    return uvicorn(target)


def server_of(case: str) -> str:
    return case.partition(" ")[0]


# All of them.


def play(scenes: Sequence[Scene], options: cli.Options) -> dict[str, Rounds]:
    """Run all scenes, each with interleaved rounds; return what they measured."""
    names = dict.fromkeys(server_of(case) for scene in scenes for case in scene.cases)
    with ExitStack() as running:
        servers = {name: running.enter_context(Server(command(name))) for name in names}
        return {scene.name: play_scene(scene, servers, options) for scene in scenes}


def play_scene(scene: Scene, servers: Mapping[str, Server], options: cli.Options) -> Rounds:
    amount = scene.amounts[2 if options.tiny else 1 if options.quick else 0]
    cases = {
        case: functools.partial(
            run, servers[server_of(case)], scene, path, amount.less(scene.fewer.get(case, 1))
        )
        for case, path in scene.cases.items()
    }
    warm_up(scene, servers, amount)
    return interleave(
        cases, options.rounds, progress=lambda line: cli.progress(f"{scene.name}, {line}")
    )


def warm_up(scene: Scene, servers: Mapping[str, Server], amount: Amount) -> None:
    """Let each contender import and specialise what it needs."""
    for case, path in scene.cases.items():
        tokens = min(amount.tokens, 1000)
        read(servers[server_of(case)].port, f"/{path}?tokens={tokens}&ms=1", 2, check=None)


# What is told of it.


def rows_of(scene: Scene, rounds: Rounds) -> Iterator[Row]:
    """Return what each contender took, and how they compare."""
    for case in scene.cases:
        if scene.beside_hot:
            yield fairness_row(scene, case, rounds)
        else:
            key = f"asgi.{scene.name}.{scene.shown}.{case.replace(' ', '-')}"
            yield Row(key, scene.title, label(case), rounds.of(case, scene.shown), scene.unit)
    for ratio in scene.ratios:
        yield ratio_row(scene, ratio, rounds)


def fairness_row(scene: Scene, case: str, rounds: Rounds) -> Row:
    beside = rounds.of(case, "beside").median
    note = f"p99 of the lag; the hot ones got {beside:.0f} MB/s together"
    value = rounds.of(case, scene.shown)
    return Row("asgi.fairness", scene.title, label(case), value, scene.unit, note)


def ratio_row(scene: Scene, ratio: Ratio, rounds: Rounds) -> Row:
    case, base = label(ratio.case), label(ratio.base)
    note = {"wall": "wall time", "whole": "its opening and end counted in"}.get(ratio.figure, "")
    if ratio.less:
        value = rounds.difference(ratio.case, ratio.base, ratio.figure)
        return Row(ratio.key, scene.title, f"{case}, added to {base}", value, scene.unit, note)
    value = rounds.ratio(ratio.case, ratio.base, ratio.figure)
    return Row(ratio.key, scene.title, f"{case} / {base}", value, "x", note)


def label(case: str) -> str:
    """Return what a reader is told of a case."""
    name, _, kind = case.partition(" ")
    server, _, app = name.rpartition(":")
    return (f"{server}: " if server else "") + APP_LABELS[app] + KIND_LABELS[kind]


def plots(scenes: Sequence[Scene], measured: Mapping[str, Rounds]) -> list[Plot]:
    return [
        Plot(
            f"asgi-{scene.name}",
            scene.title.replace("`", ""),
            [label(case) for case in scene.cases],
            [measured[scene.name].of(case, "cpu").median for case in scene.cases],
            "µs",
            [label(case) for case in scene.cases if "ours" in case],
        )
        for scene in scenes
        if scene.name in ("hot", "paced", "sync-hot")
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = cli.parse("asgi", __doc__, arguments)
    scenes = [scene for scene in SCENES if options.only in scene.name]
    measured = play(scenes, options)
    rows = [row for scene in scenes for row in rows_of(scene, measured[scene.name])]
    raw = {name: rounds.raw() for name, rounds in measured.items()}
    drawn = plots(scenes, measured)
    report = Report("asgi", rows, raw, options.quick, options.rounds, drawn)
    cli.finish(report, options)


if __name__ == "__main__":
    main()
