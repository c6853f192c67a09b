"""The wire "ag-ui": AG-UI 1.0, as events of JSON.

Source: the protocol's models (ag-ui-protocol 1.0.0), and what its client
(@ag-ui/client 1.0.0) enforces: RUN_STARTED or RUN_ERROR is first; each message,
call, span of thinking and step begins and ends; nothing follows RUN_ERROR; no
key is null; and all is JSON: a `[DONE]` would fail the run.

A round of model and tools is a step. What the protocol has no event for is told
where it has room: a `Source` and `Data` as CUSTOM, a `Finish` in the metadata of
RUN_FINISHED, that a tool failed in the metadata of its result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..calls import Call
from ..errors import InvalidOption
from ..parts import Data, Finish, FinishReason, Reasoning, Source, Step, ToolCall, ToolResult, Usage
from ..shown import shown
from .base import Encoder, Wire, json_ascii, json_string
from .blocks import BlockEncoder
from .openai import new_id
from .reply import Reply
from .request import ChatRequest, Fields, JsonObject
from .thinking import think

__all__ = ["AGUI"]

PROTOCOL_VERSION = "1.0"


@dataclass(frozen=True)
class AGUI(Wire):
    """The wire "ag-ui".

    thread_id, run_id: the run's ids, which `answering` takes from the request; made
        for each stream where not given.
    message_id: what the ids of the messages begin with, made for each stream where
        not given: they are `<message_id>-1` and so on.
    model: the model's name, told with the token counts.

    Raises `InvalidOption` for one that is neither a str nor None.
    """

    thread_id: str | None = None
    run_id: str | None = None
    message_id: str | None = None
    model: str | None = None
    name = "ag-ui"

    def __post_init__(self) -> None:
        for option in ("thread_id", "run_id", "message_id", "model"):
            value = getattr(self, option)
            if not isinstance(value, str | None):
                given = f"AGUI({option}={shown(value)})"
                raise InvalidOption(f"{given}: {option} must be a str or None")

    def begin(self) -> Encoder:
        """Return the encoder of one stream."""
        return _RunEncoder(self)

    def read(self, body: Fields) -> ChatRequest:
        """Return what a `RunAgentInput` asks for.

        A message of thinking is the `reasoning_content` of the assistant's next one, its
        `thinking_blocks` too where it has an `encryptedValue`.
        What is for the page alone, messages of activity, is in `params["activity"]`;
        there, too, are `runId`, `state`, `context`, `forwardedProps` and `resume`.
        """
        thread = body.need("threadId", body.text("threadId"))
        body.need("runId", body.text("runId"))
        body.need("messages", body.raw("messages"))
        messages, activity = _messages_of(body)
        _check_rest(body)
        known = ("threadId", "messages", "tools")
        params = {name: value for name, value in body.all().items() if name not in known}
        return ChatRequest(
            messages=messages,
            tools=[_tool(tool) for tool in body.objects("tools")],
            chat_id=thread,
            params=params | ({"activity": activity} if activity else {}),
        )

    def answering(self, ask: ChatRequest) -> Wire:
        """Return the wire with the thread and the run that `ask` names."""
        run = Fields(ask.params).text("runId")
        return replace(self, thread_id=ask.chat_id or self.thread_id, run_id=run or self.run_id)

    def document(self, reply: Reply) -> JsonObject:
        """Return what a client has at the end of the run: its messages, and how it ended.

        The protocol has no reply but a stream: the messages are in its shape, and the
        rest is that of RUN_FINISHED. `Data` is in `custom`.
        """
        custom = [_named(it) for it in reply.blocks if isinstance(it, Source | Data)]
        end = _ending(self.model, reply.usage, reply.stated_reason)
        messages = _Messages(self.message_id).of(reply)
        return _run(self) | end | {"messages": messages} | ({"custom": custom} if custom else {})


# What streams and whole replies share.


def _run(wire: AGUI) -> JsonObject:
    return {
        "threadId": wire.thread_id or new_id("thread_"),
        "runId": wire.run_id or new_id("run_"),
    }


def _ending(model: str | None, usage: Usage | None, reason: FinishReason | None) -> JsonObject:
    end: JsonObject = {"outcome": {"type": "success"}}
    if usage is not None:
        label = {} if model is None else {"model": model}
        end["usage"] = [label | _counts(usage)]
    return end | ({} if reason is None else {"metadata": {"finishReason": reason}})


def _counts(usage: Usage) -> JsonObject:
    return {
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.input_tokens + usage.output_tokens,
    }


def _named(part: Source | Data) -> JsonObject:
    if isinstance(part, Data):
        return {"name": part.name, "value": part.value}
    title = {} if part.title is None else {"title": part.title}
    return {"name": "source", "value": {"url": part.url} | title}


def _content(result: ToolResult) -> str:
    return result.output if isinstance(result.output, str) else json_ascii(result.output)


class _Ids:
    """The ids of a reply's messages.

    caller: the assistant's message that a call now belongs to, None where it is a new one's.
    """

    def __init__(self, prefix: str | None) -> None:
        self._prefix = prefix or new_id("msg_")
        self._count = 0
        self.caller: str | None = None

    def next(self) -> str:
        """Return the id of a message of another kind."""
        self.caller = None
        self._count += 1
        return f"{self._prefix}-{self._count}"

    def next_caller(self) -> str:
        """Return the id of a message of the assistant's."""
        self.caller = self.next()
        return self.caller


