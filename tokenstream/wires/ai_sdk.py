"""The wire "ai-sdk": the UI message stream v1 of Vercel's AI SDK, which `useChat` reads.

Source: the schema of its chunks, and what the clients of `ai` 5, 6 and 7 enforce: only
types and reasons that all three know, text and thinking in blocks with an id, a call
before its result, and never a null. The end is `finish` and `[DONE]`; nothing follows
an `error`, whose text is shown to users.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ..calls import Call, arguments_object
from ..errors import BadRequest, InvalidOption
from ..parts import Data, Finish, FinishReason, Reasoning, Source, Step, ToolCall, ToolResult, Usage
from ..reasons import reason_in
from ..shown import shown
from .base import DONE, Document, Encoder, Wire, json_ascii
from .blocks import BlockEncoder
from .openai import check_fields, new_id
from .reply import Block, Reply
from .request import ChatRequest, Fields, JsonObject
from .thinking import think

__all__ = ["AISDK"]


@dataclass(frozen=True)
class AISDK(Wire):
    """The wire "ai-sdk".

    id: the message's id; made for each reply where not given. A reply to a request whose
        last message is the assistant's, which a client sends with what its own tools gave,
        goes on with that message, under its id.

    Raises `InvalidOption` for an `id` of another type.
    """

    id: str | None = None
    name = "ai-sdk"
    headers = MappingProxyType({"x-vercel-ai-ui-message-stream": "v1"})

    def __post_init__(self) -> None:
        check_fields("AISDK", id=self.id)

    def begin(self) -> Encoder:
        """Return the encoder of one stream."""
        return _UIEncoder(self.id)

    def read(self, body: Fields) -> ChatRequest:
        """Return what `useChat`, or `useCompletion`, asks for.

        `params` has the `messages` as they came, for what OpenAI's shape has no place for:
        ids, metadata, data, sources, approvals.
        """
        messages, came = _messages_of(body)
        stream = body.flag("stream")
        return ChatRequest(
            messages=messages,
            model=body.text("model"),
            stream=True if stream is None else stream,
            chat_id=body.text("id"),
            params=came | body.rest(),
        )

    def answering(self, ask: ChatRequest) -> Wire:
        """Return the wire that goes on with the assistant's message, where that is the last."""
        *_, last = ask.params.get("messages") or [{}]
        if last.get("role") != "assistant":
            return self
        return _Continued(last.get("id") or self.id, before=tuple(last["parts"]))

    def document(self, reply: Reply) -> JsonObject:
        """Return a `UIMessage`, as a client has it at the end of the stream."""
        told = {} if reply.usage is None else {"metadata": _metadata(reply.usage)}
        parts = _Parts(self._before())
        for block in reply.blocks:
            parts.add(block)
        return {
            "id": self.id or new_id("msg_"),
            "role": "assistant",
            **told,
            "parts": parts.all,
        }

    def _before(self) -> Sequence[JsonObject]:
        """Return the parts that the message has already."""
        return ()

    def refusal(self, status: int, message: str, field: str | None = None) -> Document:
        """Return the message alone: the client shows the body as it is."""
        return Document(message.encode("utf-8", "replace"), "text/plain; charset=utf-8")


@dataclass(frozen=True)
class _Continued(AISDK):
    """What goes on with a message. before: its parts, whose calls may get results."""

    before: tuple[JsonObject, ...] = field(default=(), hash=False, repr=False)

    def begin(self) -> Encoder:
        calls = (part["toolCallId"] for part in self.before if _is_call(part["type"]))
        return _UIEncoder(self.id, frozenset(calls))

    def _before(self) -> Sequence[JsonObject]:
        return self.before


# The stream.


