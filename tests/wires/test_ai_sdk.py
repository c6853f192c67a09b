"""The wire "ai-sdk": what the AI SDK's clients enforce, and what they send."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenstream import (
    AISDK,
    Data,
    Finish,
    Reasoning,
    Source,
    Step,
    TokenStream,
    ToolCall,
    ToolResult,
    Usage,
)
from tokenstream.errors import BadRequest, InvalidOption, UnsupportedPart
from tokenstream.machine import Machine
from tokenstream.sse import Event
from tokenstream.wires import collect, find_wire, read_request

from .strategies import BATCHES, TEXTS, decoded

WIRE = AISDK(id="m1")
START = [{"type": "start", "messageId": "m1"}, {"type": "start-step"}]
CALL = ToolCall(0, "c1", "sum", '{"a": 1}')


def chunks(frames: bytes) -> list[dict]:
    assert frames.isascii()
    *events, done = decoded(frames)
    assert done.data == "[DONE]"
    return [json.loads(event.data) for event in events]


def stream(*parts: object, wire: AISDK = WIRE) -> list[dict]:
    machine = Machine(wire)
    return chunks(b"".join(machine.part(part) for part in parts) + machine.finish())


def between(*parts: object) -> list[dict]:
    """Return the chunks between the stream's first two and its last two."""
    read = stream(*parts)
    assert read[:2] == START
    assert [it["type"] for it in read[-2:]] == ["finish-step", "finish"]
    return read[2:-2]


def ending(*parts: object) -> dict:
    return stream(*parts)[-1]


@given(TEXTS.filter(bool))
def test_a_token_arrives_as_it_is(text):
    assert between(text, "b") == [
        {"type": "text-start", "id": "text-1"},
        {"type": "text-delta", "id": "text-1", "delta": text},
        {"type": "text-delta", "id": "text-1", "delta": "b"},
        {"type": "text-end", "id": "text-1"},
    ]


@given(TEXTS, TEXTS, TEXTS)
def test_nothing_breaks_out_of_its_chunk(one, two, three):
    call = ToolCall(0, "c" + one, "f" + two, "[" + three)
    read = between(Source(one, two), call, Data("d" + one, {two: three}))
    source, start, piece, data, failed = read
    assert source == {"type": "source-url", "sourceId": "source-1", "url": one, "title": two}
    assert start == {"type": "tool-input-start", "toolCallId": "c" + one, "toolName": "f" + two}
    assert piece["inputTextDelta"] == "[" + three
    assert (failed["type"], failed["toolName"]) == ("tool-input-error", "f" + two)
    assert failed["input"] == "[" + three
    assert data == {"type": "data-d" + one, "data": {two: three}}


@given(TEXTS)
def test_the_id_can_hold_anything(message_id):
    start = stream("a", wire=AISDK(id=message_id))[0]
    assert start["messageId"] == message_id or not message_id


@given(TEXTS)
def test_an_error_is_the_last_chunk(message):
    machine = Machine(WIRE, None, lambda _: message)
    machine.part("a")
    (event,) = decoded(machine.fail(ValueError()))
    assert json.loads(event.data) == {"type": "error", "errorText": message}
    assert machine.finish() == b""


@given(BATCHES)
def test_many_tokens_are_framed_as_each_is(batches):
    one, many = WIRE.begin(), WIRE.begin()
    for batch in batches:
        if tokens := [token for token in batch if token]:
            assert many.texts(tokens) == b"".join(map(one.text, tokens))


def test_nothing_is_an_empty_step():
    assert stream() == [*START, {"type": "finish-step"}, {"type": "finish", "finishReason": "stop"}]


def test_text_and_thinking_are_blocks_with_ids_of_their_own():
    read = between(Reasoning("a"), "b", Reasoning("c"), "d")
    starts = [(it["type"], it["id"]) for it in read if it["type"].endswith("-start")]
    assert starts == [
        ("reasoning-start", "reasoning-1"),
        ("text-start", "text-2"),
        ("reasoning-start", "reasoning-3"),
        ("text-start", "text-4"),
    ]
    assert [it["id"] for it in read if it["type"].endswith("-end")] == [it for _, it in starts]


