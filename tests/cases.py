"""THE table: what a source does, and what the wire says. The machine and every driver run it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tokenstream import (
    AGUI,
    AISDK,
    Anthropic,
    Data,
    Finish,
    Html,
    Json,
    OpenAIChat,
    OpenAICompletions,
    OpenAIResponses,
    Outcome,
    Reasoning,
    Source,
    Step,
    Text,
    ToolCall,
    ToolResult,
    Usage,
    Wire,
    sse,
)
from tokenstream.errors import InvalidOption, UnknownPart, UnsupportedPart

__all__ = ["CASES", "CHAT", "RUN", "UI", "Case", "SourceBroke"]


class SourceBroke(Exception):
    """What a scripted source raises."""


@dataclass(frozen=True)
class Case:
    """Steps of a source (exceptions are raised), the wire, and what must come of it."""

    name: str
    wire: Wire
    steps: tuple[object, ...]
    expected: bytes
    outcome: Outcome = "completed"
    error: type[BaseException] | None = None
    run_id: str | None = None
    text: str | None = None  # what Result gathers, where it is not obvious

    def __str__(self) -> str:
        return f"{self.wire.name}: {self.name}"


DONE = b"data: [DONE]\n\n"
FAILED = b'event: error\ndata: {"error":"generation failed"}\n\n'
TEXT_FAILED = b"event: error\ndata: generation failed\n\n"

CHAT = OpenAIChat(model="m", id="chatcmpl-1", created=1)
WITH_USAGE = OpenAIChat(model="m", id="chatcmpl-1", created=1, include_usage=True)
CHAT_HEAD = '"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m"'


def frame(value: object) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def chat(delta: object, reason: str | None = None) -> bytes:
    choice = json.dumps(
        {"index": 0, "delta": delta, "finish_reason": reason}, separators=(",", ":")
    )
    return f'data: {{{CHAT_HEAD},"choices":[{choice}]}}\n\n'.encode()


ROLE = chat({"role": "assistant", "content": None})
CHAT_CALL = {
    "index": 0,
    "id": "c1",
    "type": "function",
    "function": {"name": "f", "arguments": ""},
}
CHAT_ERROR = (
    frame(
        {
            "error": {
                "message": "generation failed",
                "type": "server_error",
                "param": None,
                "code": None,
            }
        }
    )
    + DONE
)


def chat_usage(**counts: int) -> bytes:
    usage = json.dumps(counts, separators=(",", ":"))
    return f'data: {{{CHAT_HEAD},"choices":[],"usage":{usage}}}\n\n'.encode()


UI = AISDK(id="m1")
UI_START = frame({"type": "start", "messageId": "m1"}) + frame({"type": "start-step"})
UI_FAILED = frame({"type": "error", "errorText": "generation failed"})


def ui_text(*tokens: str, is_cut: bool = False) -> bytes:
    deltas = [frame({"type": "text-delta", "id": "text-1", "delta": token}) for token in tokens]
    start, end = (frame({"type": f"text-{it}", "id": "text-1"}) for it in ("start", "end"))
    return start + b"".join(deltas) + (b"" if is_cut else end)


def ui_finish() -> bytes:
    return frame({"type": "finish-step"}) + frame({"type": "finish", "finishReason": "stop"}) + DONE


ANTHROPIC = Anthropic(model="m", id="msg_1")


def said(kind: str, **fields: object) -> bytes:
    """Return an event of Anthropic's."""
    return f"event: {kind}\n".encode() + frame({"type": kind, **fields})


def said_block(index: int, block: object, *deltas: object) -> bytes:
    frames = [said("content_block_delta", index=index, delta=delta) for delta in deltas]
    start = said("content_block_start", index=index, content_block=block)
    return start + b"".join(frames) + said("content_block_stop", index=index)


def said_text(index: int, *texts: str, ends: bool = True) -> bytes:
    deltas = [{"type": "text_delta", "text": text} for text in texts]
    frames = said_block(index, {"type": "text", "text": ""}, *deltas)
    return frames if ends else frames.removesuffix(said("content_block_stop", index=index))


def said_call(index: int, call_id: str, name: str, *pieces: str) -> bytes:
    block = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return said_block(index, block, *deltas)


def said_end(reason: str = "end_turn", read: int = 0, written: int = 0) -> bytes:
    delta = {"stop_reason": reason, "stop_sequence": None}
    usage = {"input_tokens": read, "output_tokens": written}
    return said("message_delta", delta=delta, usage=usage) + said("message_stop")


SAID_FIRST = said(
    "message_start",
    message={
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    },
)
SAID_ERROR = said("error", error={"type": "api_error", "message": "generation failed"})


def lines(*events: str) -> bytes:
    return "".join(event + "\n\n" for event in events).encode()


