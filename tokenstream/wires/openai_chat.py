"""The wire "openai-chat": OpenAI's Chat Completions.

Source: the API's reference, and what its clients enforce: role first, a
finish reason, `[DONE]`, a call's id and name once, indexes from 0, and never
a key `error` but for an error. An error is followed by `[DONE]`, as OpenAI
compatible servers do.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..calls import Calls
from ..parts import Finish, Reasoning, Step, ToolCall, Usage
from ..reasons import reason_in
from .base import DONE, Document, Encoder, Wire, json_ascii, json_string
from .openai import check_fields, messages_of, new_id, refusal, tools_of, usage_of
from .reply import Reply
from .request import ChatRequest, Fields, JsonObject

__all__ = ["OpenAIChat"]

_MODEL = "tokenstream"
_COUNTS = [Usage]


@dataclass(frozen=True)
class OpenAIChat(Wire):
    """The wire "openai-chat".

    model: the name each chunk carries.
    include_usage: send a chunk with the token counts before the end, as the
        request's `stream_options` asks for; it needs a `Usage` from the source.
    id, created: the same in every chunk; made for each stream where not given.
        created is in seconds since 1970.
    relay: pass the chunks of an upstream that speaks this protocol as they came, with
        its model, id and created; None (the default) for where none of the three is given.

    Raises `InvalidOption` for another type of `model`, `id` or `created`.
    """

    model: str = _MODEL
    include_usage: bool = False
    id: str | None = None
    created: int | None = None
    relay: bool | None = None
    name = "openai-chat"

    def __post_init__(self) -> None:
        check_fields("OpenAIChat", model=self.model, id=self.id, created=self.created)

    def begin(self) -> Encoder:
        """Return the encoder of one stream."""
        encoder = _ChatEncoder(self)
        encoder.relays = self.name if self._relays() else None
        return encoder

    def read(self, body: Fields) -> ChatRequest:
        """Return what a request's body asks for."""
        limit = body.count("max_completion_tokens")
        old_limit = body.count("max_tokens")
        return ChatRequest(
            messages=messages_of(body),
            model=body.text("model"),
            tools=tools_of(body),
            stream=body.flag("stream") or False,
            max_tokens=old_limit if limit is None else limit,
            temperature=body.number("temperature"),
            stop=body.texts("stop"),
            params=body.rest(),
        )

    def answering(self, ask: ChatRequest) -> Wire:
        """Return the wire with the model that `ask` names, and with usage where it asks for it."""
        options = Fields(ask.params).object("stream_options")
        wants_usage = options is not None and options.flag("include_usage") is True
        return replace(
            self,
            model=ask.model or self.model,
            include_usage=self.include_usage or wants_usage,
            relay=self._relays(),
        )

    def _relays(self) -> bool:
        is_given = self.model != _MODEL or self.id is not None or self.created is not None
        return not is_given if self.relay is None else self.relay

    def document(self, reply: Reply) -> JsonObject:
        """Return a `chat.completion`."""
        message: JsonObject = {"role": "assistant", "content": reply.text or None, "refusal": None}
        if reply.reasoning:
            message["reasoning_content"] = reply.reasoning
        if calls := reply.tool_calls:
            message["tool_calls"] = [
                {
                    "id": call.id or new_id("call_"),
                    "type": "function",
                    "function": {"name": call.name or "", "arguments": call.arguments or "{}"},
                }
                for call in calls
            ]
        reason = reason_in("openai-chat", reply.reason)
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
        return {
            "id": self.id or new_id("chatcmpl-"),
            "object": "chat.completion",
            "created": int(time.time()) if self.created is None else self.created,
            "model": self.model,
            "choices": [choice],
        } | ({} if reply.usage is None else {"usage": usage_of(reply.usage)})

    def refusal(self, status: int, message: str, field: str | None = None) -> Document:
        """Return OpenAI's error body."""
        return refusal(status, message, field)


class _ChatEncoder(Encoder):
    wire = "openai-chat"

    def __init__(self, wire: OpenAIChat) -> None:
        super().__init__()
        self._head = (
            f'data: {{"id":{json_string(wire.id or new_id("chatcmpl-"))},'
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
        self._calls = Calls()
        self._usage: Usage | None = None
        self._reason: str | None = None
        self._is_finished = False  # by a chunk of the upstream's own

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
        call = self._calls.add(part)
        fragment: dict[str, Any] = {"index": call.number}
        # A repeated id or name is joined to the first by openai-python.
        if len(call.pieces) == 1:
            call.id = call.id or new_id("call_")
            fragment |= {"id": call.id, "type": "function"}
            function = {"name": call.name or "", "arguments": part.arguments}
        else:
            function = {"arguments": part.arguments}
        return self._chunk({"tool_calls": [fragment | {"function": function}]})

    def step(self, part: Step) -> bytes:
        self._calls.next_round()
        return b""

    def usage(self, part: Usage) -> bytes:
        self._usage = part
        return b""

    def finish(self, part: Finish) -> bytes:
        self._reason = part.reason
        return b""

    def relay(self, events: Sequence[tuple[str, Sequence[object]]]) -> bytes:
        frames: list[str] = []
        for data, parts in events:
            kinds = [type(part) for part in parts]
            if Finish in kinds:
                self._is_finished = True
            # The counts alone are for who asked for them.
            if self._include_usage or kinds != _COUNTS:
                frames.append(f"data: {data}\n\n")
        return "".join(frames).encode("ascii")

    def done(self) -> bytes:
        if self._is_finished:
            return DONE
        reason = self._reason or ("tool_calls" if self._calls.all else "stop")
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
        usage = json_ascii(usage_of(self._usage))
        return f'{self._head}],"usage":{usage}}}\n\n'.encode("ascii")
