"""The command line that all benchmarks share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import docs
from .report import Report

__all__ = ["Options", "finish", "parse", "progress"]


@dataclass(frozen=True)
class Options:
    """quick: short streams and fewer of them. tiny, which is quick, too: as little as shows
    that it works.

    rounds: interleaved ones. json: where the figures go, None for nowhere. write_docs:
    rewrite the benchmark's block of docs/performance.md. only: what the names of what
    is run must contain.
    """

    quick: bool
    tiny: bool
    rounds: int
    json: Path | None
    write_docs: bool
    only: str


def parse(
    name: str, description: str | None, arguments: Sequence[str] | None = None, *, rounds: int = 5
) -> Options:
    """Return what the command line asks for. name: of the script; rounds: the default."""
    committed = docs.RESULTS / f"{name}.json"
    parser = argparse.ArgumentParser(f"python -m benchmarks.{name}", description=description)
    parser.add_argument("--quick", action="store_true", help="short streams")
    parser.add_argument("--tiny", action="store_true", help="only to see that it works")
    parser.add_argument("--rounds", type=int, default=rounds, help=f"interleaved ({rounds})")
    parser.add_argument("--json", type=Path, metavar="FILE", help=f"({committed.name}, if whole)")
    parser.add_argument("--write-docs", action="store_true", help="rewrite docs/performance.md")
    parser.add_argument("--only", default="", metavar="TEXT", help="only groups with this in them")
    asked = parser.parse_args(arguments)
    if asked.rounds < 1:
        parser.error(f"--rounds {asked.rounds}: at least 1")
    whole = not (asked.tiny or asked.only)
    if asked.write_docs and not whole:
        parser.error("--write-docs: not with --tiny or --only, the page would lose the rest")
    # A part of the figures must not replace the committed ones.
    asked.json = asked.json or (committed if whole else None)
    asked.quick = asked.quick or asked.tiny
    return Options(**vars(asked))


def progress(line: str) -> None:
    """Say what runs, on standard error: one line, written over."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def finish(report: Report, options: Options) -> None:
    """Show the tables, write the JSON and, where asked, the docs."""
    progress("")
    report.show()
    if options.json is not None:
        report.write_json(options.json)
    if options.write_docs:
        docs.write_report(report)
