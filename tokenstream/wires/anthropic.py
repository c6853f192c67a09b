"""The wire "anthropic": Anthropic's Messages.

Source: the API's reference, and what its clients enforce: every event has its
name, `message_start` first, blocks one after the other with indexes from 0, a
call's input an object, and `message_stop` at the end of success alone. A failure
ends with the event `error`.

A call's arguments are sent as they come. Where they are no object at their end,
and the model was not cut short, the stream fails: the clients would complete what
is cut, and nobody would know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from ..calls import Call, arguments_object
from ..errors import (
    DurationExceeded,
    InvalidOption,
    ServerShutdown,
    SourceTimeout,
    UpstreamError,
)
from ..parts import Finish, FinishReason, Reasoning, Source, Step, ToolCall, Usage
from ..reasons import reason_in
from ..shown import shown
from .base import Document, Encoder, Wire, json_ascii, unsupported
from .blocks import SequentialBlocks
from .openai import check_fields, new_id
from .reply import Reply
from .request import ChatRequest, Fields, JsonObject

__all__ = ["Anthropic"]


@dataclass(frozen=True)
class Anthropic(Wire):
    """The wire "anthropic".

    model: the name that the message carries.
    id: the message's; made for each stream where not given.
    relay: pass the events of an upstream that speaks this protocol as they came, with
        its model and id; None (the default) for where neither of the two is given.

    Raises `InvalidOption` for another type of `model` or `id`.
    """

    model: str = "tokenstream"
    id: str | None = None
    relay: bool | None = None
    name = "anthropic"

    def __post_init__(self) -> None:
        check_fields("Anthropic", model=self.model, id=self.id)

    def begin(self) -> Encoder:
        """Return the encoder of one stream."""
        encoder = _AnthropicEncoder(self)
        encoder.relays = self.name if self._relays() else None
        return encoder

    def read(self, body: Fields) -> ChatRequest:
        """Return what a request's body asks for."""
        return ChatRequest(
            messages=[*_system(body), *_messages(body)],
            model=body.text("model"),
            tools=[_tool(tool) for tool in body.objects("tools")],
            stream=body.flag("stream") or False,
            max_tokens=body.need("max_tokens", body.count("max_tokens")),
            temperature=body.number("temperature"),
            stop=body.texts("stop_sequences"),
            params=body.rest(),
        )

    def answering(self, ask: ChatRequest) -> Wire:
        """Return the wire with the model that `ask` names."""
        # What the app has given decides whether it relays, not what a request names.
        return replace(self, model=ask.model or self.model, relay=self._relays())

    def _relays(self) -> bool:
        if self.relay is not None:
            return self.relay
        return self.model == Anthropic.model and self.id is None

    def document(self, reply: Reply) -> JsonObject:
        """Return a message.

        Raises `UnsupportedPart`, and `InvalidOption` for a call whose arguments are no object.
        """
        _check_calls(reply.tool_calls, reply.reason)
        message = _message(self, reply.usage, list(_content(reply)))
        return message | {"stop_reason": reason_in("anthropic", reply.reason)}

    def refusal(self, status: int, message: str, field: str | None = None) -> Document:
        """Return Anthropic's error body."""
        return Document(json_ascii(_error(_kind_by(status), message)).encode("ascii"))


_CUT: frozenset[FinishReason | None] = frozenset({"length", "content_filter"})
"""Where the model was cut short a call may be cut as well, and the reader knows by the reason."""

_DETAILS = (
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "server_tool_use",
    "output_tokens_details",
)


def _message(wire: Anthropic, usage: Usage | None, content: list[JsonObject]) -> JsonObject:
    return {
        "id": wire.id or new_id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": wire.model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(usage),
    }


