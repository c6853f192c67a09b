"""The wire "openai-responses": OpenAI's Responses.

Source: the API's reference, the types of its clients (openai 3.54 of PyPI, 7.57 of
npm), and what their `.stream()` helpers enforce: `response.created` first, an item and
its part before their deltas, ids that stay the same, items numbered with no gap, no
event that the protocol has not, and a last response that holds every item. There is no
`[DONE]`. A failure is an `error` event, which both clients raise on where it has a
nested `error`, and then `response.failed`.

Thinking is sent as a summary: of the protocol's two places for it that is the one which
other clients show; the AI SDK's provider leaves out raw `reasoning_text`.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..calls import Call
from ..parts import Finish, FinishReason, Reasoning, Source, ToolResult, Usage
from .base import Document, Encoder, Wire, json_ascii, json_string
from .blocks import BlockEncoder
from .openai import check_fields, refusal, usage_of
from .reply import Reply
from .request import ChatRequest, Fields, JsonObject
from .thinking import think

__all__ = ["OpenAIResponses"]


@dataclass(frozen=True)
class OpenAIResponses(Wire):
    """The wire "openai-responses".

    model: the name that the response carries.
    id, created: of the response; made for each stream where not given. created is in
        seconds since 1970.

    Raises `InvalidOption` for another type of `model`, `id` or `created`.
    """

    model: str = "tokenstream"
    id: str | None = None
    created: int | None = None
    name = "openai-responses"

    def __post_init__(self) -> None:
        check_fields("OpenAIResponses", model=self.model, id=self.id, created=self.created)

    def begin(self) -> Encoder:
        """Return the encoder of one stream."""
        return _ResponsesEncoder(self)

    def read(self, body: Fields) -> ChatRequest:
        """Return what a request's body asks for; `conversation` stays in `params`, too."""
        return ChatRequest(
            messages=_messages(body),
            model=body.text("model"),
            tools=[_tool(tool) for tool in body.objects("tools")],
            stream=body.flag("stream") or False,
            max_tokens=body.count("max_output_tokens"),
            temperature=body.number("temperature"),
            params=(params := body.rest()),
            chat_id=_conversation(Fields(params)),
        )

    def answering(self, ask: ChatRequest) -> Wire:
        """Return the wire with the model that `ask` names."""
        return replace(self, model=ask.model or self.model)

    def document(self, reply: Reply) -> JsonObject:
        """Return a `response`: the one that a stream of the same parts ends with."""
        encoder = _ResponsesEncoder(self)
        for block in reply.blocks:
            encoder.text(block) if isinstance(block, str) else encoder.part(block)
        if reply.usage is not None:
            encoder.usage(reply.usage)
        encoder.finish(Finish(reply.reason))
        encoder.done()
        return encoder.response()

    def refusal(self, status: int, message: str, field: str | None = None) -> Document:
        """Return OpenAI's error body."""
        return refusal(status, message, field)


