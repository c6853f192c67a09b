"""A real PostgreSQL server of the tests' own, on a free port of 127.0.0.1."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

from ..needs import missing, need_program
from .serving import START_SECONDS

__all__ = ["Postgres"]

USER = "tester"


class Postgres:
    """A server with one empty database, until `stop`."""

    def __init__(self) -> None:
        initdb, postgres = need_program("initdb"), need_program("postgres")
        account = _account()
        # Not in pytest's folder, which only its own user may enter.
        self._folder = Path(tempfile.mkdtemp(prefix="tokenstream-postgres-"))
        if account is not None:
            shutil.chown(self._folder, account)
        self._data = self._folder / "data"
        self._run(account, initdb, "-U", USER, "--auth=trust", "--no-sync", "--locale=C", "-E=UTF8")
        self._port = _free_port()
        # -F: nothing here must survive a crash. -k: no socket in a shared folder.
        options = ["-p", str(self._port), "-h", "127.0.0.1", "-F", "-k", ""]
        with (self._folder / "output.txt").open("wb") as log:
            self._process = subprocess.Popen(
                [postgres, "-D", self._data, *options],
                stdout=log,
                stderr=subprocess.STDOUT,
                user=account,
                cwd=self._folder,
            )
        self._wait_until_it_answers()

    def settings(self, name: str, **options: Any) -> dict[str, Any]:
        """Return Django's settings of a database; its sessions are known by `name`."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": "127.0.0.1",
            "PORT": self._port,
            "USER": USER,
            "NAME": "postgres",
            "OPTIONS": {"application_name": name, **options},
        }

    def sessions(self, name: str) -> int:
        """Return how many sessions of that name the server has."""
        with self._connected() as connection:
            query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
            row = connection.execute(query, [name]).fetchone()
        assert row is not None
        return int(row[0])

    def stop(self) -> None:
        """End it at once, whatever is open."""
        self._process.send_signal(signal.SIGQUIT)
        try:
            self._process.wait(START_SECONDS)
        finally:
            shutil.rmtree(self._folder)

    def _connected(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="127.0.0.1", port=self._port, user=USER, dbname="postgres", connect_timeout=10
        )

    def _run(self, account: str | None, *command: str) -> None:
        done = subprocess.run(
            [*command, "-D", self._data],
            capture_output=True,
            text=True,
            user=account,
            cwd=self._folder,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self._connected().close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


def _account() -> str | None:
    """Return whom the server runs as: it refuses to be root. None for who runs the tests."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    account = next((name for name in ("postgres", "nobody") if name in known), None)
    return account or missing("needs an account for PostgreSQL, which does not run as root")


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