def _usage(usage: Usage | None) -> JsonObject:
    """Return the counts: the clients need both numbers, known or not."""
    usage = usage or Usage(0, 0)
    details, read = dict(usage.details), usage.input_tokens
    if (thoughts := details.get("reasoning_tokens")) is not None:
        details.setdefault("output_tokens_details", {"thinking_tokens": thoughts})
    if (cached := details.get("cached_tokens")) is not None:
        # OpenAI counts what came from its cache among what was read, Anthropic beside it.
        details.setdefault("cache_read_input_tokens", cached)
        read = max(0, read - cached)
    counts = {"input_tokens": read, "output_tokens": usage.output_tokens}
    return counts | {it: details[it] for it in _DETAILS if details.get(it) is not None}


def _citation(part: Source) -> JsonObject:
    # The only kind that has an address. What else it must have is known to Anthropic alone.
    return {
        "type": "web_search_result_location",
        "url": part.url,
        "title": part.title,
        "cited_text": "",
        "encrypted_index": "",
    }


def _content(reply: Reply) -> Iterator[JsonObject]:
    """Return the blocks of a message, as the clients fold them from a stream."""
    text: JsonObject | None = None
    for block in reply.blocks:
        if isinstance(block, str | Source):
            if text is None:
                yield (text := {"type": "text", "text": ""})
            _add_to(text, block)
            continue
        text = None
        match block:
            case Step():
                continue
            case Reasoning():
                yield _thinking(block)
            case ToolCall():
                given = arguments_object(block.arguments) or {}
                yield _tool_use(block.id or new_id("call_"), block.name, given)
            case _:
                raise unsupported("anthropic", block)


def _add_to(text: JsonObject, block: str | Source) -> None:
    if isinstance(block, str):
        text["text"] += block
    else:
        text.setdefault("citations", []).append(_citation(block))


def _thinking(part: Reasoning) -> JsonObject:
    return {"type": "thinking", "thinking": part.text, "signature": part.signature or ""}


def _tool_use(call_id: str | None, name: str | None, given: JsonObject) -> JsonObject:
    return {"type": "tool_use", "id": call_id, "name": name or "", "input": given}


def _check_calls(calls: Iterable[Call | ToolCall], reason: FinishReason | None) -> None:
    if reason in _CUT:
        return
    for call in calls:
        if arguments_object(call.arguments) is None:
            raise InvalidOption(
                f"the call {shown(call.name)} has the arguments {shown(call.arguments)}: they must "
                'be a JSON object, unless Finish("length") or Finish("content_filter") says that '
                "it was cut"
            )


_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def _kind_by(status: int) -> str:
    default = "api_error" if status >= 500 else "invalid_request_error"
    return _KINDS.get(status, default)


def _kind_of(error: BaseException) -> str:
    match error:
        case SourceTimeout() | DurationExceeded():
            return "timeout_error"
        case ServerShutdown():
            return "overloaded_error"
        case UpstreamError(kind=str(kind)) if kind in _KINDS.values():
            return kind
    return "api_error"


def _error(kind: str, message: str) -> JsonObject:
    return {"type": "error", "error": {"type": kind, "message": message}}


def _event(data: JsonObject) -> bytes:
    # Without its name an event is not seen.
    return f"event: {data['type']}\ndata: {json_ascii(data)}\n\n".encode("ascii")


_EVENT_NAME = re.compile("[a-z_]{1,64}")