class _ResponsesEncoder(BlockEncoder):
    wire = "openai-responses"

    def __init__(self, wire: OpenAIResponses) -> None:
        super().__init__()
        self._suffix = wire.id or uuid.uuid4().hex
        self._head = {
            "id": wire.id or f"resp_{self._suffix}",
            "object": "response",
            "created_at": int(time.time()) if wire.created is None else wire.created,
        }
        self._model = wire.model
        # Of the next event: 0 and 1 open the stream, which may be asked for after the first part.
        self._number = 2
        self._opened = False
        self._items: list[JsonObject] = []
        self._by_call: dict[int, int] = {}  # a call's number to its item's
        self._in_text = False
        self._around = ("", "")  # a token's number and text
        # Of the block that is open: where its pieces belong, and the pieces.
        self._place: JsonObject = {}
        self._pieces: list[str] = []
        self._annotations: list[JsonObject] = []
        self._signature: str | None = None
        self._held: list[Source] = []
        self._usage: JsonObject | None = None
        self._reason: FinishReason | None = None
        self.overhead = len("".join(_text_frame(self._place_of("msg", 0)))) + len('00,"delta":')

    def opening(self) -> bytes:
        self._opened = True
        response = self._response("in_progress", [])
        return b"".join(
            _frame(f"response.{kind}", number, {"response": response})
            for number, kind in enumerate(("created", "in_progress"))
        )

    # A token: its number and its text are all that differs.

    def text(self, text: str) -> bytes:
        begin = b"" if self._in_text else self.open_text()
        self._pieces.append(text)
        number = self._number
        self._number = number + 1
        before, after = self._around
        return begin + f'{before}{number},"delta":{json_string(text)}{after}'.encode("ascii")

    def texts(self, texts: list[str]) -> bytes:
        begin = b"" if self._in_text else self.open_text()
        self._pieces += texts
        number = self._number
        self._number = number + len(texts)
        before, after = self._around
        frames = [
            f'{before}{place},"delta":{token}{after}'
            for place, token in enumerate(map(json_string, texts), number)
        ]
        return begin + "".join(frames).encode("ascii")

    def text_begins(self) -> tuple[bytes, tuple[str, str]]:
        frames = self._item_begins("msg", type="message", role="assistant", content=[])
        self._place["content_index"] = 0
        self._annotations = []
        self._in_text = True
        frames += self._event("response.content_part.added", **self._place, part=_text_part("", []))
        held, self._held = self._held, []
        self._around = _text_frame(self._place)
        return frames + b"".join(map(self._annotation, held)), self._around

    def text_ends(self) -> bytes:
        self._in_text = False
        text = "".join(self._pieces)
        part = _text_part(text, self._annotations)
        return (
            self._event("response.output_text.done", **self._place, text=text, logprobs=[])
            + self._event("response.content_part.done", **self._place, part=part)
            + self._item_ends(self._place["output_index"], content=[part])
        )

    def reasoning_begins(self) -> bytes:
        frames = self._item_begins("rs", type="reasoning", summary=[])
        self._place["summary_index"] = 0
        self._signature = None
        part = _summary("")
        return frames + self._event(
            "response.reasoning_summary_part.added", **self._place, part=part
        )

    def reasoning_piece(self, part: Reasoning) -> bytes:
        self._signature = part.signature
        if not part.text:
            return b""
        self._pieces.append(part.text)
        return self._event("response.reasoning_summary_text.delta", **self._place, delta=part.text)

    def reasoning_ends(self) -> bytes:
        text = "".join(self._pieces)
        part = _summary(text)
        # What a client is to send back with the next turn, whatever it means.
        sealed = {} if self._signature is None else {"encrypted_content": self._signature}
        return (
            self._event("response.reasoning_summary_text.done", **self._place, text=text)
            + self._event("response.reasoning_summary_part.done", **self._place, part=part)
            + self._item_ends(self._place["output_index"], summary=[part], **sealed)
        )

    def call_begins(self, call: Call) -> bytes:
        self._by_call[call.number] = len(self._items)
        return self._item_begins("fc", **_call_fields(call, ""))

    def call_piece(self, call: Call, arguments: str) -> bytes:
        place = self._place_of("fc", self._by_call[call.number])
        return self._event("response.function_call_arguments.delta", **place, delta=arguments)

    def call_ends(self, call: Call) -> bytes:
        # Clients parse the arguments as JSON, which nothing is not.
        frames = b"" if call.arguments else self.call_piece(call, "{}")
        fields = _call_fields(call, call.arguments or "{}")
        index = self._by_call.pop(call.number)
        done = {key: fields[key] for key in ("name", "arguments")}
        frames += self._event(
            "response.function_call_arguments.done", **self._place_of("fc", index), **done
        )
        return frames + self._item_ends(index, **fields)

    def tool_result(self, part: ToolResult) -> bytes:
        # The protocol says of no result that it is an error: that it is incomplete, it can.
        text = part.output if isinstance(part.output, str) else json_ascii(part.output)
        fields = {"type": "function_call_output", "call_id": part.id, "output": text}
        frames = self.close_blocks() + self._item_begins("fco", **fields)
        status = "incomplete" if part.is_error else "completed"
        return frames + self._item_ends(len(self._items) - 1, status=status)

    def source(self, part: Source) -> bytes:
        # It annotates a text: where none is open, the next.
        if self._in_text:
            return self._annotation(part)
        self._held.append(part)
        return b""

    def usage(self, part: Usage) -> bytes:
        usage = _usage(part)
        json_ascii(usage)  # raised here, where the stream can still tell of it
        self._usage = usage
        return b""

    def finish(self, part: Finish) -> bytes:
        self._reason = part.reason
        return b""

    def done(self) -> bytes:
        frames = self.open_text() if self._held else b""
        frames += self.close_blocks()
        response = self.response()
        return frames + self._event(f"response.{response['status']}", response=response)

    def error(self, message: str) -> bytes:
        begin = b"" if self._opened else self.opening()
        error = {"code": "server_error", "message": message}
        nested = {"type": "server_error", **error, "param": None}
        # What was not finished is not in it: a client must not run half of a call.
        items = [item for item in self._items if item["status"] != "in_progress"]
        return (
            begin
            + self._event("error", **error, param=None, error=nested)
            + self._event("response.failed", response=self._response("failed", items, error=error))
        )

    def response(self) -> JsonObject:
        """Return the whole response, once all has ended."""
        why = None if self._cut is None else {"reason": self._cut}
        status = "incomplete" if why else "completed"
        return self._response(status, self._items, incomplete_details=why, usage=self._usage)

    @property
    def _cut(self) -> str | None:
        return None if self._reason is None else _CUT.get(self._reason)

    def _response(self, status: str, items: list[JsonObject], **fields: Any) -> JsonObject:
        # Clients that check types need each of these.
        return {
            **self._head,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": self._model,
            "output": items,
            "parallel_tool_calls": True,
            "temperature": None,
            "tool_choice": "auto",
            "tools": [],
            "top_p": None,
            "usage": None,
        } | fields

    def _annotation(self, source: Source) -> bytes:
        # Of the whole reply, as far as we know: an empty range names no words of it.
        annotation = {
            "type": "url_citation",
            "url": source.url,
            "title": source.url if source.title is None else source.title,
            "start_index": 0,
            "end_index": 0,
        }
        fields = {"annotation_index": len(self._annotations), "annotation": annotation}
        frame = self._event("response.output_text.annotation.added", **self._place, **fields)
        self._annotations.append(annotation)
        return frame

    def _item_begins(self, prefix: str, **fields: Any) -> bytes:
        index = len(self._items)
        self._place, self._pieces = self._place_of(prefix, index), []
        item = {"id": self._place["item_id"], **fields, "status": "in_progress"}
        frame = self._event("response.output_item.added", output_index=index, item=item)
        self._items.append(item)
        return frame

    def _item_ends(self, index: int, **fields: Any) -> bytes:
        status = "completed" if self._cut is None else "incomplete"
        item = self._items[index] | {"status": status} | fields
        frame = self._event("response.output_item.done", output_index=index, item=item)
        self._items[index] = item
        return frame

    def _place_of(self, prefix: str, index: int) -> JsonObject:
        return {"item_id": f"{prefix}_{index}_{self._suffix}", "output_index": index}

    def _event(self, kind: str, **fields: Any) -> bytes:
        frame = _frame(kind, self._number, fields)
        self._number += 1
        return frame


