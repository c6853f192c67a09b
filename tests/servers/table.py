"""The table in docs/deployment.md, from what a whole run of the tests has recorded.

`python -m tests.servers.table FILE` rewrites what is between the page's two
markers, and prints each time that is above its bound.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median

from .apps.scripts import KEEP_ALIVE
from .sites import ALL, PAGE, Site

__all__ = ["COLUMNS", "at_most", "main", "table", "write_block"]

COLUMNS = {
    "direct": "token by token",
    "nginx": "behind nginx",
    "first token": "first token",
    "talking": "talking",
    "talking, sync": "talking, sync",
    "silent": "silent",
    "early": "early",
    "stalled": "stalled",
    "stalled, sync": "stalled, sync",
    "ending": "on SIGTERM",
}
"""What is recorded, and how the page calls it."""

MEASURED_WITH = [
    *("uvicorn", "hypercorn", "daphne", "granian", "gunicorn", "uvicorn-worker", "gevent"),
    *("waitress", "cheroot", "pyuwsgi", "werkzeug", "django", "flask", "starlette", "fastapi"),
]

BEGIN, END = "<!-- matrix -->\n", "<!-- /matrix -->"

Records = Mapping[tuple[str, str, str], Sequence[float | str]]
"""What was recorded, by server, app and column."""


def at_most(site: Site, column: str) -> float | None:
    """Return the milliseconds within which we mean to notice; None where there is no promise."""
    if site.is_asgi:
        return (
            50.0 if column in ("talking", "silent", "early", "stalled", "stalled, sync") else None
        )
    if column not in ("silent", "early"):
        return None
    if site.sees_leaving:
        return 250.0
    # Nothing can be written before `prime` is over, which is as long here.
    return 1000 * KEEP_ALIVE * (3 if column == "silent" else 4)


@dataclass(frozen=True)
class Cell:
    """What one column says of a server: of its apps the slowest, in milliseconds, and all words."""

    times: Mapping[str, float]
    words: frozenset[str]
    at_most: float | None

    def __str__(self) -> str:
        said = sorted(self.words)
        if self.times:
            slowest = f"{max(self.times.values()):.0f}"
            said.append(f"**{slowest}**" if self.misses() else slowest)
        return ", ".join(said) or "not run"

    def misses(self) -> dict[str, float]:
        """Return the apps that take longer than they should."""
        limit = self.at_most
        return {app: ms for app, ms in self.times.items() if limit is not None and ms > limit}


def cell(sites: Iterable[Site], column: str, records: Records) -> Cell:
    """Return what was recorded for one server, under which the sites are its apps."""
    times, words, limit = {}, set(), None
    for site in sites:
        values = records.get((site.server, site.app, column), ())
        words |= {value for value in values if isinstance(value, str)}
        if measured := [value for value in values if not isinstance(value, str)]:
            times[site.app] = median(measured)
        limit = at_most(site, column)
    return Cell(times, frozenset(words), limit)


def table(records: Records) -> tuple[str, list[str]]:
    """Return the table, and a line for each time that is above what it may be."""
    lines = [["server", "apps", *COLUMNS.values(), "silent: at most"]]
    misses = []
    for server in dict.fromkeys(site.server for site in ALL):
        sites = [site for site in ALL if site.server == server]
        cells = {column: cell(sites, column, records) for column in COLUMNS}
        limit = f"{cells['silent'].at_most:.0f}"
        lines.append([server, ", ".join(it.app for it in sites), *map(str, cells.values()), limit])
        misses += [
            f"{server}, {app}, {column}: {ms:.0f} ms, at most {it.at_most:.0f}"
            for column, it in cells.items()
            for app, ms in it.misses().items()
        ]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines), misses


def machine() -> str:
    """Return when, on what and with what it was measured."""
    versions = ", ".join(f"{name} {version(name)}" for name in MEASURED_WITH)
    cores = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    return f"{date.today().isoformat()}, Linux, {cores}; {versions}.\n"


def read(path: Path) -> Records:
    """Return what is in a file of records."""
    records: dict[tuple[str, str, str], list[float | str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        it = json.loads(line)
        records.setdefault((it["server"], it["app"], it["column"]), []).append(it["value"])
    return records


def write_block(page: Path, text: str) -> None:
    """Replace what is between the page's two markers."""
    before = page.read_text(encoding="utf-8")
    block = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.S)
    after, count = block.subn(lambda _: BEGIN + text + END, before)
    if count != 1:
        raise ValueError(f"{page} has {count} blocks {BEGIN.strip()} ... {END}: it must have one")
    page.write_text(after, encoding="utf-8")


def main(path: str) -> None:
    """Write the table, and print what is above its bound."""
    rows, misses = table(read(Path(path)))
    write_block(PAGE, f"{rows}\n{machine()}")
    print(*(f"too long: {miss}" for miss in misses), f"{len(misses)} above their bound", sep="\n")


if __name__ == "__main__":
    main(sys.argv[1])