broke = SourceBroke("secret: /etc/passwd")
euro = "€".encode()

JSON_CASES = [
    Case("one token", Json(), ("cat",), b'data: {"token":"cat"}\n\n' + DONE),
    Case(
        "tokens keep their spaces",
        Json(),
        (" a", "  b "),
        b'data: {"token":" a"}\n\ndata: {"token":"  b "}\n\n' + DONE,
    ),
    Case("no token at all", Json(), (), DONE),
    Case("empty tokens send nothing", Json(), ("", "a", ""), b'data: {"token":"a"}\n\n' + DONE),
    Case("only an empty token", Json(), ("",), DONE),
    Case(
        "line ends are escaped",
        Json(),
        ("a\r\nb\rc\nd",),
        rb'data: {"token":"a\r\nb\rc\nd"}' + b"\n\n" + DONE,
    ),
    Case(
        "what breaks Python's readers is escaped",
        Json(),
        ("\x85\u2028\u2029",),
        rb'data: {"token":"\u0085\u2028\u2029"}' + b"\n\n" + DONE,
    ),
    Case(
        "a lone surrogate lives",
        Json(),
        ("a\ud800b",),
        rb'data: {"token":"a\ud800b"}' + b"\n\n" + DONE,
    ),
    Case("a token that is [DONE]", Json(), ("[DONE]",), b'data: {"token":"[DONE]"}\n\n' + DONE),
    Case("NUL and quotes", Json(), ('\0"\\',), rb'data: {"token":"\u0000\"\\"}' + b"\n\n" + DONE),
    Case(
        "reasoning",
        Json(),
        (Reasoning("hm"), Reasoning("", "sig")),
        frame({"reasoning": "hm"}) + frame({"reasoning": "", "signature": "sig"}) + DONE,
        text="",
    ),
    Case(
        "a tool call in fragments",
        Json(),
        (ToolCall(0, "c1", "sum", ""), ToolCall(0, arguments='{"a"'), ToolCall(0, arguments=":1}")),
        frame({"tool_call": {"index": 0, "id": "c1", "name": "sum", "arguments": ""}})
        + frame({"tool_call": {"index": 0, "arguments": '{"a"'}})
        + frame({"tool_call": {"index": 0, "arguments": ":1}"}})
        + DONE,
        text="",
    ),
    Case(
        "a tool's result",
        Json(),
        (ToolResult("c1", {"sum": 3}), ToolResult("c2", "no", is_error=True)),
        frame({"tool_result": {"id": "c1", "output": {"sum": 3}, "is_error": False}})
        + frame({"tool_result": {"id": "c2", "output": "no", "is_error": True}})
        + DONE,
        text="",
    ),
    Case(
        "sources and steps",
        Json(),
        (Source("http://a.test"), Source("http://b.test", "B"), Step()),
        frame({"source": {"url": "http://a.test"}})
        + frame({"source": {"url": "http://b.test", "title": "B"}})
        + frame({"step": True})
        + DONE,
        text="",
    ),
    Case(
        "usage and finish",
        Json(),
        ("a", Usage(1, 2, {"cached": 3}), Finish("length")),
        frame({"token": "a"})
        + frame({"usage": {"input_tokens": 1, "output_tokens": 2, "details": {"cached": 3}}})
        + frame({"finish": "length"})
        + DONE,
    ),
    Case(
        "data",
        Json(),
        (Data("n", [1, None]),),
        frame({"data": {"name": "n", "value": [1, None]}}) + DONE,
        text="",
    ),
    Case(
        "a ready event",
        Json(),
        (sse.Event("x\ny", event="custom", id="7", retry=10),),
        b"id: 7\nevent: custom\nretry: 10\ndata: x\ndata: y\n\n" + DONE,
        text="",
    ),
    Case(
        "bytes cut inside of a character",
        Json(),
        (euro[:1], euro[1:2], euro[2:] + b"!"),
        rb'data: {"token":"\u20ac!"}' + b"\n\n" + DONE,
        text="€!",
    ),
    Case(
        "bytes-likes",
        Json(),
        (bytearray(b"a"), memoryview(b"b")),
        b'data: {"token":"a"}\n\ndata: {"token":"b"}\n\n' + DONE,
        text="ab",
    ),
    Case(
        "a character that never ends, at the end",
        Json(),
        (b"a" + euro[:2],),
        rb'data: {"token":"a"}' + b"\n\n" + rb'data: {"token":"\ufffd"}' + b"\n\n" + DONE,
        text="a�",
    ),
    Case(
        "a character that never ends, before text",
        Json(),
        (euro[:2], "x"),
        rb'data: {"token":"\ufffd"}' + b"\n\n" + b'data: {"token":"x"}\n\n' + DONE,
        text="�x",
    ),
    Case(
        "a character that never ends, before an error",
        Json(),
        (b"a", euro[:1], broke),
        b'data: {"token":"a"}\n\n' + rb'data: {"token":"\ufffd"}' + b"\n\n" + FAILED,
        "failed",
        SourceBroke,
        text="a�",
    ),
    Case("an error before the first part", Json(), (broke,), FAILED, "failed", SourceBroke),
    Case(
        "an error after a part",
        Json(),
        ("a", broke),
        b'data: {"token":"a"}\n\n' + FAILED,
        "failed",
        SourceBroke,
    ),
    Case("an unknown part first", Json(), (object(),), FAILED, "failed", UnknownPart, text=""),
    Case(
        "an unknown part later",
        Json(),
        ("a", 7, "never"),
        b'data: {"token":"a"}\n\n' + FAILED,
        "failed",
        UnknownPart,
        text="a",
    ),
    Case(
        "ids",
        Json(),
        ("", "a", "b"),
        b'id: r1\ndata: {"token":"a"}\n\ndata: {"token":"b"}\n\nid: r1.end\n' + DONE,
        run_id="r1",
    ),
    Case("ids, nothing sent before the end", Json(), (), b"id: r1.end\n" + DONE, run_id="r1"),
    Case(
        "ids, a failure",
        Json(),
        ("a", broke),
        b'id: r1\ndata: {"token":"a"}\n\nid: r1.end\n' + FAILED,
        "failed",
        SourceBroke,
        run_id="r1",
    ),
]

