"""Input that nobody means well with, and how much of it.

These tests have a folder of their own, beside the mirrored tree, since each
runs one promise over many modules, and `make fuzz` runs them all for an hour.
"""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from ..wires.strategies import BREAKERS, TEXTS

__all__ = ["BREAKS", "HOSTILE", "MANY", "SOME", "SPLITS", "STEPS", "one_of", "pieces"]

# A few hundred in CI; as many as the profile says where that is more.
MANY = settings(max_examples=max(300, settings.default.max_examples))
STEPS = settings(MANY, stateful_step_count=20)
SOME = settings(max_examples=max(60, settings.default.max_examples))  # what starts threads


def one_of(things: list[Any]) -> st.SearchStrategy[Any]:
    """Do what `sampled_from` does, which prints them: too long, or it raises."""
    return st.integers(0, len(things) - 1).map(lambda place: things[place])


LONG = one_of(["x" * 70_000 + "\n\nevent: error\ndata: x\n\n", "\r\n" * 10_000])
BREAKS = (TEXTS | st.sampled_from([*BREAKERS, "\n\nevent: error", "\r\rid: x"])).filter(bool)
HOSTILE = BREAKS | LONG

SPLITS = st.lists(st.integers(0, 10**6), max_size=30) | st.just(list(range(2000)))


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut `data` at these places; a place that comes twice makes an empty piece."""
    places = sorted([0, len(data), *(cut % (len(data) + 1) for cut in cuts)])
    return [data[a:b] for a, b in itertools.pairwise(places)]