def _frame(kind: str, number: int, fields: JsonObject) -> bytes:
    data = json_ascii({"type": kind, "sequence_number": number, **fields})
    return f"event: {kind}\ndata: {data}\n\n".encode("ascii")


# Why a reply is incomplete. The other reasons have no word: it is completed.
_CUT: dict[FinishReason, str] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
}


def _text_frame(place: JsonObject) -> tuple[str, str]:
    """Return what is before a token's number and after its text."""
    kind = "response.output_text.delta"
    fields = json_ascii({"type": kind, **place, "logprobs": []})
    return f'event: {kind}\ndata: {fields[:-1]},"sequence_number":', "}\n\n"


def _text_part(text: str, annotations: list[JsonObject]) -> JsonObject:
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": []}


def _summary(text: str) -> JsonObject:
    return {"type": "summary_text", "text": text}


def _call_fields(call: Call, arguments: str) -> JsonObject:
    name = call.name or ""
    return {"type": "function_call", "call_id": call.id, "name": name, "arguments": arguments}


# What a count is called here, and in chat; clients want the details whether or not there are any.
_COUNTS = {
    "prompt_tokens": "input_tokens",
    "prompt_tokens_details": "input_tokens_details",
    "completion_tokens": "output_tokens",
    "completion_tokens_details": "output_tokens_details",
}
_DETAILS: dict[str, JsonObject] = {
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}


def _usage(usage: Usage) -> JsonObject:
    counts = {_COUNTS.get(name, name): count for name, count in usage_of(usage).items()}
    for name, zeros in _DETAILS.items():
        given = counts.get(name)
        counts[name] = zeros | given if isinstance(given, dict) else zeros
    return counts


# The request: its items to messages in the shape of OpenAI's chat.


