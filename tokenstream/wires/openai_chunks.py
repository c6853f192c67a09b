"""What Chat Completions and the legacy Completions share: a stream of chunks under one head."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ..parts import Finish, FinishReason, Usage
from ..reasons import reason_in
from .base import DONE, Document, Encoder, Wire, json_ascii, json_string
from .openai import asks_usage, check_fields, new_id, refusal, usage_of
from .reply import Reply
from .request import ChatRequest, JsonObject

__all__ = ["ChunkEncoder", "ChunkWire"]


@dataclass(frozen=True)
class ChunkWire(Wire):
    """A wire whose chunks and whole replies differ in their one choice."""

    model: str = "tokenstream"
    include_usage: bool = False
    id: str | None = None
    created: int | None = None

    id_prefix: ClassVar[str]
    whole: ClassVar[str]
    """The `object` of a reply in one piece."""

    def __post_init__(self) -> None:
        check_fields(type(self).__name__, model=self.model, id=self.id, created=self.created)

    def answering(self, ask: ChatRequest) -> Wire:
        """Return the wire with the model that `ask` names, and with usage where it asks for it."""
        return replace(
            self,
            model=ask.model or self.model,
            include_usage=self.include_usage or asks_usage(ask.params),
        )

    def document(self, reply: Reply) -> JsonObject:
        """Return the reply in one piece."""
        reason = reason_in(self.name, reply.reason)
        choice = {"index": 0, **self.choice(reply), "logprobs": None, "finish_reason": reason}
        return self.head(self.whole) | {
            "choices": [choice],
            **({} if reply.usage is None else {"usage": usage_of(reply.usage)}),
        }

    def choice(self, reply: Reply) -> JsonObject:
        """Return what the choice of a whole reply says."""
        raise NotImplementedError

    def head(self, kind: str) -> JsonObject:
        """Return what is the same in each chunk of a reply."""
        return {
            "id": self.id or new_id(self.id_prefix),
            "object": kind,
            "created": int(time.time()) if self.created is None else self.created,
            "model": self.model,
        }

    def refusal(self, status: int, message: str, field: str | None = None) -> Document:
        """Return OpenAI's error body."""
        return refusal(status, message, field)


class ChunkEncoder(Encoder):
    """Text, usage and both ends. A subclass says what a choice looks like."""

    kind: ClassVar[str]
    """The `object` of a chunk."""

    around_text: ClassVar[tuple[str, str]]
    """What is around the text in its choice, whose `index` is first."""

    def __init__(self, wire: ChunkWire) -> None:
        super().__init__()
        self.wire = wire.name
        # Everything but the text is the same in every chunk: made once.
        self._head = f'data: {json_ascii(wire.head(self.kind))[:-1]},"choices":['
        before, after = self.around_text
        self._before_text = f'{self._head}{{"index":0,{before}'
        self._after_text = f'{after},"finish_reason":null}}]}}\n\n'
        self._between_texts = self._after_text + self._before_text
        self.overhead = len(self._between_texts) + len('""')
        self._include_usage = wire.include_usage
        self._usage: Usage | None = None
        self._reason: FinishReason | None = None

    def text(self, text: str) -> bytes:
        """Return the chunk of a token."""
        return f"{self._before_text}{json_string(text)}{self._after_text}".encode("ascii")

    def texts(self, texts: list[str]) -> bytes:
        """Return the chunks of many tokens."""
        tokens = self._between_texts.join(map(json_string, texts))
        return f"{self._before_text}{tokens}{self._after_text}".encode("ascii")

    def usage(self, part: Usage) -> bytes:
        """Keep the count for the end."""
        self._usage = part
        return b""

    def finish(self, part: Finish) -> bytes:
        """Keep the reason for the end."""
        self._reason = part.reason
        return b""

    def last(self) -> JsonObject:
        """Return what the choice of the last chunk says, which has the reason."""
        raise NotImplementedError

    def done(self) -> bytes:
        """Return the last chunk, the count where it was asked for, and `[DONE]`."""
        reason = reason_in(self.wire, self._reason or "stop")
        return self.chunk(self.last(), reason) + self._usage_chunk() + DONE

    def error(self, message: str) -> bytes:
        """Return the error, and `[DONE]` as OpenAI compatible servers do."""
        body = refusal(500, message, None).body
        return b"data: " + body + b"\n\n" + DONE

    def chunk(self, choice: dict[str, Any], reason: str | None = None) -> bytes:
        """Return a chunk whose choice says so."""
        whole = json_ascii({"index": 0, **choice, "finish_reason": reason})
        return f"{self._head}{whole}]}}\n\n".encode("ascii")

    def _usage_chunk(self) -> bytes:
        if self._usage is None or not self._include_usage:
            return b""
        usage = json_ascii(usage_of(self._usage))
        return f'{self._head}],"usage":{usage}}}\n\n'.encode("ascii")
