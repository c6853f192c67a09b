"""Real servers, each in a process group of its own on a free port of 127.0.0.1."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psutil

__all__ = ["REPOSITORY", "Cost", "Server", "measure", "process_cpu", "python", "uvicorn"]

REPOSITORY = Path(__file__).resolve().parents[2]
"""Where a server is started, and what its apps are imported from."""

START_SECONDS = 50.0

T = TypeVar("T")


def python(*arguments: str) -> tuple[str, ...]:
    """Return a command for this interpreter."""
    return (sys.executable, *arguments)


def uvicorn(app: str, *options: str) -> tuple[str, ...]:
    """Return uvicorn as users start it: uvloop and httptools where they are installed."""
    return python("-m", "uvicorn", app, "--host", "127.0.0.1", "--port", "{port}", *options)


def process_cpu(pid: int) -> float:
    """Return the CPU seconds of another process, its ended threads included.

    To the nanosecond: /proc and psutil count in ticks of 10 ms. The clock's
    number is the kernel's MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED).
    """
    return time.clock_gettime((~pid << 3) | 2)


class Server:
    """A context manager: a server that runs from `with` to the end of the block.

    command: `{port}` in it is replaced by a free one. folder: where it runs (the
    repository's root, from which `benchmarks.apps` can be imported). env: added
    to this process's.

    Raises `RuntimeError` with the server's output where it does not answer.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: Path = REPOSITORY,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._command = command
        self._folder = folder
        self._env = env or {}

    def __enter__(self) -> Server:
        # Bound but not listening, it keeps the port from others; a server that
        # sets SO_REUSEADDR, as all do, can still have it.
        self._reservation = socket.socket()
        self._reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reservation.bind(("127.0.0.1", 0))
        self.port: int = self._reservation.getsockname()[1]
        self._home = tempfile.TemporaryDirectory()
        self._log = Path(self._home.name) / "output.txt"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [part.replace("{port}", str(self.port)) for part in self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env=self._environment(),
                start_new_session=True,
            )
        self._wait_until_it_answers()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def pid(self) -> int:
        """The process that was started; workers are its children."""
        return self._process.pid

    def cpu(self) -> float:
        """Return the CPU seconds of its process tree so far."""
        return sum(process_cpu(process.pid) for process in self._tree())

    def memory(self) -> int:
        """Return the bytes of its process tree: PSS, so that shared pages count once."""
        return sum(process.memory_full_info().pss for process in self._tree())

    def threads(self) -> int:
        """Return how many threads its process tree has."""
        return sum(process.num_threads() for process in self._tree())

    def output(self) -> str:
        """Return what it has printed."""
        return self._log.read_text(errors="replace")

    def _tree(self) -> list[psutil.Process]:
        root = psutil.Process(self.pid)
        return [root, *root.children(recursive=True)]

    def _environment(self) -> dict[str, str]:
        # gunicorn keeps a socket in its home.
        own = {"HOME": self._home.name, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(REPOSITORY)}
        return {**os.environ, **own, **self._env}

    def _stop(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
        self._reservation.close()
        self._home.cleanup()

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            ended = self._process.poll()
            if ended is not None or time.monotonic() > deadline:
                output = self.output()
                self._stop()
                why = f"took over {START_SECONDS} s" if ended is None else f"ended with {ended}"
                raise RuntimeError(f"{' '.join(self._command)} {why}:\n{output}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        # gunicorn's master listens before a worker is there: an answer counts, of whatever status.
        request = b"GET /ready HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(request)
                return bool(connection.recv(1))
        except OSError:
            return False


class Cost:
    """What the block of `measure` took: CPU and wall seconds."""

    cpu = 0.0
    wall = 0.0


@contextmanager
def measure(server: Server, clock: Callable[[], float] = time.perf_counter) -> Iterator[Cost]:
    """Measure what the server's process tree spends during the block."""
    cost = Cost()
    cpu, wall = server.cpu(), clock()
    yield cost
    cost.cpu, cost.wall = server.cpu() - cpu, clock() - wall
