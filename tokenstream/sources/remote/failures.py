"""How an upstream fails: an answer that refuses, no answer, a stream that breaks.

What is said to a reader before its stream has begun is `UpstreamError.public`, which
holds no secret. Details of the network are in the error's notes: those are for the log.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import httpx

from ...errors import UpstreamError
from .secrets import Secrets

__all__ = [
    "BODY_LIMIT",
    "Failure",
    "is_encoded",
    "noted",
    "refused",
    "said",
    "seconds_of",
    "unanswered",
]

BODY_LIMIT = 65536
"""Bytes of a refusal that are read."""

_MESSAGE_LIMIT = 1000
"""Characters of an upstream's message that are kept."""

_BUSY = frozenset({429, 503, 529})


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no stream, and whether to ask again may help."""

    error: UpstreamError
    may_retry: bool = False


def refused(status: int, headers: Mapping[str, str], body: bytes, secrets: Secrets) -> Failure:
    """Return what an answer that is no event stream means."""
    if not 400 <= status <= 599:
        # A redirect is not followed: the key is for this address alone.
        return Failure(_public(_no_stream(status, headers), status=502))
    message, kind = said(_document(headers, body), secrets)
    error = _public(
        message or f"the upstream answered {_named(status)}",
        status=status,
        retry_after=_checked(headers.get("retry-after")),
        kind=kind,
    )
    return Failure(error, may_retry=status in _BUSY)


def _public(message: str, **details: Any) -> UpstreamError:
    """Return an error whose message a reader may see: it is clean of secrets."""
    return UpstreamError(message, public=message, **details)


def unanswered(error: httpx.HTTPError, secrets: Secrets) -> Failure:
    """Return what it means that no answer came."""
    if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
        told = _public("the upstream could not be reached in time", status=504)
    elif isinstance(error, httpx.TimeoutException):
        told = _public("the upstream did not answer in time", status=504)
    elif isinstance(error, httpx.ConnectError | httpx.ProxyError | httpx.UnsupportedProtocol):
        told = _public("the upstream could not be reached", status=502)
    else:
        told = _public("the upstream closed the connection without an answer", status=502)
    # What has taken its whole time once is not asked again, nor what may have been answered.
    may_retry = isinstance(error, httpx.ConnectError)
    return Failure(noted(told, error, secrets), may_retry)


def noted(told: UpstreamError, error: Exception, secrets: Secrets) -> UpstreamError:
    """Return `told` with a note of what was behind it, for the log."""
    told.add_note(f"{type(error).__name__}: {secrets.hide(str(error))[:_MESSAGE_LIMIT]}")
    return told


def said(document: Any, secrets: Secrets) -> tuple[str | None, str | None]:
    """Return the message and the kind of an error, in whatever form an API tells it.

    OpenAI's and Anthropic's `{"error": {"message", "type"}}`, a bare `{"error": "..."}`,
    `{"message"}`, FastAPI's `{"detail"}`, Google's list of one, or text.
    """
    match document:
        case [first, *_]:
            return said(first, secrets)
        case {"error": dict() as error}:
            return said(error, secrets)
        case {"error": str() as message}:
            return _told(message, secrets), None
        case {"message": str() as message}:
            return _told(message, secrets), _kind(document, secrets)
        case {"detail": str() as message}:
            return _told(message, secrets), None
        case {"detail": [{"msg": str() as message}, *_]} | {"msg": str() as message}:
            return _told(message, secrets), None
        case str():
            return _told(document, secrets), None
    return None, None


def seconds_of(retry_after: str | None) -> float | None:
    """Return how many seconds a `Retry-After` names, None where it is missing or no such thing."""
    if retry_after is None:
        return None
    if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 10:
        return float(retry_after)
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _document(headers: Mapping[str, str], body: bytes) -> object:
    """Return what a refusal's body says: JSON, or plain text; a page for people says nothing."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        is_text = headers.get("content-type", "").partition(";")[0].strip() == "text/plain"
        return body.decode("utf-8", "replace") if is_text else None


def _no_stream(status: int, headers: Mapping[str, str]) -> str:
    if status != 200:
        return f"the upstream answered {_named(status)}, not with a stream"
    if is_encoded(headers):
        return "the upstream compressed its stream, which it was asked not to"
    return "the upstream did not answer with an event stream"


def is_encoded(headers: Mapping[str, str]) -> bool:
    """Tell whether a body is compressed, though it was asked not to be: it is not read then."""
    return headers.get("content-encoding", "identity") != "identity"


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _kind(error: Mapping[str, Any], secrets: Secrets) -> str | None:
    words = (error.get(name) for name in ("type", "code", "status"))
    return next((_told(it, secrets) for it in words if it and isinstance(it, str)), None)


def _told(text: str, secrets: Secrets) -> str | None:
    """Return a text in one line, with no secret and not without end; None for an empty one."""
    # Hidden before it is cut: half a secret is not found.
    words = secrets.hide(" ".join(text.split())[: 4 * _MESSAGE_LIMIT])
    if len(words) > _MESSAGE_LIMIT:
        words = words[: _MESSAGE_LIMIT - 3] + "..."
    return words or None


def _checked(retry_after: str | None) -> str | None:
    """Return a `Retry-After` that is one: it is passed on."""
    return None if seconds_of(retry_after) is None else retry_after
