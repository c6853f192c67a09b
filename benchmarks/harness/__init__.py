"""What the benchmarks share: servers, a reader, rounds, a report.

    from benchmarks.harness import Case, Check, Report, Row, Server, cli, measure, read

Linux only: CPU time and memory come from the kernel's own accounting.
"""

from __future__ import annotations

from . import cli
from .client import Check, Reading, Want, read, read_all
from .plots import Plot
from .report import Report, Row
from .rounds import Rounds, Spread, interleave, spread
from .servers import REPOSITORY, Server, measure, python, uvicorn
from .targets import TARGETS

__all__ = [
    "REPOSITORY",
    "TARGETS",
    "Check",
    "Plot",
    "Reading",
    "Report",
    "Rounds",
    "Row",
    "Server",
    "Spread",
    "Want",
    "cli",
    "interleave",
    "measure",
    "python",
    "read",
    "read_all",
    "spread",
    "uvicorn",
]