# The reply.


def _event(kind: str, **fields: Any) -> bytes:
    return f"data: {json_ascii({'type': kind, **fields})}\n\n".encode("ascii")


def _begin_round(number: int) -> bytes:
    return _event("STEP_STARTED", stepName=f"round {number}")


class _RunEncoder(BlockEncoder):
    wire = "ag-ui"

    def __init__(self, wire: AGUI) -> None:
        super().__init__()
        self._run = _run(wire)
        self._model = wire.model
        self._ids = _Ids(wire.message_id)
        self._block = ""  # the id of the open block of text or thinking
        self._round = 1
        self._usage: Usage | None = None
        self._reason: FinishReason | None = None

    def opening(self) -> bytes:
        started = _event("RUN_STARTED", **self._run, protocolVersion=PROTOCOL_VERSION)
        return started + _begin_round(1)  # a `Step` may have been counted already

    def text_begins(self) -> tuple[bytes, tuple[str, str]]:
        self._block = block = self._ids.next_caller()
        before = 'data: {"type":"TEXT_MESSAGE_CONTENT","messageId":' + json_string(block)
        around = before + ',"delta":', "}\n\n"
        self.overhead = len("".join(around)) + len('""')
        return _event("TEXT_MESSAGE_START", messageId=block, role="assistant"), around

    def text_ends(self) -> bytes:
        return _event("TEXT_MESSAGE_END", messageId=self._block)

    def reasoning_begins(self) -> bytes:
        self._block = block = self._ids.next()
        begin = _event("REASONING_MESSAGE_START", messageId=block, role="reasoning")
        return _event("REASONING_START", messageId=block) + begin

    def reasoning_piece(self, part: Reasoning) -> bytes:
        frames = b""
        if part.text:  # clients before 1.0 reject an empty delta
            frames = _event("REASONING_MESSAGE_CONTENT", messageId=self._block, delta=part.text)
        if part.signature is None:
            return frames
        value = {"entityId": self._block, "encryptedValue": part.signature}
        return frames + _event("REASONING_ENCRYPTED_VALUE", subtype="message", **value)

    def reasoning_ends(self) -> bytes:
        end = _event("REASONING_MESSAGE_END", messageId=self._block)
        return end + _event("REASONING_END", messageId=self._block)

    def call_begins(self, call: Call) -> bytes:
        return _event(
            "TOOL_CALL_START",
            toolCallId=call.id,
            toolCallName=call.name or "",
            parentMessageId=self._ids.caller or self._ids.next_caller(),
        )

    def call_piece(self, call: Call, arguments: str) -> bytes:
        return _event("TOOL_CALL_ARGS", toolCallId=call.id, delta=arguments)

    def call_ends(self, call: Call) -> bytes:
        return _event("TOOL_CALL_END", toolCallId=call.id)

    def tool_result(self, part: ToolResult) -> bytes:
        frames = self.close_blocks()
        return frames + _event(
            "TOOL_CALL_RESULT",
            messageId=self._ids.next(),
            toolCallId=part.id,
            content=_content(part),
            role="tool",
            **({"metadata": {"isError": True}} if part.is_error else {}),
        )

    def step(self, part: Step) -> bytes:
        frames = super().step(part) + self._end_round()
        self._ids.caller = None
        self._round += 1
        return frames + _begin_round(self._round)

    def source(self, part: Source) -> bytes:
        return _event("CUSTOM", **_named(part))

    def data(self, part: Data) -> bytes:
        return _event("CUSTOM", **_named(part))

    def usage(self, part: Usage) -> bytes:
        self._usage = part
        return b""

    def finish(self, part: Finish) -> bytes:
        self._reason = part.reason
        return b""

    def done(self) -> bytes:
        end = _ending(self._model, self._usage, self._reason)
        finished = _event("RUN_FINISHED", **self._run, **end)
        return self.close_blocks() + self._end_round() + finished

    def error(self, message: str) -> bytes:
        # What is open stays so: nothing but the error need be told.
        return _event("RUN_ERROR", message=message)

    def _end_round(self) -> bytes:
        return _event("STEP_FINISHED", stepName=f"round {self._round}")


