"""Errors that are told by an HTTP status: which, and with what words."""

from __future__ import annotations

from .errors import BadRequest, BodyTooLarge, PromptTooLong, SourceTimeout, UpstreamError
from .reconnect import Answer
from .wires import Wire

__all__ = ["refusal"]


def refusal(error: BaseException, wire: Wire) -> Answer | None:
    """Return what a reader gets for `error` before its stream has begun, in the wire's own shape.

    None for an error that says nothing to a reader: it goes the framework's own way.
    """
    match error:
        case BadRequest():
            return _answer(wire, 400, str(error), error.field)
        case PromptTooLong():
            return _answer(wire, 400, str(error))
        case BodyTooLarge():
            return _answer(wire, 413, str(error))
        case SourceTimeout():
            return _answer(wire, 504, "generation timed out")
        case UpstreamError():
            return _answer(wire, error.status or 502, str(error), retry_after=error.retry_after)
    return None


def _answer(
    wire: Wire,
    status: int,
    message: str,
    field: str | None = None,
    retry_after: str | None = None,
) -> Answer:
    document = wire.refusal(status, message, field)
    headers = {"Content-Type": document.content_type, "Cache-Control": "no-store"}
    if retry_after is not None:
        headers["Retry-After"] = retry_after
    return Answer(status, headers, document.body)
