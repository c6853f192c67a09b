"""Rounds: every case once a round, in an order that rotates; ratios within a round."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

__all__ = ["Rounds", "Spread", "interleave", "spread"]

Figures = Mapping[str, float]
"""What one case measured in one round, by name: seconds, bytes, counts."""


@dataclass(frozen=True)
class Spread:
    """A median over the rounds, and what it lies between."""

    median: float
    low: float
    high: float


def spread(values: list[float]) -> Spread:
    """Return the median, the least and the greatest."""
    return Spread(median(values), min(values), max(values))


class Rounds:
    """What each case measured, round by round."""

    def __init__(self) -> None:
        self.figures: dict[str, list[dict[str, float]]] = {}

    def add(self, case: str, figures: Figures) -> None:
        """Note one round of a case."""
        self.figures.setdefault(case, []).append(dict(figures))

    def of(self, case: str, figure: str) -> Spread:
        """Return one figure of a case over its rounds."""
        return spread(self._values(case, figure))

    def ratio(self, case: str, base: str, figure: str) -> Spread:
        """Return case / base: each round's own ratio, then their median.

        The median of the ratios, not the ratio of the medians: what disturbs the
        machine for a while disturbs both of a round.
        """
        return self._paired(case, base, figure, lambda value, other: value / other)

    def difference(self, case: str, base: str, figure: str) -> Spread:
        """Return case - base in the same way."""
        return self._paired(case, base, figure, lambda value, other: value - other)

    def raw(self) -> dict[str, Any]:
        """Return every round's figures, for the JSON."""
        return self.figures

    def _values(self, case: str, figure: str) -> list[float]:
        return [figures[figure] for figures in self.figures[case]]

    def _paired(
        self, case: str, base: str, figure: str, of: Callable[[float, float], float]
    ) -> Spread:
        pairs = zip(self._values(case, figure), self._values(base, figure), strict=True)
        return spread([of(value, other) for value, other in pairs])


def interleave(
    cases: Mapping[str, Callable[[], Figures]],
    rounds: int,
    *,
    progress: Callable[[str], None] = lambda line: None,
    into: Rounds | None = None,
) -> Rounds:
    """Run every case once a round, each round in another order.

    cases: name -> what runs it once and returns its figures. Warm them up before.
    progress: is told what runs. into: where the figures go (a new `Rounds`).
    """
    measured = Rounds() if into is None else into
    names = list(cases)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            progress(f"round {number + 1} of {rounds}: {name}")
            measured.add(name, cases[name]())
    return measured
