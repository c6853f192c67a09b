"""THE table: what a source does, and what the wire says. The machine and every driver run it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tokenstream import (
    AISDK,
    Data,
    Finish,
    Json,
    OpenAIChat,
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

__all__ = ["CASES", "CHAT", "UI", "Case", "SourceBroke"]


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


ROLE = chat({"role": "assistant", "content": ""})
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
        + chat(
            {
                "tool_calls": [
                    {
                        "index": 0,
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "f", "arguments": ""},
                    }
                ]
            }
        )
        + chat({"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]})
        + chat({"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]})
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

CASES = [*JSON_CASES, *TEXT_CASES, *CHAT_CASES, *UI_CASES]