TEXT_CASES = [
    Case("one token", Text(), ("cat",), lines("data: cat") + DONE),
    Case("its own leading spaces", Text(), (" a", "  b"), lines("data:  a", "data:   b") + DONE),
    Case("empty tokens", Text(), ("", "a", ""), lines("data: a") + DONE),
    Case("no token at all", Text(), (), DONE),
    Case(
        "LF",
        Text(),
        ("a\nb", "\n", "\n\n"),
        lines("data: a\ndata: b", "data: \ndata: ", "data: \ndata: \ndata: ") + DONE,
    ),
    Case("CR and CRLF", Text(), ("a\rb\r\nc",), lines("data: a\ndata: b\ndata: c") + DONE),
    Case(
        "CRLF over two tokens", Text(), ("a\r", "\nb"), lines("data: a\ndata: ", "data: b") + DONE
    ),
    Case(
        "CR, then the LF alone",
        Text(),
        ("a\r", "\n", "b"),
        lines("data: a\ndata: ", "data: b") + DONE,
    ),
    Case(
        "CR twice, then LF",
        Text(),
        ("\r\r", "\n\n"),
        lines("data: \ndata: \ndata: ", "data: \ndata: ") + DONE,
    ),
    Case("[DONE]", Text(), ("[DONE]",), lines("data: [DO", "data: NE]") + DONE),
    Case(
        "[DONE] as a line",
        Text(),
        ("a\n[DONE]\nb[DONE]", "[DONE]\r", "\n[DONE] "),
        lines(
            "data: a\ndata: [DO",
            "data: NE]\ndata: b[DONE]",
            "data: [DO",
            "data: NE]\ndata: ",
            "data: [DONE] ",
        )
        + DONE,
    ),
    Case(
        "a field of its own",
        Text(),
        ("event: error", ": x", "id: 1"),
        lines("data: event: error", "data: : x", "data: id: 1") + DONE,
    ),
    Case(
        "a field after a line end",
        Text(),
        ("x\nevent: error\n\ndata: y",),
        lines("data: x\ndata: event: error\ndata: \ndata: data: y") + DONE,
    ),
    Case(
        "unicode as it is",
        Text(),
        ("\x85\u2028 猫 👩‍💻",),
        lines("data: \x85\u2028 猫 👩‍💻") + DONE,
    ),
    Case("a lone surrogate", Text(), ("a\ud800b",), lines("data: a�b") + DONE),
    Case("a pair of surrogates", Text(), ("\ud83d\ude00",), lines("data: 😀") + DONE),
    Case(
        "reasoning is left out", Text(), (Reasoning("hm"), "a"), lines("data: a") + DONE, text="a"
    ),
    Case(
        "what only accompanies",
        Text(),
        (Source("u"), Step(), "a", Usage(1, 2), Finish("stop")),
        lines("data: a") + DONE,
        text="a",
    ),
    Case(
        "no place for a tool call",
        Text(),
        ("a", ToolCall(0, "c", "f")),
        lines("data: a") + TEXT_FAILED,
        "failed",
        UnsupportedPart,
        text="a",
    ),
    Case(
        "no place for a tool's result",
        Text(),
        (ToolResult("c", 1),),
        TEXT_FAILED,
        "failed",
        UnsupportedPart,
        text="",
    ),
    Case(
        "no place for data",
        Text(),
        (Data("n", 1),),
        TEXT_FAILED,
        "failed",
        UnsupportedPart,
        text="",
    ),
    Case(
        "a ready event",
        Text(),
        (sse.Event("x", event="e"),),
        b"event: e\ndata: x\n\n" + DONE,
        text="",
    ),
    Case(
        "bytes cut inside of a character",
        Text(),
        (euro[:1], euro[1:]),
        lines("data: €") + DONE,
        text="€",
    ),
    Case(
        "bytes that end in CR",
        Text(),
        (b"a\r", b"\nb"),
        lines("data: a\ndata: ", "data: b") + DONE,
        text="a\r\nb",
    ),
    Case("an error first", Text(), (broke,), TEXT_FAILED, "failed", SourceBroke),
    Case(
        "an error later",
        Text(),
        ("a", broke),
        lines("data: a") + TEXT_FAILED,
        "failed",
        SourceBroke,
    ),
    Case("an unknown part", Text(), ({"a": 1},), TEXT_FAILED, "failed", UnknownPart, text=""),
    Case(
        "ids after what is left out",
        Text(),
        (Usage(1, 1), "a"),
        b"id: r1\n" + lines("data: a") + b"id: r1.end\n" + DONE,
        run_id="r1",
        text="a",
    ),
    Case(
        "ids and [DONE]",
        Text(),
        ("[DONE]",),
        b"id: r1\n" + lines("data: [DO", "data: NE]") + b"id: r1.end\n" + DONE,
        run_id="r1",
    ),
]