def test_a_signature_ends_its_block():
    signed = {"anthropic": {"signature": "s"}}
    read = between(Reasoning("a"), Reasoning("", "s"), Reasoning(""), Reasoning("b"))
    assert read == [
        {"type": "reasoning-start", "id": "reasoning-1"},
        {"type": "reasoning-delta", "id": "reasoning-1", "delta": "a"},
        {"type": "reasoning-end", "id": "reasoning-1", "providerMetadata": signed},
        {"type": "reasoning-start", "id": "reasoning-2"},
        {"type": "reasoning-delta", "id": "reasoning-2", "delta": "b"},
        {"type": "reasoning-end", "id": "reasoning-2"},
    ]


def test_a_call_its_result_and_the_next_step():
    read = between(CALL, ToolResult("c1", [3]), Step(), "3")
    assert read[:6] == [
        {"type": "tool-input-start", "toolCallId": "c1", "toolName": "sum"},
        {"type": "tool-input-delta", "toolCallId": "c1", "inputTextDelta": '{"a": 1}'},
        {"type": "tool-input-available", "toolCallId": "c1", "toolName": "sum", "input": {"a": 1}},
        {"type": "tool-output-available", "toolCallId": "c1", "output": [3]},
        {"type": "finish-step"},
        {"type": "start-step"},
    ]
    assert read[6] == {"type": "text-start", "id": "text-1"}


def test_calls_whose_fragments_interleave():
    parts = [ToolCall(0, "a", "f"), ToolCall(1, "b", "g"), ToolCall(0, arguments='{"x":1}')]
    read = between(*parts)
    assert [(it["type"][11:], it["toolCallId"]) for it in read] == [
        ("start", "a"),
        ("start", "b"),
        ("delta", "a"),
        ("available", "a"),
        ("available", "b"),
    ]
    assert [it["input"] for it in read[3:]] == [{"x": 1}, {}]


