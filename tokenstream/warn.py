"""What can't work under the server that is there: said in the log, once a process.

Only what the server itself puts into the environ is looked at.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

__all__ = ["warn_of_server"]

log = logging.getLogger("tokenstream")

Environ: TypeAlias = Mapping[str, Any]


def warn_of_server(environ: Environ) -> None:
    """Log a warning, once a process for each cause, if streams fare badly under this server.

    environ: that of a request which is answered by a stream.
    """
    for is_there, text in _CAUSES:
        # `setdefault` is atomic: of many first streams at once, one warns.
        if is_there(environ) and _said.setdefault(text, (me := object())) is me:
            log.warning(text)


_said: dict[str, object] = {}


def _is_gunicorn_sync(environ: Environ) -> bool:
    # Its threads and its greenlets say True.
    return "gunicorn.socket" in environ and not environ.get("wsgi.multithread")


def _is_wsgi_to_asgi(environ: Environ) -> bool:
    # It leaves no name, but a kind of body that no server uses.
    body = environ.get("wsgi.input")
    return "asgiref.wsgi" in sys.modules and isinstance(body, tempfile.SpooledTemporaryFile)


def _is_a2wsgi(environ: Environ) -> bool:
    return "asgi.scope" in environ


_BY_THREADS = "Run the app under gunicorn -k gthread --threads N, with N for all readers at once"

_CAUSES: tuple[tuple[Callable[[Environ], bool], str], ...] = (
    (
        _is_gunicorn_sync,
        "gunicorn's sync worker serves one stream at a time, and is killed in the middle of one "
        f"that lasts longer than --timeout. {_BY_THREADS}.",
    ),
    (
        _is_wsgi_to_asgi,
        "asgiref's WsgiToAsgi runs all requests in one thread: a stream holds up every other, "
        f"and goes on when its reader has left. {_BY_THREADS}, or Django's own ASGI application.",
    ),
    (
        _is_a2wsgi,
        "under a2wsgi a stream holds one of WSGIMiddleware's `workers` (10 by default), and goes "
        f"on when its reader has left. {_BY_THREADS}, or Django's own ASGI application.",
    ),
)