class _AnthropicEncoder(SequentialBlocks):
    wire = "anthropic"
    overhead = 120

    def __init__(self, wire: Anthropic) -> None:
        super().__init__()
        self._wire = wire
        self._index = -1  # of the block that is open, or was last
        self._usage: Usage | None = None
        self._reason: FinishReason | None = None
        self._stop_data = json_ascii({"type": "message_stop"})
        self._is_finished = False  # by the upstream's own reason

    def opening(self) -> bytes:
        message = _message(self._wire, self._usage, [])
        return _event({"type": "message_start", "message": message})

    def text_begins(self) -> tuple[bytes, tuple[str, str]]:
        begin = self._start({"type": "text", "text": ""})
        before = (
            'event: content_block_delta\ndata: {"type":"content_block_delta",'
            f'"index":{self._index},"delta":{{"type":"text_delta","text":'
        )
        return begin, (before, "}}\n\n")

    def text_ends(self) -> bytes:
        return self._stop()

    def reasoning_begins(self) -> bytes:
        return self._start(_thinking(Reasoning("")))

    def reasoning_piece(self, part: Reasoning) -> bytes:
        frames = self._delta("thinking", part.text) if part.text else b""
        return frames + (self._delta("signature", part.signature) if part.signature else b"")

    def reasoning_ends(self) -> bytes:
        return self._stop()

    def call_begins(self, call: Call) -> bytes:
        return self._start(_tool_use(call.id, call.name, {}))

    def call_piece(self, call: Call, arguments: str) -> bytes:
        return self._delta("input_json", arguments, "partial_json")

    def call_ends(self, call: Call) -> bytes:
        return self._stop()

    def source(self, part: Source) -> bytes:
        return self.open_text() + self._delta("citations", _citation(part), "citation")

    def usage(self, part: Usage) -> bytes:
        self._usage = part
        return b""

    def finish(self, part: Finish) -> bytes:
        self._reason = part.reason
        return b""

    def relay(self, events: Sequence[tuple[str, Sequence[object]]]) -> bytes:
        return b"".join(self._relayed(data, parts) for data, parts in events)

    def _relayed(self, data: str, parts: Sequence[object]) -> bytes:
        for part in parts:
            match part:
                case ToolCall():
                    self.calls.add(part)
                case Usage():
                    self._usage = part
                case Finish():
                    self._reason, self._is_finished = part.reason, True
        kind = json.loads(data).get("type")
        if kind == "message_stop":
            self._stop_data = data  # sent once all is well
            return b""
        # Another's name could break out of its line, and no client knows it.
        is_name = isinstance(kind, str) and _EVENT_NAME.fullmatch(kind)
        return f"event: {kind}\ndata: {data}\n\n".encode("ascii") if is_name else b""

    def done(self) -> bytes:
        _check_calls(self.calls.all, self._reason)
        stop = f"event: message_stop\ndata: {self._stop_data}\n\n".encode("ascii")
        if self._is_finished:
            return stop
        reason = self._reason or ("tool_calls" if self.calls.are_open else "stop")
        delta = {"stop_reason": reason_in("anthropic", reason), "stop_sequence": None}
        return (
            self.close_blocks()
            + _event({"type": "message_delta", "delta": delta, "usage": _usage(self._usage)})
            + stop
        )

    def error(self, message: str) -> bytes:
        return _event(_error("api_error", message))

    def failure(self, message: str, error: BaseException) -> bytes:
        return _event(_error(_kind_of(error), message))

    def keep_alive(self) -> bytes:
        return _event({"type": "ping"})

    def _start(self, block: JsonObject) -> bytes:
        self._index += 1
        return _event({"type": "content_block_start", "index": self._index, "content_block": block})

    def _delta(self, kind: str, value: object, key: str | None = None) -> bytes:
        delta = {"type": f"{kind}_delta", key or kind: value}
        return _event({"type": "content_block_delta", "index": self._index, "delta": delta})

    def _stop(self) -> bytes:
        return _event({"type": "content_block_stop", "index": self._index})


_THINKING = ("thinking", "redacted_thinking")


def _system(body: Fields) -> list[JsonObject]:
    if body.raw("system") is None:
        return []
    return [{"role": "system", "content": _said(_blocks(body, "system", "text"))}]


def _messages(body: Fields) -> Iterator[JsonObject]:
    messages = body.objects("messages")
    if not messages:
        raise body.wrong("messages", "an array of at least one message")
    for message in messages:
        match message.need("role", message.text("role")):
            case "user":
                yield from _of_user(message)
            case "assistant":
                yield _of_assistant(message)
            case "system":
                yield {"role": "system", "content": _said(_blocks(message, "content", "text"))}
            case _:
                raise message.wrong("role", "one of user, assistant, system")