class _Messages:
    """A whole reply's messages: those that the client makes of its stream."""

    def __init__(self, prefix: str | None) -> None:
        self._ids = _Ids(prefix)
        self._messages: list[JsonObject] = []

    def of(self, reply: Reply) -> list[JsonObject]:
        for block in reply.blocks:
            match block:
                case str():
                    self._add(self._ids.next_caller(), "assistant", content=block)
                case Reasoning():
                    self._thinking(block)
                case ToolCall():
                    self._call(block)
                case ToolResult():
                    self._result(block)
                case Step():
                    self._ids.caller = None
        return self._messages

    def _add(self, message_id: str, role: str, **fields: Any) -> JsonObject:
        self._messages.append(message := {"id": message_id, "role": role, **fields})
        return message

    def _thinking(self, part: Reasoning) -> None:
        signed = {} if part.signature is None else {"encryptedValue": part.signature}
        self._add(self._ids.next(), "reasoning", content=part.text, **signed)

    def _call(self, call: ToolCall) -> None:
        if self._ids.caller is None:
            self._add(self._ids.next_caller(), "assistant")
        function = {"name": call.name or "", "arguments": call.arguments}
        made = {"id": call.id or new_id("call_"), "type": "function", "function": function}
        self._messages[-1].setdefault("toolCalls", []).append(made)

    def _result(self, part: ToolResult) -> None:
        content = _content(part)
        failed = {"error": content} if part.is_error else {}
        self._add(self._ids.next(), "tool", toolCallId=part.id, content=content, **failed)


# The request.


def _messages_of(body: Fields) -> tuple[list[JsonObject], list[JsonObject]]:
    """Return the messages for the model, and those for the page."""
    messages: list[JsonObject] = []
    activity: list[JsonObject] = []
    thoughts: list[Reasoning] = []
    for message in body.objects("messages"):
        role = message.need("role", message.text("role"))
        if role == "activity":
            activity.append(message.all())
        elif role == "reasoning":
            words = message.need("content", message.text("content"))
            thoughts.append(Reasoning(words, message.text("encryptedValue")))
        elif (read := _ROLES.get(role)) is None:
            roles = ", ".join([*_ROLES, "reasoning", "activity"])
            raise message.wrong("role", f"one of {roles}")
        else:
            messages.append(made := {"role": role} | read(message))
            if role == "assistant":
                think(made, thoughts)
            thoughts.clear()
    return messages, activity