CHAT_CASES = [
    Case(
        "tokens",
        CHAT,
        (" a", "b"),
        ROLE + chat({"content": " a"}) + chat({"content": "b"}) + chat({}, "stop") + DONE,
    ),
    Case("no token at all", CHAT, (), ROLE + chat({}, "stop") + DONE),
    Case("empty tokens", CHAT, ("", "a"), ROLE + chat({"content": "a"}) + chat({}, "stop") + DONE),
    Case(
        "escaped",
        CHAT,
        ("\u2028\ud800\r\n",),
        ROLE + chat({"content": "\u2028\ud800\r\n"}) + chat({}, "stop") + DONE,
    ),
    Case("[DONE]", CHAT, ("[DONE]",), ROLE + chat({"content": "[DONE]"}) + chat({}, "stop") + DONE),
    Case(
        "reasoning",
        CHAT,
        (Reasoning("hm"), Reasoning("", "sig"), "a"),
        ROLE + chat({"reasoning_content": "hm"}) + chat({"content": "a"}) + chat({}, "stop") + DONE,
        text="a",
    ),
    Case(
        "a call: id and name once",
        CHAT,
        (ToolCall(0, "c1", "f"), ToolCall(0, "c1", "f", "{"), ToolCall(0, arguments="}")),
        ROLE
        + chat({"tool_calls": [CHAT_CALL]})
        + chat({"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]})
        + chat({"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]})
        + chat({}, "tool_calls")
        + DONE,
        text="",
    ),
    Case(
        "a call without arguments has an empty object",
        CHAT,
        (ToolCall(0, "c1", "f"),),
        ROLE
        + chat({"tool_calls": [CHAT_CALL]})
        + chat({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]})
        + chat({}, "tool_calls")
        + DONE,
        text="",
    ),
    Case(
        "finish",
        CHAT,
        ("a", Finish("length")),
        ROLE + chat({"content": "a"}) + chat({}, "length") + DONE,
        text="a",
    ),
    Case(
        "usage unasked",
        CHAT,
        ("a", Usage(3, 4)),
        ROLE + chat({"content": "a"}) + chat({}, "stop") + DONE,
        text="a",
    ),
    Case(
        "usage asked for",
        WITH_USAGE,
        (Usage(3, 4), "a"),
        ROLE
        + chat({"content": "a"})
        + chat({}, "stop")
        + chat_usage(prompt_tokens=3, completion_tokens=4, total_tokens=7)
        + DONE,
        text="a",
    ),
    Case(
        "usage asked for, none given",
        WITH_USAGE,
        ("a",),
        ROLE + chat({"content": "a"}) + chat({}, "stop") + DONE,
    ),
    Case(
        "what only accompanies",
        CHAT,
        (Source("u"), Step(), "a"),
        ROLE + chat({"content": "a"}) + chat({}, "stop") + DONE,
        text="a",
    ),
    Case(
        "no place for a tool's result",
        CHAT,
        ("a", ToolResult("c", 1)),
        ROLE + chat({"content": "a"}) + CHAT_ERROR,
        "failed",
        UnsupportedPart,
        text="a",
    ),
    Case(
        "no place for data",
        CHAT,
        ("a", Data("n", 1)),
        ROLE + chat({"content": "a"}) + CHAT_ERROR,
        "failed",
        UnsupportedPart,
        text="a",
    ),
    Case(
        "no place for an event",
        CHAT,
        (sse.Event("x"),),
        CHAT_ERROR,
        "failed",
        UnsupportedPart,
        text="",
    ),
    Case("an error first", CHAT, (broke,), CHAT_ERROR, "failed", SourceBroke),
    Case(
        "an error later",
        CHAT,
        ("a", broke),
        ROLE + chat({"content": "a"}) + CHAT_ERROR,
        "failed",
        SourceBroke,
    ),
    Case(
        "an unknown part",
        CHAT,
        ("a", None),
        ROLE + chat({"content": "a"}) + CHAT_ERROR,
        "failed",
        UnknownPart,
        text="a",
    ),
    Case(
        "bytes cut inside of a character",
        CHAT,
        (euro[:2], euro[2:]),
        ROLE + chat({"content": "€"}) + chat({}, "stop") + DONE,
        text="€",
    ),
]

UI_CASES = [
    Case("tokens", UI, (" a", "b"), UI_START + ui_text(" a", "b") + ui_finish()),
    Case("no token at all", UI, (), UI_START + ui_finish()),
    Case(
        "a call, its result and the next step",
        UI,
        (ToolCall(0, "c1", "sum", "{}"), ToolResult("c1", 3), Step(), "a", Finish("stop")),
        UI_START
        + frame({"type": "tool-input-start", "toolCallId": "c1", "toolName": "sum"})
        + frame({"type": "tool-input-delta", "toolCallId": "c1", "inputTextDelta": "{}"})
        + frame(
            {"type": "tool-input-available", "toolCallId": "c1", "toolName": "sum", "input": {}}
        )
        + frame({"type": "tool-output-available", "toolCallId": "c1", "output": 3})
        + frame({"type": "finish-step"})
        + frame({"type": "start-step"})
        + ui_text("a")
        + ui_finish(),
        text="a",
    ),
    Case(
        "a result of no call",
        UI,
        ("a", ToolResult("c1", 3)),
        UI_START + ui_text("a", is_cut=True) + UI_FAILED,
        outcome="failed",
        error=InvalidOption,
        text="a",
    ),
    Case(
        "a failure after a token",
        UI,
        ("a", broke),
        UI_START + ui_text("a", is_cut=True) + UI_FAILED,
        outcome="failed",
        error=SourceBroke,
    ),
    Case("a failure before the first", UI, (broke,), UI_FAILED, "failed", SourceBroke),
]

ANTHROPIC_CASES = [
    Case("tokens", ANTHROPIC, (" a", "b"), SAID_FIRST + said_text(0, " a", "b") + said_end()),
    Case("no token at all", ANTHROPIC, (), SAID_FIRST + said_end()),
    Case("empty tokens", ANTHROPIC, ("", "a"), SAID_FIRST + said_text(0, "a") + said_end()),
    Case(
        "escaped",
        ANTHROPIC,
        ("\u2028\ud800\r\n",),
        SAID_FIRST + said_text(0, "\u2028\ud800\r\n") + said_end(),
    ),
    Case(
        "reasoning",
        ANTHROPIC,
        (Reasoning("hm"), Reasoning("", "sig"), "a"),
        SAID_FIRST
        + said_block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "hm"},
            {"type": "signature_delta", "signature": "sig"},
        )
        + said_text(1, "a")
        + said_end(),
        text="a",
    ),
    Case(
        "calls one after the other",
        ANTHROPIC,
        ("a", ToolCall(0, "c1", "f", "{"), ToolCall(0, arguments="}"), ToolCall(1, "c2", "g")),
        SAID_FIRST
        + said_text(0, "a")
        + said_call(1, "c1", "f", "{", "}")
        + said_call(2, "c2", "g")
        + said_end("tool_use"),
        text="a",
    ),
    Case(
        "calls that interleave",
        ANTHROPIC,
        (
            ToolCall(0, "c1", "f", '{"a"'),
            ToolCall(1, "c2", "g", '{"b"'),
            ToolCall(0, arguments=":1}"),
            ToolCall(1, arguments=":2}"),
        ),
        SAID_FIRST
        + said_call(0, "c1", "f", '{"a"', ":1}")
        + said_call(1, "c2", "g", '{"b"', ":2}")
        + said_end("tool_use"),
        text="",
    ),
    Case(
        "a call that is no object at its end",
        ANTHROPIC,
        (ToolCall(0, "c1", "f", "{"), "a"),
        SAID_FIRST + said_call(0, "c1", "f", "{") + said_text(1, "a", ends=False) + SAID_ERROR,
        "failed",
        InvalidOption,
        text="a",
    ),
    Case(
        "usage and finish",
        ANTHROPIC,
        ("a", Usage(3, 4), Finish("length")),
        SAID_FIRST + said_text(0, "a") + said_end("max_tokens", 3, 4),
        text="a",
    ),
    Case(
        "a source",
        ANTHROPIC,
        ("a", Source("u", "U")),
        SAID_FIRST
        + said_block(
            0,
            {"type": "text", "text": ""},
            {"type": "text_delta", "text": "a"},
            {
                "type": "citations_delta",
                "citation": {
                    "type": "web_search_result_location",
                    "url": "u",
                    "title": "U",
                    "cited_text": "",
                    "encrypted_index": "",
                },
            },
        )
        + said_end(),
        text="a",
    ),
    Case(
        "no place for a tool's result",
        ANTHROPIC,
        ("a", ToolResult("c", 1)),
        SAID_FIRST + said_text(0, "a", ends=False) + SAID_ERROR,
        "failed",
        UnsupportedPart,
        text="a",
    ),
    Case("an error first", ANTHROPIC, (broke,), SAID_ERROR, "failed", SourceBroke),
    Case(
        "an error later",
        ANTHROPIC,
        ("a", broke),
        SAID_FIRST + said_text(0, "a", ends=False) + SAID_ERROR,
        "failed",
        SourceBroke,
    ),
    Case(
        "bytes cut inside of a character",
        ANTHROPIC,
        (euro[:2], euro[2:]),
        SAID_FIRST + said_text(0, "€") + said_end(),
        text="€",
    ),
]

RESPONSES = OpenAIResponses(model="m", id="resp_1", created=1)


def response(status: str, *output: object, **fields: object) -> dict[str, object]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": "m",
        "output": output,
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": None,
        **fields,
    }


