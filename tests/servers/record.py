"""What the tests find out, for the table in docs/deployment.md.

Each finding is a line of JSON in the file that `TOKENSTREAM_RECORDS` names.
`make test-matrix` sets it; without it nothing is written. Times are never
asserted: they are recorded, and `table.py` says which are above their bound.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from .sites import Site

__all__ = ["RUNS", "record"]

RECORDS = os.environ.get("TOKENSTREAM_RECORDS")

RUNS = 5 if RECORDS else 1
"""How often a test does what it measures: a median is told of what is recorded."""


def record(site: Site, column: str, value: float | str) -> None:
    """Note one finding about a site: milliseconds where it is a time, a word where it is none.

    column: one of `table.COLUMNS`. Of times the median is told, of words all that were noted.
    """
    if RECORDS is not None:
        line = {"server": site.server, "app": site.app, "column": column, "value": value}
        with Path(RECORDS).open("a", encoding="utf-8") as records:
            print(json.dumps(line), file=records)