class _UIEncoder(BlockEncoder):
    wire = "ai-sdk"
    overhead = len('data: {"type":"text-delta","id":"text-1","delta":""}\n\n')

    def __init__(self, message_id: str | None, calls: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self._message_id = message_id or new_id("msg_")
        self._known = calls
        self._blocks = 0
        self._block = ""  # the id of the open block of text or thinking
        self._signed: JsonObject = {}
        self._sources = 0
        self._usage: Usage | None = None
        self._reason: FinishReason | None = None
        self._waits = False  # for what a call gives

    def opening(self) -> bytes:
        return _chunk("start", messageId=self._message_id) + _chunk("start-step")

    def text_begins(self) -> tuple[bytes, tuple[str, str]]:
        self._next_block("text")
        before = f'data: {{"type":"text-delta","id":"{self._block}","delta":'
        return _chunk("text-start", id=self._block), (before, "}\n\n")

    def text_ends(self) -> bytes:
        return _chunk("text-end", id=self._block)

    def reasoning_begins(self) -> bytes:
        self._next_block("reasoning")
        self._signed = {}
        return _chunk("reasoning-start", id=self._block)

    def reasoning_piece(self, part: Reasoning) -> bytes:
        self._signed = _signed(part)
        return _chunk("reasoning-delta", id=self._block, delta=part.text) if part.text else b""

    def reasoning_ends(self) -> bytes:
        return _chunk("reasoning-end", id=self._block, **self._signed)

    def call_begins(self, call: Call) -> bytes:
        self._waits = True
        return _chunk("tool-input-start", toolCallId=call.id, toolName=call.name or "")

    def call_piece(self, call: Call, arguments: str) -> bytes:
        return _chunk("tool-input-delta", toolCallId=call.id, inputTextDelta=arguments)

    def call_ends(self, call: Call) -> bytes:
        called = {"toolCallId": call.id, "toolName": call.name or ""}
        given = arguments_object(call.arguments)
        if given is None:
            said = {"input": call.arguments, "errorText": NOT_AN_OBJECT}
            return _chunk("tool-input-error", **called, **said)
        return _chunk("tool-input-available", **called, input=given)

    def tool_result(self, part: ToolResult) -> bytes:
        known = _checked(part, "id") in self._known
        if not known and all(part.id != call.id for call in self.calls.all):
            raise _unknown_call(part)
        frames = self.close_blocks()
        self._waits = False
        if part.is_error:
            error = _as_text(part.output)
            return frames + _chunk("tool-output-error", toolCallId=part.id, errorText=error)
        return frames + _chunk("tool-output-available", toolCallId=part.id, output=part.output)

    def source(self, part: Source) -> bytes:
        # Beside an open block: a source in the middle of a sentence parts no text.
        self._sources += 1
        return _frame(_source(part, self._sources))

    def data(self, part: Data) -> bytes:
        return _frame(_data(part))

    def step(self, part: Step) -> bytes:
        return super().step(part) + _chunk("finish-step") + _chunk("start-step")

    def usage(self, part: Usage) -> bytes:
        self._usage = part
        return b""

    def finish(self, part: Finish) -> bytes:
        self._reason = part.reason
        return b""

    def done(self) -> bytes:
        frames = self.close_blocks()  # a call may begin with it
        reason = self._reason or ("tool_calls" if self._waits else "stop")
        told: JsonObject = {"finishReason": reason_in("ai-sdk", reason)}
        if self._usage is not None:
            told["messageMetadata"] = _metadata(self._usage)
        return frames + _chunk("finish-step") + _chunk("finish", **told) + DONE

    def error(self, message: str) -> bytes:
        return _chunk("error", errorText=message)

    def _next_block(self, kind: str) -> None:
        self._blocks += 1
        self._block = f"{kind}-{self._blocks}"
        self._waits = False


def _chunk(kind: str, **fields: Any) -> bytes:
    return _frame({"type": kind, **fields})


def _frame(chunk: Mapping[str, Any]) -> bytes:
    return f"data: {json_ascii(chunk)}\n\n".encode("ascii")


# What the stream and the whole message say in the same words.

NOT_AN_OBJECT = "the arguments are not a JSON object"


def _signed(part: Reasoning) -> JsonObject:
    """Return the signature where Anthropic's provider of the AI SDK has it, and looks for it."""
    if part.signature is None:
        return {}
    return {"providerMetadata": {"anthropic": {"signature": _checked(part, "signature")}}}


def _source(part: Source, number: int) -> JsonObject:
    title = {} if part.title is None else {"title": _checked(part, "title")}
    place = {"sourceId": f"source-{number}", "url": _checked(part, "url")}
    return {"type": "source-url", **place, **title}


def _data(part: Data) -> JsonObject:
    if not _checked(part, "name"):
        raise InvalidOption("Data(name=''): a name must have characters on the wire 'ai-sdk'")
    return {"type": f"data-{part.name}", "data": part.value}


def _metadata(usage: Usage) -> JsonObject:
    # No chunk is for usage. The names are those of the AI SDK's own counts.
    counts = {
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.input_tokens + usage.output_tokens,
    }
    return {"usage": counts | dict(usage.details)}


def _checked(part: object, name: str) -> str:
    # One chunk of another type, and the client drops the whole stream.
    if not isinstance(value := getattr(part, name), str):
        given = f"{type(part).__name__}({name}={shown(value)})"
        raise InvalidOption(f"{given}: {name} must be a str")
    return value


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json_ascii(value)


def _unknown_call(part: ToolResult) -> InvalidOption:
    return InvalidOption(
        f"ToolResult(id={shown(part.id)}): no call of this reply has that id: "
        "yield its ToolCall, with the same id, first"
    )


# The whole message.


class _Parts:
    """The parts of a `UIMessage`, in the form that a client makes of the chunks."""

    def __init__(self, before: Sequence[JsonObject]) -> None:
        self.all: list[JsonObject] = [*map(dict, before), {"type": "step-start"}]
        self._words: JsonObject | None = None  # text or thinking that may go on
        self._sources = 0

    def add(self, block: Block) -> None:
        match block:
            case str():
                self._add_words("text", block)
            case Reasoning():
                self._add_words("reasoning", block.text, **_signed(block))
            case Source():
                self._sources += 1
                self.all.append(_source(block, self._sources))
            case Data():
                self.all.append(_data(block))
            case _:
                self._words = None
                self._add_round(block)

    def _add_words(self, kind: str, text: str, **signed: Any) -> None:
        words = self._words
        if words is None or words["type"] != kind or "providerMetadata" in words:
            words = self._words = {"type": kind, "text": "", "state": "done"}
            self.all.append(words)
        words["text"] += text
        words |= signed

    def _add_round(self, block: ToolCall | ToolResult | Step) -> None:
        match block:
            case ToolCall():
                self.all.append(_tool(block))
            case ToolResult():
                self._answer(block)
            case Step():
                self.all.append({"type": "step-start"})

    def _answer(self, result: ToolResult) -> None:
        calls = [it for it in self.all if it.get("toolCallId") == result.id]
        if not calls:
            raise _unknown_call(result)
        calls[-1].pop("errorText", None)
        if result.is_error:
            calls[-1] |= {"state": "output-error", "errorText": _as_text(result.output)}
        else:
            calls[-1] |= {"state": "output-available", "output": result.output}


def _tool(call: ToolCall) -> JsonObject:
    part = {"type": f"tool-{call.name or ''}", "toolCallId": call.id or new_id("call_")}
    given = arguments_object(call.arguments)
    if given is not None:
        return part | {"state": "input-available", "input": given}
    return part | {"state": "output-error", "input": call.arguments, "errorText": NOT_AN_OBJECT}


# The request.

ROLES = ("system", "user", "assistant")


def _messages_of(body: Fields) -> tuple[list[JsonObject], JsonObject]:
    """Return the messages in OpenAI's shape, and as they came."""
    if body.raw("messages") is None and (prompt := body.text("prompt")) is not None:
        return [{"role": "user", "content": prompt}], {}  # `useCompletion` asks in this way
    messages = body.objects("messages")
    if not messages:
        raise body.wrong("messages", "an array of at least one message")
    users = [place for place, it in enumerate(messages) if it.raw("role") == "user"]
    last_user = users[-1] if users else 0
    read = [
        one
        for place, message in enumerate(messages)
        for one in _read_message(message, is_past=place < last_user)
    ]
    return read, {"messages": [message.all() for message in messages]}


def _read_message(message: Fields, *, is_past: bool) -> list[JsonObject]:
    message.text("id")
    role = message.need("role", message.text("role"))
    if role not in ROLES:
        raise message.wrong("role", f"one of {', '.join(ROLES)}")
    message.need("parts", message.raw("parts"))
    parts = message.objects("parts")
    if role == "assistant":
        rounds = _Rounds(is_past=is_past)
        for part in parts:
            rounds.add(part)
        return rounds.messages()
    if role == "system":
        return [{"role": "system", "content": "".join(_texts_of(parts))}]
    return [_user(parts)]


def _user(parts: list[Fields]) -> JsonObject:
    if any(_type_of(part) == "file" for part in parts):
        content = [it for part in parts if (it := _content(part)) is not None]
        return {"role": "user", "content": content}
    # A string where it can be one: not every chat template takes parts.
    return {"role": "user", "content": "\n".join(_texts_of(parts))}


def _texts_of(parts: list[Fields]) -> Iterator[str]:
    return (part.need("text", part.text("text")) for part in parts if _type_of(part) == "text")


def _type_of(part: Fields) -> str:
    return part.need("type", part.text("type"))


def _is_call(kind: str) -> bool:
    return kind == "dynamic-tool" or kind.startswith("tool-")


def _content(part: Fields) -> JsonObject | None:
    match _type_of(part):
        case "text":
            return {"type": "text", "text": part.need("text", part.text("text"))}
        case "file":
            return _file(part)
    return None


def _file(part: Fields) -> JsonObject:
    url = part.need("url", part.text("url"))
    # Whoever fetches it must not be led to a file of the server's.
    if not url.lower().startswith(("data:", "https://", "http://")):
        raise part.wrong("url", "an http, https or data URL")
    media, name = part.need("mediaType", part.text("mediaType")), part.text("filename")
    if media.split("/")[0] == "image":
        return {"type": "image_url", "image_url": {"url": url}}
    named = {} if name is None else {"filename": name}
    return {"type": "file", "file": {**named, "file_data": url}}


class _Rounds:
    """An assistant's `UIMessage` as OpenAI's messages: for each round one, then its results.

    A part of a kind that a model has no use for (sources, data), or that is of a later
    version, is left out.
    """

    def __init__(self, *, is_past: bool) -> None:
        self._is_past = is_past  # the user has said something since
        self._messages: list[JsonObject] = []
        self._begin()

    def _begin(self) -> None:
        self._texts: list[str] = []
        self._thoughts: list[Reasoning] = []
        self._calls: list[JsonObject] = []
        self._results: list[JsonObject] = []

    def messages(self) -> list[JsonObject]:
        self._end_round()
        return self._messages

    def add(self, part: Fields) -> None:
        match kind := _type_of(part):
            case "step-start":
                self._end_round()
            case "text" | "reasoning":
                self._add_words(part, kind)
            case "steering-message":
                self._end_round()
                self._messages.append(_user(part.objects("parts")))
            case _ if _is_call(kind):
                self._add_call(part, kind)

    def _add_words(self, part: Fields, kind: str) -> None:
        if self._results:
            self._end_round()  # what follows a result was said knowing it
        text = part.need("text", part.text("text"))
        if kind == "text":
            self._texts.append(text)
        else:
            self._thoughts.append(Reasoning(text, _signature_of(part)))

    def _add_call(self, part: Fields, kind: str) -> None:
        is_dynamic = kind == "dynamic-tool"
        name = part.need("toolName", part.text("toolName")) if is_dynamic else kind[len("tool-") :]
        call_id = part.need("toolCallId", part.text("toolCallId"))
        state = part.need("state", part.text("state"))
        if state not in _STATES:
            raise part.wrong("state", f"one of {', '.join(_STATES)}")
        # A call that was cut, and one that the user passed over, ask for no result.
        if state == "input-streaming" or (state == "approval-requested" and self._is_past):
            return
        function = {"name": name, "arguments": _arguments(part)}
        self._calls.append({"id": call_id, "type": "function", "function": function})
        if (content := _result(part, state)) is not None:
            self._results.append({"role": "tool", "tool_call_id": call_id, "content": content})

    def _end_round(self) -> None:
        if self._texts or self._thoughts or self._calls:
            text = "".join(self._texts)
            said: JsonObject = {"role": "assistant", "content": text}
            think(said, self._thoughts)
            if self._calls:
                said |= {"content": text or None, "tool_calls": self._calls}
            self._messages += [said, *self._results]
        self._begin()


_STATES = (
    "input-streaming",
    "input-available",
    "approval-requested",
    "approval-responded",
    "output-available",
    "output-error",
    "output-denied",
)


def _arguments(part: Fields) -> str:
    given = part.raw("input")
    if given is None:
        given = part.raw("rawInput")  # the AI SDK's, of a call that failed
    return "{}" if given is None else _json_of(part, "input", given)


def _result(part: Fields, state: str) -> str | None:
    match state:
        case "output-available":
            output = part.raw("output")
            return output if isinstance(output, str) else _json_of(part, "output", output)
        case "output-error":
            return part.need("errorText", part.text("errorText"))
        case "output-denied" | "approval-responded":
            approval = part.object("approval")
            denied = state == "output-denied"
            if approval is not None:
                denied = denied or approval.flag("approved") is False
            reason = None if approval is None else approval.text("reason")
            return (reason or "the call was denied") if denied else None
    return None


def _json_of(part: Fields, name: str, value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        raise BadRequest("is nested too deep", part.path(name)) from None


def _signature_of(part: Fields) -> str | None:
    metadata = part.object("providerMetadata")
    signed = None if metadata is None else metadata.object("anthropic")
    return None if signed is None else signed.text("signature")
