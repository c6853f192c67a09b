"""Many streams for a long time, and nothing is left: `make soak`."""

from __future__ import annotations

import asyncio
import os
import random
import resource
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from ..servers.serving import Server, python
from .soak import Place, soak

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
SEED = int(os.environ.get("SOAK_SEED", random.SystemRandom().randrange(1 << 32)))
WARM_UP = SECONDS / 10
LONG = 300  # in less, the process's memory still grows to what it needs for the streams at once
ENDINGS = 22  # how long the last streams take, after either
SCALE = float(os.environ.get("SOAK_SCALE", "1"))  # of the readers

APPS = Path(__file__).parent / "apps"

UVICORN = python("-m", "uvicorn", "asgi_app:app", "--port", "{port}", "--no-access-log")
GTHREAD = python(
    *("-m", "gunicorn", "wsgi_app:app", "-k", "gthread", "--threads", "64"),
    *("-b", "127.0.0.1:{port}"),
)

NOISE = ["was destroyed", "never retrieved", "Exception ignored", "never awaited", "LeakWarning"]
"""What Python prints of something that was left behind."""


@pytest.fixture
def file_limit() -> Iterator[None]:
    """A socket for each reader, here and at the server."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.soak
@pytest.mark.skipif("SOAK_SECONDS" not in os.environ, reason="a part of `make soak`")
@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.usefixtures("file_limit")
def test_nothing_is_left_and_no_token_is_lost(tmp_path_factory: pytest.TempPathFactory) -> None:
    print(f"SOAK_SEED={SEED}")
    with ExitStack() as stack:

        def start(name: str, command: Sequence[str]) -> Server:
            folder = tmp_path_factory.mktemp(name)
            server = Server(command, folder, env=_env(folder))
            stack.callback(server.stop)
            return server

        servers = {"uvicorn": start("uvicorn", UVICORN), "gthread": start("gthread", GTHREAD)}
        places = [
            Place("uvicorn", *_ports(servers["uvicorn"]), _scaled(1000), django=0.1, sync=0.15),
            Place("gthread", *_ports(servers["gthread"]), _scaled(50), django=0.5, sync=0.6),
        ]
        soaked = asyncio.run(soak(places, SEED, WARM_UP, SECONDS - WARM_UP - ENDINGS))
    for it in soaked:
        print(it)
    for it in soaked:
        assert it.faults == [], "\n".join(it.faults)
        assert it.left() == {}
        assert it.kept() <= 0.03
        if SECONDS >= LONG:
            assert it.growth() <= 0.03
        printed = servers[it.place.name].output()
        assert [line for line in printed.splitlines() if any(what in line for what in NOISE)] == []


def _scaled(readers: int) -> int:
    return max(1, int(readers * SCALE))


def _env(folder: Path) -> dict[str, str]:
    return {
        "PYTHONPATH": str(APPS),
        "SOAK_DATABASE": str(folder / "soak.sqlite3"),
        # What is freed goes back to the kernel: what is measured is what is held. By default
        # glibc keeps blocks of up to 32 MiB for later, in as many heaps as there were threads.
        "MALLOC_MMAP_THRESHOLD_": "32768",
        "MALLOC_ARENA_MAX": "2",
    }


def _ports(server: Server) -> tuple[int, int]:
    return server.port, int(server.control.rpartition(":")[2])
