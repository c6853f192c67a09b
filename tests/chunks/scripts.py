"""What each API sends for the same reply: thinking, text, two calls, counts and a reason.

As plain dicts: they are served to the real SDKs, and given to us as they are.
"""

from __future__ import annotations

__all__ = [
    "ANTHROPIC",
    "CHAT",
    "COMPLETIONS",
    "GENERATE",
    "GOOGLE",
    "OLLAMA",
    "RESPONSES",
    "ask",
]

ask = [{"role": "user", "content": "hi"}]


def _chat(delta: dict | None, finish: str | None = None, **more: object) -> dict:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return head | {"choices": choices} | more


def _call(index: int, arguments: str, call_id: str | None = None, name: str | None = None) -> dict:
    head = {"id": call_id, "type": "function"} if call_id else {}
    function = ({"name": name} if name else {}) | {"arguments": arguments}
    return {"tool_calls": [{"index": index, **head, "function": function}]}


CHAT = [
    _chat({"role": "assistant", "content": ""}),
    _chat({"reasoning_content": "They "}),
    _chat({"reasoning": "greet."}),
    _chat({"content": "Hel"}),
    _chat({"content": "lo"}),
    _chat(_call(0, "", "call_a", "weather")),
    _chat(_call(0, '{"city":')),
    _chat(_call(0, '"Rome"}')),
    _chat(_call(1, "{}", "call_b", "time")),
    _chat({}, "tool_calls"),
    _chat(
        None,
        usage={
            "prompt_tokens": 5,
            "completion_tokens": 7,
            "total_tokens": 12,
            "prompt_tokens_details": {"cached_tokens": 3},
            "completion_tokens_details": {"reasoning_tokens": 2},
        },
    ),
]


def _completion(text: str, finish: str | None = None) -> dict:
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
    head = {"id": "c1", "object": "text_completion", "created": 1, "model": "m"}
    return head | {"choices": [choice]}


COMPLETIONS = [_completion("Hel"), _completion("lo"), _completion("", "length")]


def _response(status: str, **more: object) -> dict:
    head = {"id": "r1", "object": "response", "created_at": 1, "model": "m", "status": status}
    rest = {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True}
    return {"response": head | rest | {"output": []} | more}


_MESSAGE = {"id": "m1", "type": "message", "role": "assistant"}
_TEXT = {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
_CALL = {"id": "f1", "type": "function_call", "call_id": "call_a", "name": "weather"}
_SECOND = {"id": "f2", "type": "function_call", "call_id": "call_b", "name": "time"}
_ROME, _NONE = '{"city":"Rome"}', "{}"
_THOUGHT = {"id": "rs1", "type": "reasoning", "summary": []}
_ITEMS = [
    _THOUGHT | {"summary": [{"type": "summary_text", "text": "They greet."}]},
    _MESSAGE | {"status": "completed", "content": [_TEXT]},
    _CALL | {"status": "completed", "arguments": _ROME},
    _SECOND | {"status": "completed", "arguments": _NONE},
]
_CITED = {"type": "url_citation", "url": "https://example.org/a", "title": "A"}

_AT_1 = {"item_id": "m1", "output_index": 1, "content_index": 0}
_AT_0 = {"item_id": "rs1", "output_index": 0, "summary_index": 0}

RESPONSES = [
    {**event, "sequence_number": number}
    for number, event in enumerate(
        [
            {"type": "response.created", **_response("in_progress")},
            {"type": "response.output_item.added", "output_index": 0, "item": _THOUGHT},
            {
                "type": "response.reasoning_summary_part.added",
                **_AT_0,
                "part": {"type": "summary_text", "text": ""},
            },
            {"type": "response.reasoning_summary_text.delta", **_AT_0, "delta": "They "},
            {"type": "response.reasoning_summary_text.delta", **_AT_0, "delta": "greet."},
            {"type": "response.output_item.done", "output_index": 0, "item": _ITEMS[0]},
            {
                "type": "response.output_item.added",
                "output_index": 1,
                "item": _MESSAGE | {"status": "in_progress", "content": []},
            },
            {"type": "response.content_part.added", **_AT_1, "part": _TEXT | {"text": ""}},
            {"type": "response.output_text.delta", **_AT_1, "delta": "Hel", "logprobs": []},
            {"type": "response.output_text.delta", **_AT_1, "delta": "lo", "logprobs": []},
            {
                "type": "response.output_text.annotation.added",
                **_AT_1,
                "annotation_index": 0,
                "annotation": _CITED,
            },
            {"type": "response.output_text.done", **_AT_1, "text": "Hello", "logprobs": []},
            {"type": "response.content_part.done", **_AT_1, "part": _TEXT},
            {"type": "response.output_item.done", "output_index": 1, "item": _ITEMS[1]},
            {
                "type": "response.output_item.added",
                "output_index": 2,
                "item": _CALL | {"status": "in_progress", "arguments": ""},
            },
            *(
                {
                    "type": "response.function_call_arguments.delta",
                    "item_id": "f1",
                    "output_index": 2,
                    "delta": delta,
                }
                for delta in ('{"city":', '"Rome"}')
            ),
            {
                "type": "response.function_call_arguments.done",
                "item_id": "f1",
                "output_index": 2,
                "name": "weather",
                "arguments": _ROME,
            },
            {"type": "response.output_item.done", "output_index": 2, "item": _ITEMS[2]},
            # A server that sends no pieces.
            {
                "type": "response.output_item.added",
                "output_index": 3,
                "item": _SECOND | {"status": "in_progress", "arguments": ""},
            },
            {"type": "response.output_item.done", "output_index": 3, "item": _ITEMS[3]},
            {
                "type": "response.completed",
                **_response(
                    "completed",
                    output=_ITEMS,
                    usage={
                        "input_tokens": 5,
                        "input_tokens_details": {"cached_tokens": 3},
                        "output_tokens": 7,
                        "output_tokens_details": {"reasoning_tokens": 2},
                        "total_tokens": 12,
                    },
                ),
            },
        ]
    )
]


def _block(index: int, block: dict, *deltas: dict) -> list[dict]:
    return [
        {"type": "content_block_start", "index": index, "content_block": block},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


ANTHROPIC = [
    {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 5, "output_tokens": 1, "cache_read_input_tokens": 3},
        },
    },
    *_block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "They "},
        {"type": "thinking_delta", "thinking": "greet."},
        {"type": "signature_delta", "signature": "sig-1"},
    ),
    {"type": "ping"},
    *_block(
        1,
        {"type": "text", "text": ""},
        {"type": "text_delta", "text": "Hel"},
        {"type": "text_delta", "text": "lo"},
        {
            "type": "citations_delta",
            "citation": {
                "type": "web_search_result_location",
                "url": "https://example.org/a",
                "title": "A",
                "cited_text": "x",
                "encrypted_index": "e",
            },
        },
    ),
    *_block(
        2,
        {"type": "tool_use", "id": "call_a", "name": "weather", "input": {}},
        {"type": "input_json_delta", "partial_json": ""},
        {"type": "input_json_delta", "partial_json": '{"city":'},
        {"type": "input_json_delta", "partial_json": '"Rome"}'},
    ),
    *_block(
        3,
        {"type": "tool_use", "id": "call_b", "name": "time", "input": {}},
        {"type": "input_json_delta", "partial_json": "{}"},
    ),
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 7},
    },
    {"type": "message_stop"},
]