def response_events(first: int, *events: tuple[str, dict[str, object]]) -> bytes:
    """Frame them, numbered from `first`."""
    return b"".join(
        f"event: {kind}\n".encode() + frame({"type": kind, "sequence_number": number, **fields})
        for number, (kind, fields) in enumerate(events, first)
    )


def text_part(text: str) -> dict[str, object]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def message(status: str, *parts: object) -> dict[str, object]:
    head = {"id": "msg_0_resp_1", "type": "message", "role": "assistant"}
    return {**head, "content": parts, "status": status}


IN_MESSAGE: dict[str, object] = {
    "item_id": "msg_0_resp_1",
    "output_index": 0,
    "content_index": 0,
}
RESPONSE_BEGINS = response_events(
    0,
    ("response.created", {"response": response("in_progress")}),
    ("response.in_progress", {"response": response("in_progress")}),
)
MESSAGE_BEGINS = RESPONSE_BEGINS + response_events(
    2,
    ("response.output_item.added", {"output_index": 0, "item": message("in_progress")}),
    ("response.content_part.added", {**IN_MESSAGE, "part": text_part("")}),
)


def response_delta(number: int, text: str) -> bytes:
    kind = "response.output_text.delta"
    data = {"type": kind, **IN_MESSAGE, "logprobs": [], "sequence_number": number, "delta": text}
    return f"event: {kind}\n".encode() + frame(data)


