"""Writes what was measured between the markers of docs/performance.md."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .report import Report, figure, markdown_table
from .servers import REPOSITORY
from .targets import TARGETS

__all__ = ["PAGE", "RESULTS", "machine_table", "target_table", "write_block", "write_report"]

PAGE = REPOSITORY / "docs" / "performance.md"
RESULTS = REPOSITORY / "benchmarks" / "results"


def write_report(report: Report, page: Path = PAGE, results: Path = RESULTS) -> None:
    """Write a benchmark's block, its plots beside the page, and what all of them make up.

    The benchmark's JSON must have been written to `results` before.
    """
    write_block(page, report.name, report.markdown())
    for plot in report.plots:
        plot.write(page.parent / "performance")
    write_block(page, "machine", machine_table(results))
    write_block(page, "targets", target_table(results))


def write_block(page: Path, name: str, text: str) -> None:
    """Replace what is between `<!-- bench:name -->` and `<!-- /bench:name -->`.

    Raises `ValueError` where the page has no such markers, or has them twice.
    """
    begin, end = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
    before = page.read_text(encoding="utf-8")
    block = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    after, count = block.subn(lambda _: f"{begin}\n{text.strip()}\n{end}", before)
    if count != 1:
        raise ValueError(f"{page} has {count} blocks {begin} ... {end}: it must have one")
    page.write_text(after, encoding="utf-8")


def target_table(results: Path = RESULTS) -> str:
    """Return the issue's table: each target, what was measured, whether it is met."""
    measured = {row["key"]: row for result in _results(results) for row in result["rows"]}
    rows = [_target_row(key, measured.get(key)) for key in TARGETS]
    return markdown_table(("what", "at most", "measured", ""), rows)


def _target_row(key: str, row: dict[str, Any] | None) -> tuple[str, ...]:
    target = TARGETS[key]
    if row is None:
        return target.what, figure(target.at_most), "", "not measured"
    met = "met" if row["median"] <= target.at_most else "**not met**"
    unit = row["unit"]
    return target.what, f"{figure(target.at_most)} {unit}", f"{figure(row['median'])} {unit}", met


def machine_table(results: Path = RESULTS) -> str:
    """Return what each benchmark was run on."""
    lines = []
    for result in _results(results):
        at = result["machine"]
        packages = ", ".join(f"{name} {found}" for name, found in at["packages"].items())
        lines.append((at["date"], f"{at['cores']} cores, {at['cpu']}", at["python"], packages))
    # Most often all of them were run on one machine, on one day.
    rows = [(date, cpu, python, packages) for date, cpu, python, packages in dict.fromkeys(lines)]
    return markdown_table(("date", "machine", "Python", "versions"), rows)


def _results(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.json")):
        yield json.loads(path.read_text(encoding="utf-8"))
