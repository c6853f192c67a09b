"""Runs Node's clients: each script reads a real stream and prints what it saw as JSON."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from ..needs import missing, need_program

__all__ = ["node_prints", "run_node"]

FOLDER = Path(__file__).parent / "node"

SECONDS = 40.0
"""How long a script may take; a client that waits for ever is a failure."""


def run_node(script: str, *arguments: object, **environment: str) -> Any:
    """Return what a script of `tests/clients/node` prints, which is one JSON value.

    arguments: passed as they print. A script that fails fails the test, with its output.
    """
    return json.loads(_output(FOLDER / script, *map(str, arguments), **environment))


def node_prints(code: str) -> str:
    """Return what a module prints that finds its packages where the scripts do."""
    return _output("--input-type=module", "--eval", code)


def _output(*arguments: str | Path, **environment: str) -> str:
    done = subprocess.run(
        [_node(), *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**os.environ, **environment},
        cwd=FOLDER,
        check=False,
    )
    assert done.returncode == 0, f"Node ended with {done.returncode}:\n{done.stderr}"
    return done.stdout


def _node() -> Path:
    need_program("npm")
    # The Node that its clients ask for, from npm: the system's may be older.
    node = FOLDER / "node_modules" / "node" / "bin" / "node"
    return node if node.exists() else missing("needs Node's clients: run `make node-clients`")
