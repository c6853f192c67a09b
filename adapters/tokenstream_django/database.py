"""The database, for sources and callbacks that run on other threads than the view.

Django's connections belong to a thread. What runs a stream has connections of
its own, and they are closed when it ends: in production nothing else is safe,
since the view's thread may serve its next request while a source still works.

In tests that can't be: an in-memory SQLite database is its connection, and a
`TestCase` keeps all it did in a transaction of its own connection. Those are lent.

Django keeps a request's connections until its response is closed: for a stream,
minutes in which nothing asks the database. `release_db` gives them back earlier.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["Lender", "release_here"]

log = logging.getLogger("tokenstream")


class Lender:
    """Lends the connections of the thread that asks for a stream to those that run it.

    releases: that thread gives its connections back whenever it looks.
    is_due: whether that thread is to look, for the first time or again.
    """

    def __init__(self, *, releases: bool = False) -> None:
        self.releases = releases
        self.is_due = True
        self._lent: list[BaseDatabaseWrapper] = []
        self._owner: threading.Thread | None = None

    def look(self) -> None:
        """See what this thread has; the first call counts. Where its connections live only."""
        self.is_due = False
        if self._owner is None:
            self._lent = [connection for connection in _here() if _must_be_lent(connection)]
            self._owner = threading.current_thread()
        if self.releases:
            release_here()

    def look_again(self) -> None:
        """Let the thread give back what it has opened since it looked."""
        self.is_due = self.releases

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Lend what must be lent to this thread; in the end close what it has opened."""
        if threading.current_thread() is self._owner:
            yield  # the source runs in the reader's own thread
            return
        before = {each.alias: each for each in _here() if each.connection is not None}
        self._lend()
        try:
            yield
        finally:
            self._take_back(before)

    def _lend(self) -> None:
        for connection in self._lent:
            connection.inc_thread_sharing()
            connections[connection.alias] = connection

    def _take_back(self, before: dict[str, BaseDatabaseWrapper]) -> None:
        for connection in self._lent:
            del connections[connection.alias]
            connection.dec_thread_sharing()
        for connection in _here():
            # A thread of a pool may have had some before: they are another's to close.
            if before.get(connection.alias) is not connection:
                connection.close()
        for alias, connection in before.items():
            connections[alias] = connection


def release_here() -> None:
    """Close this thread's connections, which gives those of a pool back to it.

    Not those in a transaction, nor those that another thread may be using.
    """
    for connection in _here():
        if _is_idle(connection):
            try:
                connection.close()
            except Error:  # of a server that has gone: the stream needs it no more
                log.warning("closing the connection %r raised", connection.alias, exc_info=True)


def _is_idle(connection: BaseDatabaseWrapper) -> bool:
    return (
        connection.connection is not None
        and connection.get_autocommit()  # off inside `atomic`, too
        and not connection.allow_thread_sharing
    )


def _here() -> list[BaseDatabaseWrapper]:
    return list(connections.all(initialized_only=True))


def _must_be_lent(connection: BaseDatabaseWrapper) -> bool:
    return _is_in_memory(connection) or _is_in_testcase(connection)


def _is_in_memory(connection: BaseDatabaseWrapper) -> bool:
    tells = getattr(connection, "is_in_memory_db", None)  # SQLite's only
    return tells is not None and bool(tells())


def _is_in_testcase(connection: BaseDatabaseWrapper) -> bool:
    # `TestCase` marks its blocks with a private attribute, and there is no public
    # way to know one. Without the mark nothing is lent, as in production.
    return any(
        getattr(block, "_from_testcase", False)
        for block in getattr(connection, "atomic_blocks", ())
    )
