"""What the WSGI adapters share: the watch on the socket, where the server lends it.

A WSGI app learns that its reader has left only when a write fails, which takes
a second write after the reader's end. Some servers put the connection's socket
into the environ: looked at, it tells at once.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from .native import original

__all__ = ["Probe", "disconnect_probe", "hanger_up"]

Probe: TypeAlias = Callable[[], bool]

_SOCKETS = ("gunicorn.socket", "gunicorn.sock", "werkzeug.socket")
"""`gunicorn.sock` is what its worker `gevent_pywsgi` says."""

# Waitress looks for itself, if `channel_request_lookahead` is set; else it says False.
_WAITRESS = "waitress.client_disconnected"

_UWSGI = "uwsgi.version"


def disconnect_probe(environ: Mapping[str, Any]) -> Probe | None:
    """Return a function that tells whether the reader has gone, None where nothing can be seen.

    environ: the request's. Known are gunicorn, Werkzeug, uWSGI and waitress;
    others are noticed when a write fails, which the keep-alive bounds.

    The function reads no byte, does not block, and never raises. A reader that
    only shuts down its sending side counts as gone: on the wire it looks the same.
    """
    if callable(asked := environ.get(_WAITRESS)):
        return lambda: bool(asked())
    if _UWSGI in environ:
        return _uwsgi_probe()
    sock = _socket_in(environ)
    if sock is None:
        return None
    if not (hasattr(select, "poll") and _RDHUP):
        return _working(_peeked, sock)
    # gevent's own knows no POLLRDHUP. The real one does not block: it gets no time to.
    return _working(partial(_polled, original("select", "poll")), sock)


def hanger_up(environ: Mapping[str, Any]) -> Callable[[], None] | None:
    """Return a function that ends the request's connection, None where no socket is lent.

    It frees a thread that writes to a reader that takes nothing, which would
    else stay until that reader leaves. From any thread; never raises.
    """
    sock = _socket_in(environ)
    if sock is None or environ.get("SERVER_PROTOCOL", "").startswith("HTTP/2"):
        return None  # other requests may share an HTTP/2 connection
    return partial(_shut_down, sock)


def _shut_down(sock: Any) -> None:
    # Through a duplicate: `SSLSocket.shutdown` lets go of TLS first, so that the thread
    # in the write would go on in clear, and gevent's is for its socket's own thread alone.
    try:
        with original("socket", "socket")(fileno=os.dup(sock.fileno())) as same:
            same.shutdown(socket.SHUT_RDWR)
    except (OSError, ValueError, AttributeError, TypeError):
        pass  # closed meanwhile, or no socket


def _socket_in(environ: Mapping[str, Any]) -> Any:
    return next((environ[name] for name in _SOCKETS if environ.get(name) is not None), None)


_RDHUP: int = getattr(select, "POLLRDHUP", 0)  # Linux
_GONE = _RDHUP | getattr(select, "POLLHUP", 0) | getattr(select, "POLLERR", 0)


def _uwsgi_probe() -> Probe | None:
    # The module is a part of the server: there is none to import elsewhere.
    if (uwsgi := sys.modules.get("uwsgi")) is None or not _RDHUP:
        return None
    make_poll = original("select", "poll")

    def look() -> bool:
        try:
            return _has_ended(make_poll, uwsgi.connection_fd())
        except SystemError:
            return False  # this thread serves no request, as that of an async view

    return look


def _working(look: Callable[[Any], bool], sock: Any) -> Probe | None:
    """Look once, for what can't work here."""
    try:
        look(sock)
    except (OSError, ValueError, AttributeError, TypeError):
        return None
    return lambda: _safely(look, sock)


def _safely(look: Callable[[Any], bool], sock: Any) -> bool:
    try:
        return look(sock)
    except (OSError, ValueError):
        return True  # it was a socket a moment ago: closed meanwhile


def _polled(make_poll: Callable[[], select.poll], sock: Any) -> bool:
    # The number is asked for each time: that of a closed socket may be another's by now.
    return _has_ended(make_poll, sock.fileno())


def _has_ended(make_poll: Callable[[], select.poll], number: int) -> bool:
    if number < 0:
        return True
    poll = make_poll()
    poll.register(number, _RDHUP)
    return any(events & (_GONE | select.POLLNVAL) for _, events in poll.poll(0))


def _peeked(sock: Any) -> bool:
    if isinstance(sock, ssl.SSLSocket):
        raise TypeError("a TLS socket can't be peeked into")
    try:
        return not sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
