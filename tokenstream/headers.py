"""The headers of a stream, and which of the app's own go with them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from . import sse
from .errors import InvalidOption
from .shown import shown

__all__ = ["HEADERS", "check_headers", "merged"]

log = logging.getLogger("tokenstream")

HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Type": f"{sse.MEDIA_TYPE}; charset=utf-8",
        # no-transform is for proxies; X-Accel-Buffering turns off nginx's buffer.
        "Cache-Control": "no-cache, no-transform",
        "X-Accel-Buffering": "no",
    }
)

# RFC 9110, 5.1 and 5.5: a name is a token, and a value holds neither CR, LF nor NUL.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FORBIDDEN = re.compile("[\r\n\0]")

_HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "keep-alive"})


def merged(
    ours: Mapping[str, str], own: Mapping[str, str] | Iterable[tuple[str, str]] | None
) -> dict[str, str]:
    """Return our headers with the app's own over them.

    `Connection` and `Transfer-Encoding` belong to the server: several answer
    500 to them (PEP 3333), and HTTP/2 forbids them. They are dropped, with a
    warning. Raises what `check_headers` raises.
    """
    headers = dict(ours)
    app: dict[str, str] = dict(own or ())
    check_headers(app)
    for name, value in app.items():
        if name.lower() in _HOP_BY_HOP:
            log.warning("header %s: %s is the server's to send: dropped", name, value)
            continue
        for known in [known for known in headers if known.lower() == name.lower()]:
            del headers[known]
        headers[name] = value
    return headers


def check_headers(own: Mapping[str, str] | None) -> None:
    """Raise `InvalidOption` for a header that would end its line and begin another.

    A server that looks says so only when the response is sent, and not which.
    """
    for name, value in dict(own or ()).items():
        if not _NAME.fullmatch(_plain(name)):
            raise InvalidOption(f"header {shown(name)}: give a name of letters, digits and dashes")
        if _FORBIDDEN.search(_plain(value)):
            raise InvalidOption(
                f"header {shown(name)}: {shown(value)} can't hold CR, LF or NUL; remove them"
            )


def _plain(text: object) -> str:
    # Frameworks take bytes, numbers and lazy strings, too.
    return text.decode("latin-1") if isinstance(text, bytes) else str(text)
