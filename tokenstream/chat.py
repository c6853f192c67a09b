"""What the adapters' `chat_endpoint` share: a body in, a source and the wire that answers it."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from .errors import BadRequest, BodyTooLarge
from .headers import check_headers, merged
from .machine import message_for
from .reconnect import Answer
from .refusal import known_refusal, refusal, refuse
from .result import Result
from .shown import type_name
from .wires import ChatRequest, Wire, WireName, find_wire, read_request
from .wires.whole import Whole

__all__ = [
    "BODY_LIMIT",
    "READER_LEFT",
    "AnswerChat",
    "Chat",
    "Told",
    "chat_of",
    "check_size",
    "other_method",
    "read_limited",
    "whole_options",
]

log = logging.getLogger("tokenstream")

BODY_LIMIT = 10 << 20
"""Bytes that a request's body may have: chats carry pictures, base64."""

READER_LEFT = 499
"""What logs are told of a reader that has left, by a status of nginx's; nobody reads it."""

AnswerChat: TypeAlias = Callable[[ChatRequest], object]
"""A `ChatRequest` to a source, to a coroutine of one, or to a finished response."""

Told: TypeAlias = tuple[int, str, Mapping[str, str]]
"""Of an error that the framework answers by itself: status, message, headers."""


def _untold(_: BaseException) -> Told | None:
    return None


@dataclass(frozen=True)
class Chat:
    """A chat endpoint, whatever the framework.

    wire: how it is asked and answers. answer: what makes the source.
    headers: the app's own, for every answer. on_error: see `TokenStream`.
    told: what the framework makes of its own exceptions, None for another.

    Raises `InvalidOption` for a wire that has no request.
    """

    wire: Wire
    answer: AnswerChat
    headers: Mapping[str, str] = field(default_factory=dict)
    on_error: Callable[[BaseException], str] | None = None
    told: Callable[[BaseException], Told | None] = _untold

    def __post_init__(self) -> None:
        with contextlib.suppress(BadRequest):
            read_request(self.wire, {})

    def without_body(self, method: str) -> Answer | None:
        """Return what a request gets that is no POST."""
        return None if method == "POST" else other_method(self.wire, method, "POST", self.headers)

    def read(self, body: bytes, request: object) -> tuple[Callable[[], object], Wire]:
        """Return the source that a body asks for, and the wire that answers it.

        Raises `BadRequest`.
        """
        ask = replace(read_request(self.wire, body), request=request)
        wire = self.wire.answering(ask)
        return functools.partial(self.answer, ask), wire if ask.stream else Whole(wire)

    def refused(self, error: BaseException) -> Answer:
        """Return what a reader gets for an error before its reply.

        What has no words of its own is a 500, and logged here.
        """
        known = self._known(refusal, error)
        if known is None:
            log.error("the chat endpoint failed: %s", type_name(error), exc_info=error)
        return known or self._failed(error)

    def whole(self, result: Result | None, body: bytes) -> Answer:
        """Return the answer to a request with `stream: false`, once its stream has ended.

        What the source has raised after its first part was logged by the stream.
        """
        error = None if result is None else result.error
        if error is not None:
            known = self._known(known_refusal, error)
            return known or self._failed(error)
        if result is None or result.outcome != "completed":
            return Answer(READER_LEFT, {}, b"")
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        return Answer(200, merged(merged({}, self.headers), headers), body)

    def _known(
        self, refusal_of: Callable[..., Answer | None], error: BaseException
    ) -> Answer | None:
        known = refusal_of(error, self.wire, self.headers, self.on_error)
        return known or self._told(error)

    def _told(self, error: BaseException) -> Answer | None:
        if (told := self.told(error)) is None:
            return None
        status, message, headers = told
        return refuse(self.wire, status, message, headers=merged(self.headers, headers))

    def _failed(self, error: BaseException) -> Answer:
        return refuse(self.wire, 500, message_for(error, self.on_error), headers=self.headers)


def chat_of(
    wire: WireName | Wire,
    answer: AnswerChat,
    options: Mapping[str, Any],
    told: Callable[[BaseException], Told | None] = _untold,
) -> Chat:
    """Return the endpoint of an adapter's arguments. Raises `UnknownWire` and `InvalidOption`."""
    headers = dict(options.get("headers") or ())
    check_headers(headers)
    return Chat(find_wire(wire), answer, headers, options.get("on_error"), told)


def whole_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a response's options that a `TokenStream` has, for a reply in one piece.

    Its status waits for all of it: so the first part is waited for as long as the rest.
    """
    of_the_response = ("status", "headers", "on_reconnect")
    return {k: v for k, v in options.items() if k not in of_the_response} | {"prime": None}


def other_method(
    wire: Wire, method: str, allowed: str, headers: Mapping[str, str] | None = None
) -> Answer:
    """Return what a request gets by another method than those that are `allowed`."""
    own = merged(headers or {}, {"Allow": f"{allowed}, OPTIONS"})
    if method == "OPTIONS":
        return Answer(204, own, b"")
    refused = refuse(wire, 405, f"the method {method} is not allowed: use {allowed}", headers=own)
    return replace(refused, body=b"") if method == "HEAD" else refused


def check_size(size: int | None) -> None:
    """Raise `BodyTooLarge` for a body of more bytes than `BODY_LIMIT`; None is not known yet."""
    if size is not None and size > BODY_LIMIT:
        raise BodyTooLarge(
            f"the request's body is larger than {BODY_LIMIT} bytes, which is the limit here"
        )


def read_limited(read: Callable[[int], bytes]) -> bytes:
    """Return all that `read` gives. Raises `BodyTooLarge` past `BODY_LIMIT`."""
    body = bytearray()
    while piece := read(1 << 16):
        body += piece
        check_size(len(body))
    return bytes(body)