def _candidate(*parts: dict, **more: object) -> dict:
    content = {"parts": list(parts), "role": "model"}
    counted = {"promptTokenCount": 5, "candidatesTokenCount": 1, "totalTokenCount": 6}
    return {
        "candidates": [{"content": content, "index": 0, **more}],
        "usageMetadata": counted,
        "modelVersion": "m",
        "responseId": "r1",
    }


_WEB = {"groundingChunks": [{"web": {"uri": "https://example.org/a", "title": "A"}}]}

GOOGLE = [
    _candidate({"text": "They ", "thought": True}),
    _candidate({"text": "greet.", "thought": True}),
    _candidate({"text": "Hel"}),
    _candidate({"text": "lo"}, groundingMetadata=_WEB),
    _candidate({"functionCall": {"id": "call_a", "name": "weather", "args": {"city": "Rome"}}}),
    _candidate({"functionCall": {"id": "call_b", "name": "time", "args": {}}}),
    _candidate(finishReason="STOP")
    | {
        "usageMetadata": {
            "promptTokenCount": 5,
            "candidatesTokenCount": 5,
            "thoughtsTokenCount": 2,
            "cachedContentTokenCount": 3,
            "totalTokenCount": 12,
        }
    },
]

_OLLAMA = {"model": "m", "created_at": "2026-11-22T00:00:00Z"}
_OLLAMA_END = {"done": True, "done_reason": "stop", "prompt_eval_count": 5, "eval_count": 7}


def _message(**message: object) -> dict:
    return _OLLAMA | {"message": {"role": "assistant", "content": "", **message}, "done": False}


OLLAMA = [
    _message(thinking="They "),
    _message(thinking="greet."),
    _message(content="Hel"),
    _message(content="lo"),
    _message(
        tool_calls=[
            {"function": {"name": "weather", "arguments": {"city": "Rome"}}},
            {"function": {"name": "time", "arguments": {}}},
        ]
    ),
    _message() | _OLLAMA_END,
]

GENERATE = [
    _OLLAMA | {"response": "", "thinking": "They greet.", "done": False},
    _OLLAMA | {"response": "Hel", "done": False},
    _OLLAMA | {"response": "lo", "done": False},
    _OLLAMA | {"response": "", **_OLLAMA_END},
]