def _blocks(owner: Fields, name: str, *kinds: str) -> list[Fields]:
    """Return the blocks of a field, which may be text alone."""
    value = owner.need(name, owner.raw(name))
    if isinstance(value, str):
        return [Fields({"type": "text", "text": value}, owner.path(name))]
    if not isinstance(value, list):
        raise owner.wrong(name, "a string or an array of blocks")
    blocks = owner.objects(name)
    for block in blocks:
        if block.need("type", block.text("type")) not in kinds:
            raise block.wrong("type", f"one of {', '.join(kinds)}")
    return blocks


def _of_user(message: Fields) -> Iterator[JsonObject]:
    """Return what a user says, and what tools gave, in their order."""
    blocks = _blocks(message, "content", "text", "image", "tool_result")
    if not blocks:
        raise message.wrong("content", "a string or an array of at least one block")
    for is_result, group in groupby(blocks, lambda block: block.raw("type") == "tool_result"):
        if is_result:
            yield from map(_tool_result, group)
        else:
            yield {"role": "user", "content": _said(list(group))}


def _tool_result(block: Fields) -> JsonObject:
    given = block.raw("content") is not None
    result = {
        "role": "tool",
        "tool_call_id": block.need("tool_use_id", block.text("tool_use_id")),
        "content": _said(_blocks(block, "content", "text", "image")) if given else "",
    }
    return result | ({"is_error": True} if block.flag("is_error") else {})


def _said(blocks: list[Fields]) -> str | list[JsonObject]:
    """Return text alone as a string, as chat templates want it: blocks are passages of it."""
    parts = [_part(block) for block in blocks]
    if all(part["type"] == "text" for part in parts):
        return "\n\n".join(part["text"] for part in parts)
    return parts


def _part(block: Fields) -> JsonObject:
    if block.raw("type") == "text":
        return {"type": "text", "text": _text(block)}
    return {"type": "image_url", "image_url": {"url": _address(block)}}


def _text(block: Fields) -> str:
    return block.need("text", block.text("text"))


def _address(image: Fields) -> str:
    source = image.need("source", image.object("source"))
    match source.need("type", source.text("type")):
        case "url":
            return source.need("url", source.text("url"))
        case "base64":
            media_type = source.need("media_type", source.text("media_type"))
            return f"data:{media_type};base64,{source.need('data', source.text('data'))}"
    raise source.wrong("type", "one of base64, url")


def _of_assistant(message: Fields) -> JsonObject:
    blocks = _blocks(message, "content", "text", "tool_use", *_THINKING)
    text = "".join(_text(it) for it in blocks if it.raw("type") == "text")
    thoughts = [it for it in blocks if it.raw("type") in _THINKING]
    calls = [_call(it) for it in blocks if it.raw("type") == "tool_use"]
    said: JsonObject = {"role": "assistant", "content": None if calls and not text else text}
    if thoughts:
        said |= _thought(thoughts)
    if calls:
        said["tool_calls"] = calls
    return said


def _thought(blocks: list[Fields]) -> JsonObject:
    """Return thinking where servers look for it, and the blocks as they came: they are signed."""
    thinking = [it for it in blocks if it.raw("type") == "thinking"]
    words = "".join(it.need("thinking", it.text("thinking")) for it in thinking)
    as_text = {"reasoning_content": words} if words else {}
    return as_text | {"thinking_blocks": [it.all() for it in blocks]}


def _call(block: Fields) -> JsonObject:
    given = block.need("input", block.object("input")).all()
    function = {
        "name": block.need("name", block.text("name")),
        "arguments": json.dumps(given, ensure_ascii=False),
    }
    call_id = block.need("id", block.text("id"))
    return {"id": call_id, "type": "function", "function": function}


def _tool(tool: Fields) -> JsonObject:
    if tool.text("type") not in (None, "custom"):
        return tool.all()  # Anthropic's own: whether there is such a tool the app knows
    schema = tool.need("input_schema", tool.object("input_schema")).all()
    function = {
        "name": tool.need("name", tool.text("name")),
        "description": tool.text("description"),
        "parameters": schema,
        "strict": tool.flag("strict"),
    }
    given = {name: value for name, value in function.items() if value is not None}
    return {"type": "function", "function": given}
