"""`python -m benchmarks`: all of them, one after another; the arguments go to each.

It ends with 1 where one of them failed: what is slow fails nothing, what is broken does.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

__all__ = ["SCRIPTS", "main"]

FOLDER = Path(__file__).resolve().parent

SCRIPTS = ("framing", "decode", "asgi", "django", "flask", "idle", "scale")


def main(arguments: Sequence[str]) -> int:
    """Run each in a process of its own; return the exit status."""
    failed = []
    for name in SCRIPTS:
        print(f"== {name}", flush=True)
        began = time.monotonic()
        command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
        if subprocess.run(command, cwd=FOLDER.parent, check=False).returncode:
            failed.append(name)
        print(f"== {name} took {time.monotonic() - began:.0f} s", flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
