"""Errors that are told by an HTTP status: which, and with what words."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from .errors import (
    BadRequest,
    BodyTooLarge,
    DurationExceeded,
    PromptTooLong,
    ServerShutdown,
    SourceError,
    SourceTimeout,
    UpstreamError,
)
from .headers import merged
from .machine import message_for
from .reconnect import Answer
from .shown import type_name
from .wires import Wire

__all__ = ["known_refusal", "refusal", "refuse"]

log = logging.getLogger("tokenstream")

OnError: TypeAlias = Callable[[BaseException], str] | None


def refusal(
    error: BaseException,
    wire: Wire,
    headers: Mapping[str, str] | None = None,
    on_error: OnError = None,
) -> Answer | None:
    """Return what a reader gets for `error` before its stream has begun, in the wire's own shape.

    headers: the app's own, which go along. on_error: see `TokenStream`.

    None for an error that says nothing to a reader: it goes the framework's own way, and
    is logged there. What the source has done is logged here.
    """
    answer = known_refusal(error, wire, headers, on_error)
    if answer is not None and isinstance(error, SourceError):
        log.warning(
            "answered with %d before the first part: %s",
            answer.status,
            type_name(error),
            exc_info=error,
        )
    return answer


def known_refusal(
    error: BaseException,
    wire: Wire,
    headers: Mapping[str, str] | None = None,
    on_error: OnError = None,
) -> Answer | None:
    """Do what `refusal` does, for an error that has been logged."""
    own = dict(headers or ())
    match error:
        case BadRequest():
            return refuse(wire, 400, str(error), field=error.field, headers=own)
        case PromptTooLong():
            return refuse(wire, 400, str(error), headers=own)
        case BodyTooLarge():
            return refuse(wire, 413, str(error), headers=own)
        case SourceTimeout() | DurationExceeded():
            return refuse(wire, 504, message_for(error, on_error), headers=own)
        case ServerShutdown():
            return refuse(wire, 503, message_for(error, on_error), headers=own)
        case UpstreamError():
            own |= _retry_after(error.retry_after)
            # An SDK's words may hold its key or an address within the network.
            message = message_for(error, on_error) if error.public is None else error.public
            return refuse(wire, _status(error.status), message, headers=own)
    return None


def refuse(
    wire: Wire,
    status: int,
    message: str,
    *,
    field: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Return an error in the wire's own shape. `message` is public; `headers` go along."""
    document = wire.refusal(status, message, field)
    ours = {"Content-Type": document.content_type, "Cache-Control": "no-store"}
    return Answer(status, merged(merged({}, headers), ours), document.body)


def _status(status: int | None) -> int:
    # One that is no error's, a redirect's say, would make this look like a success.
    return status if status is not None and 400 <= status <= 599 else 502


_DELAY = re.compile(r"[A-Za-z0-9 ,:]{1,64}")
"""Seconds or a date (RFC 9110, 10.2.3); what else another server wrote goes no further."""


def _retry_after(value: str | None) -> dict[str, str]:
    return {"Retry-After": value} if value is not None and _DELAY.fullmatch(value) else {}