def response_ends(first: int, text: str, status: str = "completed") -> bytes:
    """Frame the end of the message and of the response."""
    done = message(status, text_part(text))
    why = {"reason": "max_output_tokens"} if status == "incomplete" else None
    return response_events(
        first,
        ("response.output_text.done", {**IN_MESSAGE, "text": text, "logprobs": []}),
        ("response.content_part.done", {**IN_MESSAGE, "part": text_part(text)}),
        ("response.output_item.done", {"output_index": 0, "item": done}),
        (f"response.{status}", {"response": response(status, done, incomplete_details=why)}),
    )


def response_fails(first: int) -> bytes:
    error = {"code": "server_error", "message": "generation failed"}
    nested = {"type": "server_error", **error, "param": None}
    return response_events(
        first,
        ("error", {**error, "param": None, "error": nested}),
        ("response.failed", {"response": response("failed", error=error)}),
    )


RESPONSES_CASES = [
    Case(
        "tokens",
        RESPONSES,
        (" a", "", "\u2028\ud800\r\n"),
        MESSAGE_BEGINS
        + response_delta(4, " a")
        + response_delta(5, "\u2028\ud800\r\n")
        + response_ends(6, " a\u2028\ud800\r\n"),
    ),
    Case(
        "no token at all",
        RESPONSES,
        (),
        RESPONSE_BEGINS
        + response_events(2, ("response.completed", {"response": response("completed")})),
    ),
    Case(
        "finish",
        RESPONSES,
        ("a", Finish("length")),
        MESSAGE_BEGINS + response_delta(4, "a") + response_ends(5, "a", "incomplete"),
        text="a",
    ),
    Case(
        "a failure",
        RESPONSES,
        ("a", broke),
        MESSAGE_BEGINS + response_delta(4, "a") + response_fails(5),
        "failed",
        SourceBroke,
        text="a",
    ),
    Case(
        "data",
        RESPONSES,
        (Data("n", 1),),
        RESPONSE_BEGINS + response_fails(2),
        "failed",
        UnsupportedPart,
        text="",
    ),
]