@pytest.mark.parametrize(
    "arguments",
    ['{"a":', "[]", "1", "null", "{}{}", " ", '{"a":NaN}', '{"a":-Infinity}', '{"a":1e999}',
     "[" * 100_000, '{"a":' + "1" * 5000 + "}"],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_arguments_that_are_no_object(arguments):
    failed = between(ToolCall(0, "c1", "f", arguments))[-1]
    assert failed["type"] == "tool-input-error"
    assert failed["input"] == arguments
    assert failed["errorText"] == "the arguments are not a JSON object"


def test_a_call_without_an_id_gets_one():
    read = between(ToolCall(0, name="f"), ToolCall(0, arguments="{}"))
    (call_id,) = {it["toolCallId"] for it in read}
    assert call_id.startswith("call_")


@pytest.mark.parametrize(
    "output, text", [("no", "no"), ({"code": 7}, '{"code":7}'), (None, "null")]
)
def test_a_result_that_is_an_error_is_text(output, text):
    read = between(CALL, ToolResult("c1", output, is_error=True))
    assert read[-1] == {"type": "tool-output-error", "toolCallId": "c1", "errorText": text}


def test_a_call_whose_name_never_came_waits_for_what_it_gives():
    assert ending(ToolCall(0, "c"))["finishReason"] == "tool-calls"
    assert ending(ToolCall(0, "c"), ToolResult("c", 1))["finishReason"] == "stop"


def test_a_result_of_a_call_that_nobody_knows():
    machine = Machine(WIRE)
    machine.part(CALL)
    with pytest.raises(InvalidOption, match=r"ToolResult\(id='c2'\): no call of this reply"):
        machine.part(ToolResult("c2", 1))
    with pytest.raises(InvalidOption, match="no call of this reply has that id"):
        collect([CALL, ToolResult("c2", 1)], WIRE)


def test_a_source_or_data_in_a_sentence_parts_no_text():
    read = between("a", Source("https://x.org"), Data("n", None), "b")
    assert [it["type"] for it in read] == [
        "text-start",
        "text-delta",
        "source-url",
        "data-n",
        "text-delta",
        "text-end",
    ]
    assert read[2] == {"type": "source-url", "sourceId": "source-1", "url": "https://x.org"}
    (_, text, _, _) = collect(["a", Source("u"), Data("n", 1), "b"], WIRE)["parts"]
    assert text == {"type": "text", "text": "ab", "state": "done"}


def test_usage_is_the_message_s_metadata():
    usage = {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7, "cached": 1}
    assert ending("a", Usage(3, 4, {"cached": 1}), Finish("length")) == {
        "type": "finish",
        "finishReason": "length",
        "messageMetadata": {"usage": usage},
    }
    assert collect(["a", Usage(3, 4, {"cached": 1})], WIRE)["metadata"] == {"usage": usage}


@pytest.mark.parametrize(
    "parts, reason",
    [
        (["a"], "stop"),
        ([CALL], "tool-calls"),
        ([CALL, ToolResult("c1", 1)], "stop"),
        ([CALL, ToolResult("c1", 1), Step(), "a"], "stop"),
        ([CALL, Finish("content_filter")], "content-filter"),
        ([Finish("tool_calls")], "tool-calls"),
    ],
)
def test_the_reason(parts, reason):
    assert ending(*parts)["finishReason"] == reason


@pytest.mark.parametrize(
    "part, named",
    [
        (Source(5), "Source(url=5)"),
        (Source("u", 5), "Source(title=5)"),
        (Reasoning("a", 5), "Reasoning(signature=5)"),
        (Data(5, 1), "Data(name=5)"),
        (Data("", 1), "Data(name='')"),
        (ToolResult([], 1), "ToolResult(id=[])"),
    ],
)
def test_what_clients_would_drop_the_stream_for_is_never_sent(part, named):
    with pytest.raises(InvalidOption) as raised:
        Machine(WIRE).part(part)
    assert str(raised.value).startswith(named)


def test_a_ready_event_has_no_place():
    with pytest.raises(UnsupportedPart, match="'ai-sdk' has no place for"):
        Machine(WIRE).part(Event("x"))


def test_an_id_of_another_type_is_named():
    with pytest.raises(InvalidOption, match=r"AISDK\(id=5\): id must be a str or None"):
        AISDK(id=5)


def test_streams_of_one_wire_have_ids_of_their_own():
    ids = [stream("a", wire=find_wire("ai-sdk"))[0]["messageId"] for _ in range(2)]
    assert ids[0] != ids[1]
    assert all(it.startswith("msg_") for it in ids)


def test_the_header():
    assert TokenStream((), "ai-sdk").headers["x-vercel-ai-ui-message-stream"] == "v1"


def test_an_error_before_the_stream_is_text_that_can_be_shown():
    refused = WIRE.refusal(400, "prompt: is a number (5) \ud83d é", "prompt")
    assert refused.body == "prompt: is a number (5) ? é".encode()
    assert refused.content_type == "text/plain; charset=utf-8"


# What is asked for.


def user(*parts: object) -> dict:
    return {"id": "u1", "role": "user", "parts": list(parts)}


def assistant(*parts: object) -> dict:
    return {"id": "a1", "role": "assistant", "parts": list(parts)}


def text(words: str) -> dict:
    return {"type": "text", "text": words}


def tool(state: str, **fields: object) -> dict:
    return {"type": "tool-sum", "toolCallId": "c1", "state": state, "input": {"é": 1}, **fields}


CALLED = {
    "id": "c1",
    "type": "function",
    "function": {"name": "sum", "arguments": '{"é":1}'},
}
ASKS = {"role": "assistant", "content": None, "tool_calls": [CALLED]}


def gave(content: str) -> dict:
    return {"role": "tool", "tool_call_id": "c1", "content": content}


def read(*messages: object) -> list[dict]:
    return read_request("ai-sdk", {"id": "chat", "messages": list(messages)}).messages


def test_a_request():
    messages = [user(text("Hi"))]
    body = {"id": "chat-1", "messages": messages, "trigger": "submit-message", "model": "m", "x": 1}
    ask = read_request("ai-sdk", json.dumps(body))
    assert ask.messages == [{"role": "user", "content": "Hi"}]
    assert (ask.chat_id, ask.model, ask.stream) == ("chat-1", "m", True)
    assert ask.params == {"messages": messages, "trigger": "submit-message", "x": 1}


def test_a_completion():
    ask = read_request("ai-sdk", {"prompt": "Once", "session": 5, "stream": False})
    assert ask.messages == [{"role": "user", "content": "Once"}]
    assert (ask.params, ask.stream) == ({"session": 5}, False)
    assert WIRE.answering(ask) is WIRE


def test_what_a_user_and_the_system_say():
    data = {"type": "data-x", "data": 1}
    assert read(
        {"id": "s", "role": "system", "parts": [text("Be "), text("kind.")]},
        user(text("One"), data, text("two")),
        user(data),
    ) == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "One\ntwo"},
        {"role": "user", "content": ""},
    ]


@pytest.mark.parametrize("media", ["image/png", "image", "image/*"])
@pytest.mark.parametrize("url", ["data:image/png;base64,iVBO", "https://x.org/a.png"])
def test_a_picture(media, url):
    part = {"type": "file", "mediaType": media, "url": url, "filename": "a.png"}
    (message,) = read(user(text("Look"), part))
    picture = {"type": "image_url", "image_url": {"url": url}}
    assert message["content"] == [{"type": "text", "text": "Look"}, picture]


