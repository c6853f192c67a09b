"""What asgi.py streams: scenes, each with its contenders and what is compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

__all__ = ["HOT_BESIDE", "SCENES", "Amount", "Ratio", "Scene"]

EVERYONE = ("raw", "ours", "ours_starlette", "starlette", "sse_starlette", "fastapi", "litestar")
THREADED = ("starlette", "ours", "ours_starlette")
OTHER_SERVERS = ("granian:raw", "granian:ours", "hypercorn:raw", "hypercorn:ours")

HOT_BESIDE = 4
"""How many hot streams without end run beside the paced one whose fairness is looked at."""


@dataclass(frozen=True)
class Amount:
    """How much is streamed. ms: between two tokens of one stream, 0 for as fast as can be."""

    streams: int
    tokens: int
    ms: float = 0.0

    @property
    def total(self) -> int:
        """All tokens of all streams."""
        return self.streams * self.tokens

    def less(self, divisor: int) -> Amount:
        """Return it with fewer tokens a stream."""
        return replace(self, tokens=max(self.tokens // divisor, 1))


@dataclass(frozen=True)
class Ratio:
    """A row: `figure` of `case` divided by that of `base`, or less it."""

    key: str
    case: str
    base: str
    figure: str = "cpu"
    less: bool = False


@dataclass(frozen=True)
class Scene:
    """Contenders that stream the same.

    cases: of each one's name, the path that is asked for; after a name may
    stand "sync" or "lambda".
    amounts: full, quick, tiny. shown: the figure that each has a row for: "cpu" of a
    token more, "whole" with the opening counted in, "opening", "wall", "lag",
    "first_byte", "p99". fewer: by what the tokens of a slow one are divided.
    one_by_one: no two streams at a time. beside_hot: with streams without end beside it.
    """

    name: str
    title: str
    cases: Mapping[str, str]
    amounts: tuple[Amount, Amount, Amount]
    ratios: Sequence[Ratio]
    shown: str = "cpu"
    unit: str = "µs"
    fewer: Mapping[str, int] = field(default_factory=dict)
    one_by_one: bool = False
    beside_hot: bool = False


def all_ask(path: str, names: Sequence[str]) -> dict[str, str]:
    return dict.fromkeys(names, path)


SCENES = (
    Scene(
        "hot",
        "Hot async source on uvicorn: CPU of the server for a token",
        all_ask("hot", EVERYONE),
        (Amount(4, 50_000), Amount(2, 30_000), Amount(2, 50)),
        (
            Ratio("asgi.hot.raw", "ours", "raw"),
            Ratio("asgi.hot.raw.starlette", "ours_starlette", "raw"),
            Ratio("asgi.hot.starlette", "ours_starlette", "starlette"),
            Ratio("asgi.hot.sse-starlette", "ours_starlette", "sse_starlette"),
            Ratio("asgi.hot.fastapi", "ours_starlette", "fastapi"),
            Ratio("asgi.hot.litestar", "ours", "litestar"),
            Ratio("asgi.hot.wall", "ours", "raw", "wall"),
        ),
        fewer={"sse_starlette": 2, "fastapi": 5},
    ),
    Scene(
        "chat",
        "Hot async source on uvicorn, wire `openai-chat` against `json.dumps`: CPU for a token",
        all_ask("chat", ("raw", "ours")),
        (Amount(4, 50_000), Amount(2, 20_000), Amount(2, 50)),
        (Ratio("asgi.chat.raw", "ours", "raw"),),
    ),
    Scene(
        "paced",
        "100 streams, a token every 20 ms each, on uvicorn: CPU of the server for a token",
        all_ask("paced", EVERYONE),
        (Amount(100, 150, 20), Amount(100, 40, 20), Amount(5, 3, 5)),
        (
            Ratio("asgi.paced.raw", "ours", "raw"),
            Ratio("asgi.paced.raw.whole", "ours", "raw", "whole"),
            Ratio("asgi.paced.raw.starlette", "ours_starlette", "raw"),
            Ratio("asgi.paced.starlette", "ours_starlette", "starlette"),
            Ratio("asgi.paced.sse-starlette", "ours_starlette", "sse_starlette"),
            Ratio("asgi.paced.fastapi", "ours_starlette", "fastapi"),
            Ratio("asgi.paced.litestar", "ours", "litestar"),
        ),
    ),
    Scene(
        "sync-hot",
        "Hot sync generator on uvicorn: CPU of the server for a token",
        all_ask("sync-hot", THREADED),
        (Amount(4, 20_000), Amount(2, 20_000), Amount(2, 50)),
        (Ratio("asgi.sync-hot.starlette", "ours_starlette", "starlette"),),
        fewer={"starlette": 5},
    ),
    Scene(
        "sync-paced",
        "Sync generator, 30 streams, a token every 20 ms each: CPU of the server for a token",
        all_ask("sync-paced", ("starlette", "ours_starlette")),
        (Amount(30, 150, 20), Amount(30, 50, 20), Amount(5, 3, 5)),
        (Ratio("asgi.sync-paced.starlette", "ours_starlette", "starlette"),),
    ),
    Scene(
        "latency",
        "One stream, a token every 3 ms: from the token's making to its bytes at the reader",
        {"raw": "paced", "ours": "paced", "ours sync": "sync-paced"},
        (Amount(1, 600, 3), Amount(1, 200, 3), Amount(1, 5, 3)),
        (
            Ratio("asgi.latency.async", "ours", "raw", "lag", less=True),
            Ratio("asgi.latency.sync", "ours sync", "raw", "lag", less=True),
        ),
        shown="lag",
    ),
    Scene(
        "first-byte",
        "Requests one after another: from the request to the body's first byte",
        {"raw": "hot", "ours": "hot", "ours sync": "sync-hot", "ours lambda": "lambda-hot"},
        (Amount(300, 1), Amount(100, 1), Amount(3, 1)),
        (
            Ratio("asgi.first-byte.async", "ours", "raw", "first_byte", less=True),
            Ratio("asgi.first-byte.sync", "ours sync", "raw", "first_byte", less=True),
            Ratio("asgi.first-byte.lambda", "ours lambda", "raw", "first_byte", less=True),
        ),
        shown="first_byte",
        one_by_one=True,
    ),
    Scene(
        "opening",
        "100 streams at a time, of one token each: CPU of the server for a stream",
        all_ask("paced", EVERYONE) | {"ours lambda": "lambda-paced"},
        (Amount(100, 1, 20), Amount(100, 1, 20), Amount(5, 1, 5)),
        (
            Ratio("asgi.opening.raw", "ours", "raw", "opening"),
            Ratio("asgi.opening.starlette", "ours_starlette", "starlette", "opening"),
            Ratio("asgi.opening.sse-starlette", "ours_starlette", "sse_starlette", "opening"),
            Ratio("asgi.opening.fastapi", "ours_starlette", "fastapi", "opening"),
        ),
        shown="opening",
    ),
    Scene(
        "fairness",
        f"One paced stream beside {HOT_BESIDE} hot ones without end, on one loop",
        {"ours": "paced"},
        (Amount(1, 400, 5), Amount(1, 100, 5), Amount(1, 5, 5)),
        (),
        shown="p99",
        unit="ms",
        beside_hot=True,
    ),
    Scene(
        "servers-hot",
        "Hot async source on granian and hypercorn: CPU of the server for a token",
        all_ask("hot", OTHER_SERVERS),
        (Amount(4, 25_000), Amount(2, 10_000), Amount(2, 50)),
        (
            Ratio("asgi.hot.granian", "granian:ours", "granian:raw"),
            Ratio("asgi.hot.hypercorn", "hypercorn:ours", "hypercorn:raw"),
        ),
    ),
    Scene(
        "servers-paced",
        "100 streams, a token every 20 ms each, on granian and hypercorn: CPU for a token",
        all_ask("paced", OTHER_SERVERS),
        (Amount(100, 150, 20), Amount(100, 25, 20), Amount(5, 3, 5)),
        (
            Ratio("asgi.paced.granian", "granian:ours", "granian:raw"),
            Ratio("asgi.paced.hypercorn", "hypercorn:ours", "hypercorn:raw"),
        ),
    ),
)
