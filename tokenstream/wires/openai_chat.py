"""The wire "openai-chat": OpenAI's Chat Completions stream.

Source: the API's reference, and what its clients enforce: role first, a
finish reason, `[DONE]`, a call's id and name once, indexes from 0, and never
a key `error` but for an error. An error is followed by `[DONE]`, as OpenAI
compatible servers do.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidOption
from ..parts import Finish, Reasoning, ToolCall, Usage
from ..shown import shown
from .base import DONE, Encoder, Wire, json_ascii, json_string

__all__ = ["OpenAIChat"]


@dataclass(frozen=True)
class OpenAIChat(Wire):
    """The wire "openai-chat".

    model: the name each chunk carries.
    include_usage: send a chunk with the token counts before the end, as the
        request's `stream_options` asks for; it needs a `Usage` from the source.
    id, created: the same in every chunk; made for each stream where not given.
        created is in seconds since 1970.

    Raises `InvalidOption` for another type of `model`, `id` or `created`.
    """

    model: str = "tokenstream"
    include_usage: bool = False
    id: str | None = None
    created: int | None = None
    name = "openai-chat"

    def __post_init__(self) -> None:
        for field, kind, value, wanted in (
            ("model", str, self.model, "a str"),
            ("id", str | None, self.id, "a str or None"),
            ("created", int | None, self.created, "an int or None"),
        ):
            if not isinstance(value, kind):
                raise InvalidOption(f"OpenAIChat({field}={shown(value)}): {field} must be {wanted}")

    def begin(self) -> Encoder:
        """Return the encoder of one stream."""
        return _ChatEncoder(self)


class _ChatEncoder(Encoder):
    wire = "openai-chat"

    def __init__(self, wire: OpenAIChat) -> None:
        super().__init__()
        self._head = (
            f'data: {{"id":{json_string(wire.id or f"chatcmpl-{uuid.uuid4().hex}")},'
            '"object":"chat.completion.chunk",'
            f'"created":{json_ascii(int(time.time()) if wire.created is None else wire.created)},'
            f'"model":{json_string(wire.model)},"choices":['
        )
        # Everything but the text is the same in every chunk: made once.
        self._before_text = self._head + '{"index":0,"delta":{"content":'
        self._after_text = '},"finish_reason":null}]}\n\n'
        self._between_texts = self._after_text + self._before_text
        self.overhead = len(self._between_texts) + len('""')
        self._include_usage = wire.include_usage
        self._named: set[int] = set()
        self._usage: Usage | None = None
        self._reason: str | None = None

    def text(self, text: str) -> bytes:
        return (self._before_text + json_string(text) + self._after_text).encode("ascii")

    def texts(self, texts: list[str]) -> bytes:
        tokens = self._between_texts.join(map(json_string, texts))
        return (self._before_text + tokens + self._after_text).encode("ascii")

    def opening(self) -> bytes:
        return self._chunk({"role": "assistant", "content": ""})

    def reasoning(self, part: Reasoning) -> bytes:
        return self._chunk({"reasoning_content": part.text}) if part.text else b""

    def tool_call(self, part: ToolCall) -> bytes:
        call: dict[str, Any] = {"index": part.index}
        # A repeated id or name is joined to the first by openai-python.
        if part.index not in self._named:
            self._named.add(part.index)
            call |= {"id": part.id or f"call_{uuid.uuid4().hex}", "type": "function"}
            function = {"name": part.name or "", "arguments": part.arguments}
        else:
            function = {"arguments": part.arguments}
        return self._chunk({"tool_calls": [call | {"function": function}]})

    def usage(self, part: Usage) -> bytes:
        self._usage = part
        return b""

    def finish(self, part: Finish) -> bytes:
        self._reason = part.reason
        return b""

    def done(self) -> bytes:
        reason = self._reason or ("tool_calls" if self._named else "stop")
        return self._chunk({}, reason) + self._usage_chunk() + DONE

    def error(self, message: str) -> bytes:
        error = {"message": message, "type": "server_error", "param": None, "code": None}
        return f"data: {json_ascii({'error': error})}\n\n".encode("ascii") + DONE

    def _chunk(self, delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = json_ascii({"index": 0, "delta": delta, "finish_reason": reason})
        return f"{self._head}{choice}]}}\n\n".encode("ascii")

    def _usage_chunk(self) -> bytes:
        if self._usage is None or not self._include_usage:
            return b""
        read, written = self._usage.input_tokens, self._usage.output_tokens
        usage = {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        } | dict(self._usage.details)
        return f'{self._head}],"usage":{json_ascii(usage)}}}\n\n'.encode("ascii")