def test_another_file():
    part = {"type": "file", "mediaType": "application/pdf", "url": "data:application/pdf;base64,JV"}
    (message,) = read(user(part))
    assert message["content"] == [{"type": "file", "file": {"file_data": part["url"]}}]
    (message,) = read(user(part | {"filename": "a.pdf"}))
    assert message["content"][0]["file"]["filename"] == "a.pdf"


@pytest.mark.parametrize(
    "part, messages",
    [
        (tool("input-streaming"), []),
        (tool("input-available"), [ASKS]),
        (tool("approval-requested", approval={"id": "p"}), [ASKS]),
        (tool("approval-responded", approval={"id": "p", "approved": True}), [ASKS]),
        (
            tool("approval-responded", approval={"id": "p", "approved": False, "reason": "no"}),
            [ASKS, gave("no")],
        ),
        (tool("output-available", output="3"), [ASKS, gave("3")]),
        (tool("output-available", output={"é": [3]}), [ASKS, gave('{"é":[3]}')]),
        (tool("output-available"), [ASKS, gave("null")]),
        (tool("output-error", errorText="broke"), [ASKS, gave("broke")]),
        (tool("output-denied"), [ASKS, gave("the call was denied")]),
        (
            tool("output-denied", approval={"id": "p", "approved": False, "reason": "no"}),
            [ASKS, gave("no")],
        ),
    ],
    ids=lambda it: it["state"] if isinstance(it, dict) else "",
)
def test_each_state_of_a_call(part, messages):
    assert read(assistant(part)) == messages
    dynamic = part | {"type": "dynamic-tool", "toolName": "sum"}
    assert read(assistant(dynamic)) == messages


def test_an_approval_that_the_user_passed_over_is_no_call():
    asked = tool("approval-requested", approval={"id": "p"})
    assert read(user(text("a")), assistant(asked), user(text("b"))) == [
        {"role": "user", "content": "a"},
        {"role": "user", "content": "b"},
    ]


def test_the_input_of_a_call_that_failed_may_be_raw():
    failed = {"type": "tool-sum", "toolCallId": "c1", "state": "output-error", "errorText": "e"}
    for said, arguments in [({"rawInput": "{x"}, '"{x"'), ({}, "{}"), ({"input": []}, "[]")]:
        called, _ = read(assistant(failed | said))
        assert called["tool_calls"][0]["function"]["arguments"] == arguments


STEP = {"type": "step-start"}


def test_steps_are_messages_of_their_own():
    second = {**tool("output-available", output=4), "toolCallId": "c2"}
    first = tool("output-available", output=3)
    parts = [STEP, text("Let me."), first, second, STEP, text("It is "), text("7.")]
    assert read(assistant(*parts)) == [
        {**ASKS, "content": "Let me.", "tool_calls": [CALLED, CALLED | {"id": "c2"}]},
        gave("3"),
        gave("4") | {"tool_call_id": "c2"},
        {"role": "assistant", "content": "It is 7."},
    ]


def test_what_follows_a_result_was_said_knowing_it():
    parts = [tool("output-available", output=3), text("It is 3.")]
    assert read(assistant(*parts)) == [
        ASKS,
        gave("3"),
        {"role": "assistant", "content": "It is 3."},
    ]


def test_thinking_and_its_signature():
    signed = {"providerMetadata": {"anthropic": {"signature": "s"}}}
    thoughts = [{"type": "reasoning", "text": "a"}, {"type": "reasoning", "text": "b", **signed}]
    assert read(assistant(*thoughts, text("c"))) == [
        {
            "role": "assistant",
            "content": "c",
            "reasoning_content": "ab",
            "thinking_blocks": [{"type": "thinking", "thinking": "b", "signature": "s"}],
        }
    ]


def test_what_a_model_has_no_use_for_is_left_out_and_kept_in_params():
    parts = [
        {"type": "source-url", "sourceId": "1", "url": "u"},
        {"type": "data-x", "data": 1},
        {"type": "of-a-later-version"},
    ]
    ask = read_request("ai-sdk", {"messages": [user(text("a")), assistant(*parts)]})
    assert ask.messages == [{"role": "user", "content": "a"}]
    assert ask.params["messages"][1]["parts"] == parts


