"""Fuzz for as long as you like: `python -m tests.fuzz --minutes 60 [-k NAME]`.

Each test gets the same share of the time, in rounds: a round is one run of
pytest with the Hypothesis profile "fuzz", in a process of its own, so that one
that hangs is found, too. What was found once is tried again by every later
run, CI's included, while `.hypothesis/` is kept.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
RAN = re.compile(r"(\d+) passing, (\d+) failing|(\d+) passing examples, (\d+) failing")
HANGS_AFTER = 900
"""Seconds that a round may take: a thousand examples take a few."""


@dataclass
class Target:
    """A test, and what came of it."""

    name: str
    rounds: int = 0
    examples: int = 0
    found: str = ""

    def fuzz(self, seconds: float) -> None:
        """Run rounds for so long, and one at least: a test that never ran has found nothing."""
        until = time.monotonic() + seconds
        self._round()
        while not self.found and time.monotonic() < until:
            self._round()

    def _round(self) -> None:
        command = [*PYTEST, "--timeout=0", "--hypothesis-show-statistics", self.name]
        try:
            run = subprocess.run(
                command,
                cwd=ROOT,
                env=os.environ | {"TOKENSTREAM_HYPOTHESIS": "fuzz"},
                capture_output=True,
                text=True,
                timeout=HANGS_AFTER,
            )
        except subprocess.TimeoutExpired:
            self.found = f"it hangs: more than {HANGS_AFTER} seconds for one round"
            return
        self.rounds += 1
        self.examples += sum(int(ran[1] or ran[3]) for ran in RAN.finditer(run.stdout))
        if run.returncode:
            self.found = run.stdout + run.stderr


def targets(keyword: str) -> list[Target]:
    """Return the tests of this folder that Hypothesis runs."""
    command = [*PYTEST, "--collect-only", "-m", "hypothesis", "-k", keyword, str(HERE)]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    names = [line for line in listed.stdout.splitlines() if "::" in line]
    if not names:
        raise SystemExit(f"no test to fuzz is named {keyword!r}:\n{listed.stdout}{listed.stderr}")
    return [Target(name) for name in names]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz ARGS=...", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="for all together (60)")
    parser.add_argument("-k", default="", help="only tests with this in their name")
    options = parser.parse_args()
    todo = targets(options.k)
    until = time.monotonic() + 60 * options.minutes
    for place, target in enumerate(todo):
        # What one leaves of its share is for the rest.
        target.fuzz((until - time.monotonic()) / (len(todo) - place))
        word = "FOUND SOMETHING" if target.found else "nothing found"
        print(f"{target.examples:>9,} examples  {word}  {target.name}", flush=True)
    found = [target for target in todo if target.found]
    for target in found:
        print(f"\n{target.name}\n{target.found}")
    ran = sum(target.examples for target in todo)
    print(f"\n{ran:,} examples of {len(todo)} tests: {len(found)} found something")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
