"""What the adapters' `chat_endpoint` share: a body in, a source and the wire that answers it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from .machine import public_message
from .reconnect import Answer
from .refusal import refusal
from .result import Result
from .wires import ChatRequest, Wire, read_request
from .wires.whole import Whole

__all__ = ["BODY_LIMIT", "AnswerChat", "Chat"]

BODY_LIMIT = 10 << 20
"""Bytes that a request's body may have: chats carry pictures, base64."""

AnswerChat: TypeAlias = Callable[[ChatRequest], object]
"""A `ChatRequest` to a source, or to a coroutine of one."""


@dataclass(frozen=True)
class Chat:
    """A chat endpoint, whatever the framework.

    wire: how it is asked and answers. answer: what makes the source.
    """

    wire: Wire
    answer: AnswerChat

    def read(self, body: bytes, request: object) -> tuple[Callable[[], object], Wire]:
        """Return the source that a body asks for, and the wire that answers it.

        Raises `BadRequest`, and `InvalidOption` for a wire that has no request.
        """
        ask = replace(read_request(self.wire, body), request=request)
        wire = self.wire.answering(ask)
        return functools.partial(self.answer, ask), wire if ask.stream else Whole(wire)

    def refused(self, error: BaseException) -> Answer | None:
        """Return what a reader gets for an error before the reply, None where it has no words."""
        return refusal(error, self.wire)

    def whole(self, result: Result, body: bytes) -> Answer:
        """Return the answer to a request with `stream: false`, once its stream has ended."""
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        if result.error is None:
            return Answer(200, headers, body)
        if (answer := self.refused(result.error)) is not None:
            return answer
        document = self.wire.refusal(500, public_message(result.error))
        return Answer(500, headers | {"Content-Type": document.content_type}, document.body)
