"""Real servers, each in a process of its own on a free port of 127.0.0.1."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["EXIT_SECONDS", "START_SECONDS", "Server", "python"]

START_SECONDS = 50.0

EXIT_SECONDS = 60.0
"""Seconds after which a server that was told to end counts as one that does not."""


def python(*arguments: str) -> tuple[str, ...]:
    """Return a command for this interpreter."""
    return (sys.executable, *arguments)


class Server:
    """A server that runs until `stop`.

    command: `{port}` in it is replaced by a free one. folder: where it runs.
    env: added to this process's. files: what it finds in its folder, by name;
    `{port}` is replaced there, too. control: where its app tells of its runs
    and takes permits, whatever the server is busy with (see `apps/scripts.py`).
    is_told_of: whether there is such an app, to be waited for.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        env: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
        is_told_of: bool = False,
    ) -> None:
        self._reservations = [_reserved(), _reserved()]
        self.port, control = (taken.getsockname()[1] for taken in self._reservations)
        self._awaited = [self.port, control] if is_told_of else [self.port]
        self.url = f"http://127.0.0.1:{self.port}"
        self.control = f"http://127.0.0.1:{control}"
        self._log = folder / "output.txt"
        self._seen = 0
        for name, text in (files or {}).items():
            (folder / name).write_text(text.replace("{port}", str(self.port)))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [part.replace("{port}", str(self.port)) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                # gunicorn keeps a socket in its home.
                env={
                    **os.environ,
                    "HOME": str(folder),
                    "PYTHONUNBUFFERED": "1",
                    "CONTROL_PORT": str(control),
                    **(env or {}),
                },
                start_new_session=True,
            )
        self._wait_until_it_listens()

    def output(self) -> str:
        """Return what it has printed since the last call."""
        with self._log.open("rb") as log:
            log.seek(self._seen)
            printed = log.read()
            self._seen = log.tell()
        return printed.decode(errors="replace")

    def tell_to_end(self) -> None:
        """Send SIGTERM to the process that was started, as systemd and Docker do; don't wait."""
        self._process.send_signal(signal.SIGTERM)

    def exit_code(self) -> int:
        """Wait for its end; `subprocess.TimeoutExpired` where it does not come."""
        return self._process.wait(EXIT_SECONDS)

    def stop(self) -> None:
        """End it and its workers at once, whatever is open."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
        for taken in self._reservations:
            taken.close()

    def _wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._listens():
            ended = self._process.poll()
            if ended is not None or time.monotonic() > deadline:
                self.stop()
                why = f"took over {START_SECONDS} s" if ended is None else f"ended with {ended}"
                raise RuntimeError(f"{self._process.args} {why}:\n{self.output()}")
            time.sleep(0.02)

    def _listens(self) -> bool:
        try:
            for port in self._awaited:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True


def _reserved() -> socket.socket:
    # Bound but not listening, it keeps the port from others; a server that
    # sets SO_REUSEADDR, as all do, can still have it.
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.bind(("127.0.0.1", 0))
    return taken