COMPLETIONS = OpenAICompletions(model="m", id="cmpl-1", created=1)
COMPLETIONS_WITH_USAGE = OpenAICompletions("m", include_usage=True, id="cmpl-1", created=1)


def completion(text: str, reason: str | None = None) -> dict[str, object]:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": reason}


def completions(*choices: object, **more: object) -> bytes:
    head = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m"}
    return frame({**head, "choices": choices, **more})


STOPPED = completions(completion("", "stop"))

COMPLETIONS_CASES = [
    Case(
        "tokens",
        COMPLETIONS,
        (" a", "", "b"),
        completions(completion(" a")) + completions(completion("b")) + STOPPED + DONE,
    ),
    Case("no token at all", COMPLETIONS, (), STOPPED + DONE),
    Case(
        "escaped",
        COMPLETIONS,
        ("\u2028\ud800\r\n",),
        completions(completion("\u2028\ud800\r\n")) + STOPPED + DONE,
    ),
    Case("[DONE]", COMPLETIONS, ("[DONE]",), completions(completion("[DONE]")) + STOPPED + DONE),
    Case(
        "finish",
        COMPLETIONS,
        ("a", Finish("length")),
        completions(completion("a")) + completions(completion("", "length")) + DONE,
        text="a",
    ),
    Case(
        "usage asked for",
        COMPLETIONS_WITH_USAGE,
        (Usage(3, 4), "a"),
        completions(completion("a"))
        + STOPPED
        + completions(usage={"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7})
        + DONE,
        text="a",
    ),
    Case(
        "what only accompanies",
        COMPLETIONS,
        (Reasoning("hm"), Source("u"), Step(), "a", Usage(3, 4)),
        completions(completion("a")) + STOPPED + DONE,
        text="a",
    ),
    Case(
        "no place for a call",
        COMPLETIONS,
        ("a", ToolCall(0, "c", "f")),
        completions(completion("a")) + CHAT_ERROR,
        "failed",
        UnsupportedPart,
        text="a",
    ),
    Case(
        "an error later",
        COMPLETIONS,
        ("a", broke),
        completions(completion("a")) + CHAT_ERROR,
        "failed",
        SourceBroke,
    ),
]

HTML_DONE = b"event: close\ndata: [DONE]\n\n"
HTML_FAILED = TEXT_FAILED + b"event: close\ndata: closed\n\n"

HTML_CASES = [
    Case("tokens", Html(), (" a", "b"), lines("data:  a", "data: b") + HTML_DONE),
    Case("no token at all", Html(), (), HTML_DONE),
    Case("empty tokens", Html(), ("", "a", ""), lines("data: a") + HTML_DONE),
    Case(
        "escaped",
        Html(),
        ("<b>&amp;\"'",),
        lines("data: &lt;b&gt;&amp;amp;&quot;&#x27;") + HTML_DONE,
    ),
    Case("line ends", Html(), ("a\r", "\nb\nc"), lines("data: a<br>", "data: b<br>c") + HTML_DONE),
    Case(
        "line ends that stay",
        Html(breaks=False),
        ("a\r", "\nb\nc"),
        lines("data: a\ndata: ", "data: b\ndata: c") + HTML_DONE,
    ),
    Case("only space", Html(), (" ",), lines("data: <span> </span>") + HTML_DONE),
    Case("[DONE]", Html(), ("[DONE]",), lines("data: &#91;DONE]") + HTML_DONE),
    Case("NUL", Html(), ("a\0b",), lines("data: a\ufffdb") + HTML_DONE),
    Case("a lone surrogate", Html(), ("a\ud800b",), lines("data: a\ufffdb") + HTML_DONE),
    Case("reasoning", Html(), (Reasoning("hm"), "a"), lines("data: a") + HTML_DONE, text="a"),
    Case(
        "an event is HTML of the app's",
        Html(),
        (sse.Event("<b>x</b>", event="e"),),
        lines("event: e\ndata: <b>x</b>") + HTML_DONE,
        text="",
    ),
    Case(
        "no place for data",
        Html(),
        ("a", Data("n", 1)),
        lines("data: a") + HTML_FAILED,
        "failed",
        UnsupportedPart,
        text="a",
    ),
    Case("an error first", Html(), (broke,), HTML_FAILED, "failed", SourceBroke),
    Case(
        "an error later",
        Html(),
        ("a", broke),
        lines("data: a") + HTML_FAILED,
        "failed",
        SourceBroke,
    ),
    Case(
        "ids",
        Html(),
        ("a", "b"),
        b"id: r1\n" + lines("data: a", "data: b") + b"id: r1.end\n" + HTML_DONE,
        run_id="r1",
    ),
    Case(
        "ids, a failure",
        Html(),
        ("a", broke),
        b"id: r1\n" + lines("data: a") + b"id: r1.end\n" + HTML_FAILED,
        "failed",
        SourceBroke,
        run_id="r1",
    ),
]

RUN = AGUI("th", "r", "m")
IDS = {"threadId": "th", "runId": "r"}


def run(*events: dict[str, object]) -> bytes:
    return b"".join(map(frame, events))


def run_said(*tokens: str, number: int = 1) -> bytes:
    """A message of the assistant's, whole."""
    own = {"messageId": f"m-{number}"}
    content = [{"type": "TEXT_MESSAGE_CONTENT", **own, "delta": token} for token in tokens]
    begin = {"type": "TEXT_MESSAGE_START", **own, "role": "assistant"}
    return run(begin, *content, {"type": "TEXT_MESSAGE_END", **own})


def stepped(number: int) -> bytes:
    return run({"type": "STEP_FINISHED", "stepName": f"round {number}"})


def step_begun(number: int) -> bytes:
    return run({"type": "STEP_STARTED", "stepName": f"round {number}"})


RUN_BEGUN = run({"type": "RUN_STARTED", **IDS, "protocolVersion": "1.0"}) + step_begun(1)
RUN_END: dict[str, object] = {"type": "RUN_FINISHED", **IDS, "outcome": {"type": "success"}}
RUN_DONE = stepped(1) + run(RUN_END)
RUN_FAILED = run({"type": "RUN_ERROR", "message": "generation failed"})
RUN_SAID_A = run_said("a").removesuffix(run({"type": "TEXT_MESSAGE_END", "messageId": "m-1"}))

RUN_CASES = [
    Case("tokens", RUN, (" a", "b"), RUN_BEGUN + run_said(" a", "b") + RUN_DONE),
    Case("no token at all", RUN, (), RUN_BEGUN + RUN_DONE),
    Case("empty tokens", RUN, ("", "a", ""), RUN_BEGUN + run_said("a") + RUN_DONE),
    Case(
        "escaped", RUN, ("\u2028\ud800\r\n",), RUN_BEGUN + run_said("\u2028\ud800\r\n") + RUN_DONE
    ),
    Case("[DONE]", RUN, ("[DONE]",), RUN_BEGUN + run_said("[DONE]") + RUN_DONE),
    Case(
        "a call and its result",
        RUN,
        (ToolCall(0, "c", "f"), ToolCall(0, arguments="{}"), ToolResult("c", 3), Step(), "a"),
        RUN_BEGUN
        + run(
            {
                "type": "TOOL_CALL_START",
                "toolCallId": "c",
                "toolCallName": "f",
                "parentMessageId": "m-1",
            },
            {"type": "TOOL_CALL_ARGS", "toolCallId": "c", "delta": "{}"},
            {"type": "TOOL_CALL_END", "toolCallId": "c"},
            {
                "type": "TOOL_CALL_RESULT",
                "messageId": "m-2",
                "toolCallId": "c",
                "content": "3",
                "role": "tool",
            },
        )
        + stepped(1)
        + step_begun(2)
        + run_said("a", number=3)
        + stepped(2)
        + run(RUN_END),
        text="a",
    ),
    Case(
        "usage and finish",
        RUN,
        ("a", Usage(1, 2), Finish("length")),
        RUN_BEGUN
        + run_said("a")
        + stepped(1)
        + run(
            RUN_END
            | {
                "usage": [{"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}],
                "metadata": {"finishReason": "length"},
            }
        ),
        text="a",
    ),
    Case("an error first", RUN, (broke,), RUN_FAILED, "failed", SourceBroke),
    Case(
        "an error later",
        RUN,
        ("a", broke),
        RUN_BEGUN + RUN_SAID_A + RUN_FAILED,
        "failed",
        SourceBroke,
        text="a",
    ),
    Case(
        "no place for an event",
        RUN,
        ("a", sse.Event("x")),
        RUN_BEGUN + RUN_SAID_A + RUN_FAILED,
        "failed",
        UnsupportedPart,
        text="a",
    ),
]

CASES = [
    *JSON_CASES,
    *TEXT_CASES,
    *CHAT_CASES,
    *UI_CASES,
    *ANTHROPIC_CASES,
    *RESPONSES_CASES,
    *COMPLETIONS_CASES,
    *HTML_CASES,
    *RUN_CASES,
]
