"""Rows and where they go: the terminal, a JSON file, docs/performance.md."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from . import machine
from .plots import Plot
from .rounds import Spread
from .targets import TARGETS

__all__ = ["Report", "Row", "figure"]


@dataclass(frozen=True)
class Row:
    """One line of a table.

    key: stable; what of `targets.py` it is compared with. group: the rows of one
    group stand in one table. value: a `Spread` over the rounds, or a number.
    unit: "x" for a ratio. note: what a reader must know of it.
    """

    key: str
    group: str
    what: str
    value: Spread | float
    unit: str = "x"
    note: str = ""

    @property
    def middle(self) -> float:
        """The median, or the number."""
        return self.value.median if isinstance(self.value, Spread) else self.value

    @property
    def target(self) -> float | None:
        """What it may be at most, where the issue says so."""
        return TARGETS[self.key].at_most if self.key in TARGETS else None

    @property
    def met(self) -> bool | None:
        """Whether it is within its target, None where it has none."""
        return None if self.target is None else self.middle <= self.target

    def cells(self) -> tuple[str, ...]:
        """Return it as text: what, value, least to greatest, target, met."""
        between = ""
        if isinstance(self.value, Spread):
            between = f"{figure(self.value.low)} to {figure(self.value.high)}"
        return (
            self.what + (f" ({self.note})" if self.note else ""),
            f"{figure(self.middle)} {self.unit}",
            between,
            "" if self.target is None else figure(self.target),
            {None: "", True: "met", False: "**not met**"}[self.met],
        )


WIDTH = 120
"""Of the tables where no terminal says how wide it is."""

COLUMNS = ("what", "median", "least to greatest", "at most", "")


def figure(value: float) -> str:
    """Return a number with three digits that count: 0.0123, 1.23, 12.3, 1,230."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    digits = f"{value:.3g}"
    return f"{value:.4f}" if "e" in digits else digits


@dataclass
class Report:
    """What one benchmark found.

    name: of the script. quick: whether it was a short run. raw: every round's
    figures, whatever JSON can hold. plots: drawn where the docs are written.
    """

    name: str
    rows: Sequence[Row]
    raw: Any
    quick: bool
    rounds: int
    plots: Sequence[Plot] = ()
    machine: dict[str, Any] = field(default_factory=machine.describe)

    def show(self, console: Console | None = None) -> None:
        """Print a table a group."""
        console = console or Console(width=None if sys.stdout.isatty() else WIDTH)
        for group, rows in self.groups().items():
            table = Table(*COLUMNS, title=group, title_justify="left")
            for row in rows:
                *cells, met = row.cells()
                table.add_row(*cells, met.strip("*"), style=None if row.met is not False else "red")
            console.print(table)

    def write_json(self, path: Path) -> None:
        """Write all of it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_json(), indent=1) + "\n", encoding="utf-8")

    def as_json(self) -> dict[str, Any]:
        """Return what the file holds."""
        return {
            "name": self.name,
            "quick": self.quick,
            "rounds": self.rounds,
            "machine": self.machine,
            "rows": [_row_as_json(row) for row in self.rows],
            "raw": self.raw,
        }

    def groups(self) -> dict[str, list[Row]]:
        """Return the rows by group, in their order."""
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(row.group, []).append(row)
        return groups

    def markdown(self) -> str:
        """Return the block of docs/performance.md: tables and plots."""
        parts = [self._origin()]
        for group, rows in self.groups().items():
            parts.append(f"**{group}**\n\n{markdown_table(COLUMNS, [r.cells() for r in rows])}")
        parts += [f"![{plot.title}](performance/{plot.name}.svg)" for plot in self.plots]
        return "\n\n".join(parts)

    def _origin(self) -> str:
        short = " --quick" if self.quick else ""
        return (
            f"`python -m benchmarks.{self.name}{short}`, {self.machine['date']}, "
            f"{self.rounds} rounds."
        )


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _row_as_json(row: Row) -> dict[str, Any]:
    value = asdict(row.value) if isinstance(row.value, Spread) else {"median": row.value}
    return {
        "key": row.key,
        "group": row.group,
        "what": row.what,
        **value,
        "unit": row.unit,
        "target": row.target,
        "met": row.met,
        "note": row.note,
    }
