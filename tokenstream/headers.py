"""The headers of a stream, and which of the app's own go with them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from . import sse

__all__ = ["HEADERS", "merged"]

log = logging.getLogger("tokenstream")

HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Type": f"{sse.MEDIA_TYPE}; charset=utf-8",
        # no-transform is for proxies; X-Accel-Buffering turns off nginx's buffer.
        "Cache-Control": "no-cache, no-transform",
        "X-Accel-Buffering": "no",
    }
)

_HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "keep-alive"})


def merged(
    ours: Mapping[str, str], own: Mapping[str, str] | Iterable[tuple[str, str]] | None
) -> dict[str, str]:
    """Return our headers with the app's own over them.

    `Connection` and `Transfer-Encoding` belong to the server: several answer
    500 to them (PEP 3333), and HTTP/2 forbids them. They are dropped, with a
    warning.
    """
    headers = dict(ours)
    app: dict[str, str] = dict(own or ())
    for name, value in app.items():
        if name.lower() in _HOP_BY_HOP:
            log.warning("header %s: %s is the server's to send: dropped", name, value)
            continue
        for known in [known for known in headers if known.lower() == name.lower()]:
            del headers[known]
        headers[name] = value
    return headers