def _messages(body: Fields) -> list[JsonObject]:
    instructions = body.text("instructions")
    messages = [] if instructions is None else [_said("system", instructions)]
    given = body.need("input", body.raw("input"))
    if isinstance(given, str):
        return [*messages, _said("user", given)]
    if not isinstance(given, list) or not given:
        raise body.wrong("input", "a string or an array of at least one item")
    for item in body.objects("input"):
        kind = item.text("type") or "message"
        if kind not in _ITEMS:
            raise item.wrong("type", f"one of {', '.join(_ITEMS)}")
        _ITEMS[kind](item, messages)
    return messages


def _said(role: str, content: str | list[JsonObject]) -> JsonObject:
    return {"role": role, "content": content}


def _assistant(messages: list[JsonObject]) -> JsonObject:
    """Return the message that the assistant is in: chat has its text and its calls in one."""
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    return messages[-1]


def _read_message(item: Fields, messages: list[JsonObject]) -> None:
    role = item.need("role", item.text("role"))
    if role not in _ROLES:
        raise item.wrong("role", f"one of {', '.join(_ROLES)}")
    content = _content(item, "content")
    if role != "assistant":
        messages.append(_said(role, content))
        return
    message = _assistant(messages)
    before = message["content"]
    message["content"] = content if before is None else [*_parts(before), *_parts(content)]


def _read_call(item: Fields, messages: list[JsonObject]) -> None:
    function = {name: item.need(name, item.text(name)) for name in ("name", "arguments")}
    call_id = item.need("call_id", item.text("call_id"))
    call = {"id": call_id, "type": "function", "function": function}
    _assistant(messages).setdefault("tool_calls", []).append(call)


def _read_result(item: Fields, messages: list[JsonObject]) -> None:
    call_id = item.need("call_id", item.text("call_id"))
    messages.append(_said("tool", _content(item, "output")) | {"tool_call_id": call_id})


def _read_reasoning(item: Fields, messages: list[JsonObject]) -> None:
    parts = item.objects("content") or item.objects("summary")
    text = "".join(part.need("text", part.text("text")) for part in parts)
    sealed = item.text("encrypted_content") or None
    if text or sealed:
        think(_assistant(messages), [Reasoning(text, sealed)])


_ROLES = ("user", "assistant", "system", "developer")

# What refers to a response that a server has stored is none of them: nothing is stored here.
_ITEMS: dict[str, Callable[[Fields, list[JsonObject]], None]] = {
    "message": _read_message,
    "function_call": _read_call,
    "function_call_output": _read_result,
    "reasoning": _read_reasoning,
}


def _content(item: Fields, name: str) -> str | list[JsonObject]:
    value = item.need(name, item.raw(name))
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise item.wrong(name, "a string or an array of parts")
    parts = [_part(part) for part in item.objects(name)]
    # Many a model's chat template takes a string only.
    if len(parts) == 1 and parts[0]["type"] == "text":
        return str(parts[0]["text"])
    return parts


def _parts(content: str | list[JsonObject]) -> list[JsonObject]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _part(part: Fields) -> JsonObject:
    match part.need("type", part.text("type")):
        case "input_text" | "output_text":
            return {"type": "text", "text": part.need("text", part.text("text"))}
        case "refusal":
            return {"type": "refusal", "refusal": part.need("refusal", part.text("refusal"))}
        case "input_image":
            url = part.need("image_url", part.text("image_url"))
            return {"type": "image_url", "image_url": {"url": url} | _given(part, "detail")}
        case "input_file":
            file = _given(part, "file_data", "file_id", "file_url", "filename")
            return {"type": "file", "file": file}
        case "input_audio":
            audio = part.need("input_audio", part.object("input_audio"))
            return {"type": "input_audio", "input_audio": audio.all()}
    raise part.wrong(
        "type", "input_text, output_text, refusal, input_image, input_file or input_audio"
    )


def _given(fields: Fields, *names: str) -> JsonObject:
    return {name: value for name in names if (value := fields.text(name)) is not None}


def _tool(tool: Fields) -> JsonObject:
    """Return a tool in the shape of chat, which has a function's fields in an object."""
    if tool.need("type", tool.text("type")) != "function":
        return tool.all()
    tool.need("name", tool.text("name"))
    tool.text("description")
    tool.object("parameters")
    return {"type": "function", "function": _without(tool.all(), "type")}


def _without(fields: JsonObject, name: str) -> JsonObject:
    return {key: value for key, value in fields.items() if key != name and value is not None}


def _conversation(params: Fields) -> str | None:
    """Return the id of the conversation, which is text or an object with an id."""
    if isinstance(params.raw("conversation"), str):
        return params.text("conversation")
    conversation = params.object("conversation")
    return None if conversation is None else conversation.need("id", conversation.text("id"))