def _instructions(message: Fields) -> JsonObject:
    return {"content": message.need("content", message.text("content"))} | _name(message)


def _user(message: Fields) -> JsonObject:
    return {"content": _parts(message)} | _name(message)


def _assistant(message: Fields) -> JsonObject:
    calls = [_call(call) for call in message.objects("toolCalls")]
    said = {"content": message.text("content")} | _name(message)
    return said | ({"tool_calls": calls} if calls else {})


def _tool_message(message: Fields) -> JsonObject:
    answered = message.need("toolCallId", message.text("toolCallId"))
    failure = message.text("error")
    return {"tool_call_id": answered, "content": _parts(message) or failure or ""}


_ROLES: dict[str, Callable[[Fields], JsonObject]] = {
    "developer": _instructions,
    "system": _instructions,
    "user": _user,
    "assistant": _assistant,
    "tool": _tool_message,
}


def _name(message: Fields) -> JsonObject:
    name = message.text("name")
    return {} if name is None else {"name": name}


def _call(call: Fields) -> JsonObject:
    function = call.need("function", call.object("function"))
    return {
        "id": call.need("id", call.text("id")),
        "type": "function",
        "function": {
            "name": function.need("name", function.text("name")),
            "arguments": function.need("arguments", function.text("arguments")),
        },
    }


def _parts(message: Fields) -> str | list[JsonObject]:
    content = message.need("content", message.raw("content"))
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise message.wrong("content", "a string or an array of parts")
    return [_part(part) for part in message.objects("content")]


def _part(part: Fields) -> JsonObject:
    kind = part.need("type", part.text("type"))
    if kind == "text":
        return {"type": "text", "text": part.need("text", part.text("text"))}
    if kind not in ("image", "audio", "video", "document"):
        raise part.wrong("type", "one of text, image, audio, video, document")
    return _medium(kind, part.need("source", part.object("source")))


def _medium(kind: str, source: Fields) -> JsonObject:
    """Return a medium as OpenAI's chat has it; what it has no word for as vLLM does."""
    origin = source.need("type", source.text("type"))
    value = source.need("value", source.text("value"))
    mime_type = source.text("mimeType")
    match origin:
        case "file":
            return {"type": "file", "file": {"file_id": value}}
        case "data":
            mime_type = source.need("mimeType", mime_type)
            if kind == "audio":
                sound = {"data": value, "format": mime_type.rpartition("/")[2]}
                return {"type": "input_audio", "input_audio": sound}
            value = f"data:{mime_type};base64,{value}"
        case "url":
            pass
        case _:
            raise source.wrong("type", "one of data, url, file")
    if kind == "document":
        return {"type": "file", "file": {"file_data": value}}
    return {"type": f"{kind}_url", f"{kind}_url": {"url": value}}


def _tool(tool: Fields) -> JsonObject:
    function: JsonObject = {"name": tool.need("name", tool.text("name"))}
    if (description := tool.text("description")) is not None:
        function["description"] = description
    if (parameters := tool.raw("parameters")) is not None:
        function["parameters"] = parameters
    return {"type": "function", "function": function}


def _check_rest(body: Fields) -> None:
    """Check what goes on as it came."""
    body.text("protocolVersion")
    body.text("parentRunId")
    for context in body.objects("context"):
        context.need("description", context.text("description"))
        context.need("value", context.text("value"))
    for entry in body.objects("resume"):
        entry.need("interruptId", entry.text("interruptId"))
        entry.need("status", entry.text("status"))