def test_a_message_that_steered_the_run():
    steering = {"type": "steering-message", "id": "s", "parts": [text("Shorter.")]}
    assert read(assistant(STEP, text("a"), steering, STEP, text("b"))) == [
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "Shorter."},
        {"role": "assistant", "content": "b"},
    ]


def test_a_reply_goes_on_with_the_assistant_s_message():
    body = {"messages": [user(text("a")), assistant(tool("approval-responded"))]}
    wire = WIRE.answering(read_request(WIRE, body))
    machine = Machine(wire)
    (start, *_, result) = decoded(machine.part(ToolResult("c1", 3)))
    assert json.loads(start.data)["messageId"] == "a1"
    assert json.loads(result.data)["toolCallId"] == "c1"
    with pytest.raises(InvalidOption):
        machine.part(ToolResult("c2", 3))
    body["messages"].append(user(text("b")))
    assert WIRE.answering(read_request(WIRE, body)) is WIRE


WRONG = {
    "messages": [{}, {"messages": []}, {"messages": None}, {"messages": "a"}],
    "prompt": [{"prompt": 5}],
    "id": [{"id": 5, "prompt": "a"}],
    "model": [{"model": {}, "prompt": "a"}],
    "stream": [{"stream": "no", "prompt": "a"}],
    "messages[0]": [{"messages": ["a"]}],
    "messages[0].id": [{"messages": [user(text("a")) | {"id": 5}]}],
    "messages[0].role": [{"messages": [{"parts": []}]}, {"messages": [{"role": "tool"}]}],
    "messages[0].parts": [{"messages": [{"role": "user"}]}, {"messages": [user() | {"parts": {}}]}],
    "messages[0].parts[0]": [{"messages": [user("a")]}],
    "messages[0].parts[0].type": [{"messages": [user({})]}, {"messages": [assistant({"type": 5})]}],
    "messages[0].parts[1].text": [
        {"messages": [user(text("a"), {"type": "text"})]},
        {"messages": [assistant(text("a"), {"type": "reasoning"})]},
        {"messages": [assistant(text("a"), text(5))]},
    ],
    "messages[0].parts[0].url": [
        {"messages": [user({"type": "file", "mediaType": "image/png", "url": url})]}
        for url in (None, 5, "", "file:///etc/passwd", "/etc/passwd", "javascript:0")
    ],
    "messages[0].parts[0].mediaType": [{"messages": [user({"type": "file", "url": "data:,"})]}],
    "messages[0].parts[0].toolCallId": [{"messages": [assistant({"type": "tool-f"})]}],
    "messages[0].parts[0].toolName": [{"messages": [assistant({"type": "dynamic-tool"})]}],
    "messages[0].parts[0].state": [{"messages": [assistant(tool("ready"))]}],
    "messages[0].parts[0].errorText": [{"messages": [assistant(tool("output-error"))]}],
    "messages[0].parts[0].approval": [{"messages": [assistant(tool("output-denied", approval=1))]}],
    "messages[0].parts[0].approval.approved": [
        {"messages": [assistant(tool("approval-responded", approval={"approved": "yes"}))]}
    ],
    "messages[0].parts[0].providerMetadata.anthropic.signature": [
        {"messages": [assistant({"type": "reasoning", "text": "", "providerMetadata": given})]}
        for given in [{"anthropic": {"signature": 5}}]
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    "field, body", [(field, body) for field, bodies in WRONG.items() for body in bodies]
)
def test_a_request_that_is_wrong_names_the_field(field, body):
    with pytest.raises(BadRequest) as raised:
        read_request("ai-sdk", json.dumps(body))
    assert raised.value.field == field


def test_what_is_nested_too_deep_is_refused():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(BadRequest, match=r"parts\[0\]\.output: is nested too deep"):
        read(assistant(tool("output-available", output=deep)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
KINDS = ["text", "reasoning", "file", "tool-f", "dynamic-tool", "step-start", "steering-message"]
STATES = ["input-available", "approval-responded", "output-available", "output-error", "x"]
PARTS = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS) | JSON},
    optional={
        "text": TEXTS | JSON,
        "url": st.just("data:,") | JSON,
        "mediaType": TEXTS | JSON,
        "toolName": TEXTS | JSON,
        "toolCallId": TEXTS | JSON,
        "state": st.sampled_from(STATES) | JSON,
        "input": JSON,
        "output": JSON,
        "errorText": TEXTS | JSON,
        "approval": st.dictionaries(st.sampled_from(["approved", "reason"]), JSON) | JSON,
        "parts": JSON,
        "providerMetadata": JSON,
    },
)
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system"]) | JSON},
    optional={"id": TEXTS | JSON, "parts": st.lists(PARTS, max_size=3) | JSON},
)


