"""The wire "openai-chat": OpenAI's Chat Completions.

Source: the API's reference, and what its clients enforce: role first, a
finish reason, `[DONE]`, a call's id and name once, indexes from 0, and never
a key `error` but for an error. An error is followed by `[DONE]`, as OpenAI
compatible servers do.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..calls import Calls
from ..parts import Finish, Reasoning, Step, ToolCall, Usage
from .base import DONE, Encoder, Wire, json_ascii
from .openai import messages_of, new_id, settings_of, tools_of
from .openai_chunks import ChunkEncoder, ChunkWire
from .reply import Reply
from .request import ChatRequest, Fields, JsonObject

__all__ = ["OpenAIChat"]

_COUNTS = [Usage]

NO_ARGUMENTS = "{}"
"""What a call without arguments has, as at OpenAI: clients parse it as JSON."""


@dataclass(frozen=True)
class OpenAIChat(ChunkWire):
    """The wire "openai-chat".

    model: the name each chunk carries.
    include_usage: send a chunk with the token counts before the end, as the
        request's `stream_options` asks for; it needs a `Usage` from the source.
    id, created: the same in every chunk; made for each stream where not given.
        created is in seconds since 1970.
    relay: pass the chunks of an upstream that speaks this protocol as they came, with
        its model, id and created; None (the default) for where none of the three is given.
        A finish that the upstream leaves out is added, with those of its last chunk.

    Raises `InvalidOption` for another type of `model`, `id` or `created`.
    """

    relay: bool | None = None
    name = "openai-chat"
    id_prefix = "chatcmpl-"
    whole = "chat.completion"

    def begin(self) -> Encoder:
        """Return the encoder of one stream."""
        encoder = _ChatEncoder(self)
        encoder.relays = self.name if self._relays() else None
        return encoder

    def read(self, body: Fields) -> ChatRequest:
        """Return what a request's body asks for."""
        limit, old_limit = body.count("max_completion_tokens"), body.count("max_tokens")
        return ChatRequest(
            messages=messages_of(body),
            tools=tools_of(body),
            max_tokens=old_limit if limit is None else limit,
            **settings_of(body),
        )

    def answering(self, ask: ChatRequest) -> Wire:
        """Return the wire with the model that `ask` names, and with usage where it asks for it."""
        # What the app has given decides whether it relays, not what a request names.
        return ChunkWire.answering(replace(self, relay=self._relays()), ask)

    def _relays(self) -> bool:
        if self.relay is not None:
            return self.relay
        return self.model == ChunkWire.model and self.id is None and self.created is None

    def choice(self, reply: Reply) -> JsonObject:
        """Return the choice with its message."""
        message: JsonObject = {"role": "assistant", "content": reply.text or None, "refusal": None}
        if reply.reasoning:
            message["reasoning_content"] = reply.reasoning
        if reply.tool_calls:
            message["tool_calls"] = [_call(call) for call in reply.tool_calls]
        return {"message": message}


def _call(call: ToolCall) -> JsonObject:
    function = {"name": call.name or "", "arguments": call.arguments or NO_ARGUMENTS}
    return {"id": call.id or new_id("call_"), "type": "function", "function": function}


class _ChatEncoder(ChunkEncoder):
    kind = "chat.completion.chunk"
    around_text = ('"delta":{"content":', "}")

    def __init__(self, wire: OpenAIChat) -> None:
        super().__init__(wire)
        self._calls = Calls()
        self._unnamed: set[int] = set()
        self._wire = wire
        self._relayed = ""  # the upstream's last chunk
        self._is_finished = False  # by a chunk of the upstream's own

    def opening(self) -> bytes:
        # Null, as where calls follow at OpenAI: what a reply with no text has in one piece, too.
        return self._delta({"role": "assistant", "content": None})

    def reasoning(self, part: Reasoning) -> bytes:
        return self._delta({"reasoning_content": part.text}) if part.text else b""

    def tool_call(self, part: ToolCall) -> bytes:
        call = self._calls.add(part)
        fragment: dict[str, Any] = {"index": call.number}
        function = {"arguments": part.arguments}
        # A repeated id or name is joined to the first by openai-python.
        if len(call.pieces) == 1:
            fragment |= {"id": call.made_id(), "type": "function"}
            function = {"name": call.name or "", **function}
            self._unnamed.add(call.number)
        elif call.name and call.number in self._unnamed:
            function = {"name": call.name, **function}
        if call.name:
            self._unnamed.discard(call.number)
        return self._delta({"tool_calls": [fragment | {"function": function}]})

    def step(self, part: Step) -> bytes:
        self._calls.next_round()
        return b""

    def last(self) -> JsonObject:
        return {"delta": {}}

    def relay(self, events: Sequence[tuple[str, Sequence[object]]]) -> bytes:
        frames: list[str] = []
        for data, parts in events:
            kinds = [type(part) for part in parts]
            if Finish in kinds:
                self._is_finished = True
            for part in parts:
                if isinstance(part, ToolCall):
                    self._calls.add(part)
            # The counts alone are for who asked for them.
            if self._include_usage or kinds != _COUNTS:
                frames.append(f"data: {data}\n\n")
            self._relayed = data
        return "".join(frames).encode("ascii")

    def done(self) -> bytes:
        if self._is_finished:
            return DONE
        if self._calls.are_open:
            self._reason = self._reason or "tool_calls"
        if self._relayed:
            self._go_on()
            return super().done()
        bare = [call.number for call in self._calls.all if not call.arguments]
        return b"".join(map(self._no_arguments, bare)) + super().done()

    def _go_on(self) -> None:
        """Take the head of the upstream's chunks: the finish that they lack is one of them."""
        head = self._wire.head(self.kind)
        theirs = json.loads(self._relayed)
        head |= {name: theirs[name] for name in head if name in theirs}
        self._head = f'data: {json_ascii(head)[:-1]},"choices":['

    def _no_arguments(self, number: int) -> bytes:
        call = {"index": number, "function": {"arguments": NO_ARGUMENTS}}
        return self._delta({"tool_calls": [call]})

    def _delta(self, delta: JsonObject) -> bytes:
        return self.chunk({"delta": delta})