@given(st.lists(MESSAGES, max_size=3) | JSON, JSON)
def test_any_request_is_read_or_refused(messages, more):
    body = json.dumps({"messages": messages, "prompt": more})
    try:
        ask = read_request("ai-sdk", body)
    except BadRequest:
        return
    assert all(it["role"] in ("user", "assistant", "system", "tool") for it in ask.messages)
    for message in ask.messages:
        for call in message.get("tool_calls", ()):
            json.loads(call["function"]["arguments"])
    stream("a", wire=WIRE.answering(ask))


# The whole message.

REPLY = [
    Reasoning("They "),
    Reasoning("ask."),
    Reasoning("", "sig"),
    "Let me look.",
    CALL,
    ToolCall(1, "c2", "sum", '{"b"'),
    ToolCall(2, "c3", "ask", ""),
    ToolResult("c1", {"sum": 3}),
    ToolResult("c2", "broke", is_error=True),
    Step(),
    Source("https://x.org", "X"),
    "It is 3.",
    Data("chart", {"x": 1}),
    Usage(3, 4),
]


def test_a_whole_message():
    message = collect(REPLY, WIRE)
    usage = {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}
    signed = {"providerMetadata": {"anthropic": {"signature": "sig"}}}
    failed = {"state": "output-error", "input": '{"b"', "errorText": "broke"}
    given = {"state": "output-available", "input": {"a": 1}, "output": {"sum": 3}}
    assert message == {
        "id": "m1",
        "role": "assistant",
        "metadata": {"usage": usage},
        "parts": [
            STEP,
            {"type": "reasoning", "text": "They ask.", "state": "done", **signed},
            {"type": "text", "text": "Let me look.", "state": "done"},
            {"type": "tool-sum", "toolCallId": "c1", **given},
            {"type": "tool-sum", "toolCallId": "c2", **failed},
            {"type": "tool-ask", "toolCallId": "c3", "state": "input-available", "input": {}},
            STEP,
            {"type": "source-url", "sourceId": "source-1", "url": "https://x.org", "title": "X"},
            {"type": "text", "text": "It is 3.", "state": "done"},
            {"type": "data-chart", "data": {"x": 1}},
        ],
    }


def test_a_whole_reply_goes_on_with_the_assistant_s_message():
    call = tool("approval-responded")
    body = {"messages": [user(text("a")), assistant(text("b"), call)]}
    wire = WIRE.answering(read_request(WIRE, body))
    message = collect([ToolResult("c1", 3), "c"], wire)
    given = call | {"state": "output-available", "output": 3}
    assert message["id"] == "a1"
    assert message["parts"] == [text("b"), given, STEP, text("c") | {"state": "done"}]
    assert call["state"] == "approval-responded"


def test_a_signature_ends_its_block_in_the_whole_message_too():
    (_, *parts) = collect([Reasoning("a", "s"), Source("u"), Reasoning("b"), "c"], WIRE)["parts"]
    assert [it.get("text") for it in parts] == ["a", None, "b", "c"]


def test_a_message_that_is_sent_back_is_read_as_it_was_said():
    function = {"name": "sum", "arguments": '{"a":1}'}
    failed = {"name": "sum", "arguments": '"{\\"b\\""'}
    assert read(user(text("1+2?")), collect(REPLY, WIRE)) == [
        {"role": "user", "content": "1+2?"},
        {
            "role": "assistant",
            "content": "Let me look.",
            "reasoning_content": "They ask.",
            "thinking_blocks": [{"type": "thinking", "thinking": "They ask.", "signature": "sig"}],
            "tool_calls": [
                {"id": "c1", "type": "function", "function": function},
                {"id": "c2", "type": "function", "function": failed},
                {"id": "c3", "type": "function", "function": {"name": "ask", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": '{"sum":3}'},
        {"role": "tool", "tool_call_id": "c2", "content": "broke"},
        {"role": "assistant", "content": "It is 3."},
    ]


def test_a_result_after_arguments_that_were_none_is_the_call_s_last_word():
    (_, part) = collect([ToolCall(0, "c1", "f", "{"), ToolResult("c1", 5)], WIRE)["parts"]
    assert (part["state"], part["output"], "errorText" in part) == ("output-available", 5, False)
