"""The wire "ag-ui": what AG-UI's client enforces, and what its input becomes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from tokenstream import (
    AGUI,
    Data,
    Finish,
    Reasoning,
    Source,
    Step,
    ToolCall,
    ToolResult,
    Usage,
)
from tokenstream.errors import BadRequest, InvalidOption
from tokenstream.machine import Machine
from tokenstream.wires import collect, read_request

from ..needs import need_module
from .strategies import BATCHES, TEXTS, decoded

WIRE = AGUI("th", "r", "m")
STARTED = {"type": "RUN_STARTED", "threadId": "th", "runId": "r", "protocolVersion": "1.0"}
FINISHED = {"type": "RUN_FINISHED", "threadId": "th", "runId": "r", "outcome": {"type": "success"}}
ASK = {"threadId": "th", "runId": "r", "messages": []}


def frames(*parts: object, wire: AGUI = WIRE) -> bytes:
    machine = Machine(wire)
    return b"".join(machine.part(part) for part in parts) + machine.finish()


def events(made: bytes) -> list[dict]:
    assert made.isascii()
    assert b"\r" not in made
    return [json.loads(event.data) for event in decoded(made)]


def between(*parts: object) -> list[dict]:
    """What is told between the beginning of the first round and the end of the last."""
    started, step, *read, stepped, finished = events(frames(*parts))
    assert (started, finished["type"]) == (STARTED, "RUN_FINISHED")
    assert step == {"type": "STEP_STARTED", "stepName": "round 1"}
    assert stepped["type"] == "STEP_FINISHED"
    return read


def kinds(*parts: object) -> list[str]:
    return [event["type"] for event in between(*parts)]


@given(TEXTS.filter(bool))
def test_a_token_arrives_as_it_is(text):
    assert between(text) == [
        {"type": "TEXT_MESSAGE_START", "messageId": "m-1", "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m-1", "delta": text},
        {"type": "TEXT_MESSAGE_END", "messageId": "m-1"},
    ]


@given(TEXTS, TEXTS, TEXTS)
def test_nothing_breaks_out_of_its_event(one, two, three):
    wire = AGUI(one or "-", two or "-", three or "-", one)
    call = ToolCall(0, one or "-", two, three)
    read = events(frames(Reasoning(one, two), call, ToolResult(two, three), wire=wire))
    assert (read[0]["threadId"], read[0]["runId"]) == (one or "-", two or "-")
    [begun] = [event for event in read if event["type"] == "TOOL_CALL_START"]
    assert (begun["toolCallId"], begun["toolCallName"]) == (one or "-", two)
    [result] = [event for event in read if event["type"] == "TOOL_CALL_RESULT"]
    assert (result["toolCallId"], result["content"]) == (two, three)
    assert all(event.get("delta") != "" for event in read)


@given(TEXTS)
def test_an_error_is_the_last_and_may_be_the_first(message):
    assert events(WIRE.begin().error(message)) == [{"type": "RUN_ERROR", "message": message}]
    machine = Machine(WIRE, on_error=lambda _: message)
    read = events(machine.part("a") + machine.fail(ValueError()))
    assert read[-1] == {"type": "RUN_ERROR", "message": message}
    assert [event["type"] for event in read[:-1]] == [
        *("RUN_STARTED", "STEP_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT")
    ]


def test_a_reply_of_nothing():
    assert between() == []


def test_a_signature_is_of_its_message_and_ends_it():
    assert between(Reasoning("a"), Reasoning("", "s"), Reasoning("b")) == [
        {"type": "REASONING_START", "messageId": "m-1"},
        {"type": "REASONING_MESSAGE_START", "messageId": "m-1", "role": "reasoning"},
        {"type": "REASONING_MESSAGE_CONTENT", "messageId": "m-1", "delta": "a"},
        {
            "type": "REASONING_ENCRYPTED_VALUE",
            "subtype": "message",
            "entityId": "m-1",
            "encryptedValue": "s",
        },
        {"type": "REASONING_MESSAGE_END", "messageId": "m-1"},
        {"type": "REASONING_END", "messageId": "m-1"},
        {"type": "REASONING_START", "messageId": "m-2"},
        {"type": "REASONING_MESSAGE_START", "messageId": "m-2", "role": "reasoning"},
        {"type": "REASONING_MESSAGE_CONTENT", "messageId": "m-2", "delta": "b"},
        {"type": "REASONING_MESSAGE_END", "messageId": "m-2"},
        {"type": "REASONING_END", "messageId": "m-2"},
    ]


def callers(*parts: object) -> list[str]:
    """The messages that calls belong to."""
    read = between(*parts)
    return [it["parentMessageId"] for it in read if it["type"] == "TOOL_CALL_START"]


def test_calls_belong_to_the_message_before_them():
    one, two = ToolCall(0, "a", "f", "{}"), ToolCall(1, "b", "f")
    assert callers("Let me look.", one, two) == ["m-1", "m-1"]
    assert callers(one, two) == ["m-1", "m-1"]
    # A message of another kind, a result or the next round is between.
    assert callers("x", Reasoning("y"), one) == ["m-3"]
    assert callers("x", one, ToolResult("a", 1), two) == ["m-1", "m-3"]
    assert callers("x", Step(), one) == ["m-2"]


def test_a_call_whose_name_never_came_is_of_the_message_before_its_result():
    started, _, _, result = between(ToolCall(0, "a", arguments="{}"), ToolResult("a", 1))
    assert (started["parentMessageId"], result["messageId"]) == ("m-1", "m-2")
    read = between(ToolCall(0, "a"), Step(), ToolCall(0, "b", "f"))
    parents = [it["parentMessageId"] for it in read if it["type"] == "TOOL_CALL_START"]
    assert parents == ["m-1", "m-2"]


def test_parallel_calls_are_open_beside_each_other():
    read = between(
        ToolCall(0, "a", "f"), ToolCall(1, "b", "g", "{"), ToolCall(0, arguments="{}"), "x"
    )
    assert [(it["type"], it.get("toolCallId")) for it in read[:6]] == [
        ("TOOL_CALL_START", "a"),
        ("TOOL_CALL_START", "b"),
        ("TOOL_CALL_ARGS", "b"),
        ("TOOL_CALL_ARGS", "a"),
        ("TOOL_CALL_END", "a"),
        ("TOOL_CALL_END", "b"),
    ]


def test_a_result_follows_the_end_of_its_call():
    *_, end, good, bad = between(
        ToolCall(0, "a", "f"), ToolResult("a", {"n": [1]}), ToolResult("a", "no", is_error=True)
    )
    assert end["type"] == "TOOL_CALL_END"
    expected = {"type": "TOOL_CALL_RESULT", "toolCallId": "a", "role": "tool"}
    assert good == expected | {"messageId": "m-2", "content": '{"n":[1]}'}
    assert bad == expected | {"messageId": "m-3", "content": "no", "metadata": {"isError": True}}


@pytest.mark.parametrize("parts", [("a", Step(), "b"), (Step(), "b")], ids=["later", "first"])
def test_rounds_are_steps(parts):
    read = events(frames(*parts))
    assert [(it["type"], it.get("stepName")) for it in read if "STEP" in it["type"]] == [
        ("STEP_STARTED", "round 1"),
        ("STEP_FINISHED", "round 1"),
        ("STEP_STARTED", "round 2"),
        ("STEP_FINISHED", "round 2"),
    ]


def test_a_round_ends_what_is_open():
    assert kinds("a", Step(), "b")[2:5] == ["TEXT_MESSAGE_END", "STEP_FINISHED", "STEP_STARTED"]


def test_what_has_no_event_of_its_own_is_custom_and_ends_nothing():
    assert between("a", Source("u", "t"), Source("v"), Data("n", None), "b")[2:6] == [
        {"type": "CUSTOM", "name": "source", "value": {"url": "u", "title": "t"}},
        {"type": "CUSTOM", "name": "source", "value": {"url": "v"}},
        {"type": "CUSTOM", "name": "n", "value": None},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m-1", "delta": "b"},
    ]


def test_counts_and_the_reason_are_told_at_the_end():
    counts = {"inputTokens": 5, "outputTokens": 2, "totalTokens": 7}
    end = {"usage": [counts], "metadata": {"finishReason": "length"}}
    told = Usage(5, 2), Finish("length")
    assert events(frames(*told))[-1] == FINISHED | end
    named = frames(Usage(5, 2), wire=AGUI("th", "r", model="mm"))
    assert events(named)[-1] == FINISHED | {"usage": [{"model": "mm", **counts}]}


def test_streams_of_one_wire_have_ids_of_their_own():
    one, two = (events(frames("a", wire=AGUI())) for _ in range(2))
    for key, place in (("threadId", 0), ("runId", 0), ("messageId", 2)):
        assert one[place][key] != two[place][key]


@pytest.mark.parametrize("option", ["thread_id", "run_id", "message_id", "model"])
def test_an_option_of_another_type_is_named(option):
    with pytest.raises(InvalidOption, match=rf"AGUI\({option}=5\): {option} must be a str or None"):
        AGUI(**{option: 5})


def test_it_is_not_for_event_source():
    assert not AGUI().event_source


@given(BATCHES)
def test_many_tokens_are_framed_as_each_is(batches):
    one, many = WIRE.begin(), WIRE.begin()
    for batch in batches:
        if tokens := [token for token in batch if token]:
            assert many.texts(tokens) == b"".join(map(one.text, tokens))


EVERYTHING = [
    Reasoning("hm"),
    Reasoning("", "sig"),
    "Let me look.",
    ToolCall(0, "a", "f", "{}"),
    ToolCall(1, "b", "g"),
    ToolResult("a", {"x": 1}),
    ToolResult("b", "no", is_error=True),
    Step(),
    ToolCall(0, "c", "f", "{}"),
    Source("u", "t"),
    Data("n", [1]),
    "Done.",
    Usage(1, 2),
    Finish("stop"),
]


def test_the_protocol_s_own_models_know_every_event():
    core, pydantic = need_module("ag_ui.core"), need_module("pydantic")
    known = pydantic.TypeAdapter(core.Event)
    read = events(frames(*EVERYTHING, wire=AGUI(model="m")))
    assert len({event["type"] for event in read}) == 18
    for event in [*read, {"type": "RUN_ERROR", "message": "m"}]:
        model = known.validate_python(event)
        assert not model.model_extra
        assert model.model_dump(mode="json", by_alias=True) == event


# The whole reply.


def test_a_whole_reply_has_the_messages_that_a_client_makes_of_the_stream():
    call = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
    document = collect(lambda: iter(EVERYTHING), WIRE)
    assert document == {
        "threadId": "th",
        "runId": "r",
        "outcome": {"type": "success"},
        "usage": [{"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}],
        "metadata": {"finishReason": "stop"},
        "messages": [
            {"id": "m-1", "role": "reasoning", "content": "hm", "encryptedValue": "sig"},
            {
                "id": "m-2",
                "role": "assistant",
                "content": "Let me look.",
                "toolCalls": [
                    {"id": "a", **call},
                    {"id": "b", **call, "function": {"name": "g", "arguments": ""}},
                ],
            },
            {"id": "m-3", "role": "tool", "toolCallId": "a", "content": '{"x":1}'},
            {"id": "m-4", "role": "tool", "toolCallId": "b", "content": "no", "error": "no"},
            {"id": "m-5", "role": "assistant", "toolCalls": [{"id": "c", **call}]},
            {"id": "m-6", "role": "assistant", "content": "Done."},
        ],
        "custom": [
            {"name": "source", "value": {"url": "u", "title": "t"}},
            {"name": "n", "value": [1]},
        ],
    }
    core, pydantic = need_module("ag_ui.core"), need_module("pydantic")
    for message in document["messages"]:
        assert not pydantic.TypeAdapter(core.Message).validate_python(message).model_extra


def test_a_source_or_data_in_a_sentence_parts_no_text_of_a_whole_reply():
    (message,) = collect(["a", Source("u"), Data("n", 1), "b"], WIRE)["messages"]
    assert message == {"id": "m-1", "role": "assistant", "content": "ab"}


def test_a_whole_reply_of_text_says_no_more():
    assert collect(["a", "b"], WIRE) == {
        "threadId": "th",
        "runId": "r",
        "outcome": {"type": "success"},
        "messages": [{"id": "m-1", "role": "assistant", "content": "ab"}],
    }


# The request.


def read(*messages: object, **fields: object):
    return read_request("ag-ui", {**ASK, "messages": list(messages), **fields})


def test_the_ids_come_back_in_the_reply():
    ask = read_request("ag-ui", {"threadId": "t7", "runId": "r7", "messages": []})
    assert (ask.chat_id, ask.params, ask.messages, ask.stream) == ("t7", {"runId": "r7"}, [], True)
    wire = AGUI("th", "r", model="m").answering(ask)
    assert wire == AGUI("t7", "r7", model="m")


def test_every_role():
    ask = read(
        {"id": "1", "role": "system", "content": "be brief"},
        {"id": "2", "role": "developer", "content": "no lists", "name": "ops"},
        {"id": "3", "role": "user", "content": "hi", "name": "ann"},
        {"id": "4", "role": "reasoning", "content": "They greet", "encryptedValue": "s"},
        {"id": "4b", "role": "reasoning", "content": " me"},
        {
            "id": "5",
            "role": "assistant",
            "content": "Hello",
            "toolCalls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ],
        },
        {"id": "6", "role": "tool", "toolCallId": "a", "content": "3"},
        {"id": "7", "role": "tool", "toolCallId": "b", "content": "", "error": "broken"},
        {"id": "8", "role": "activity", "activityType": "plan", "content": {"n": 1}},
        {"id": "9", "role": "assistant"},
    )
    function = {"name": "f", "arguments": "{}"}
    assert ask.messages == [
        {"role": "system", "content": "be brief"},
        {"role": "developer", "content": "no lists", "name": "ops"},
        {"role": "user", "content": "hi", "name": "ann"},
        {
            "role": "assistant",
            "content": "Hello",
            "tool_calls": [{"id": "a", "type": "function", "function": function}],
            "reasoning_content": "They greet me",
            "thinking_blocks": [{"type": "thinking", "thinking": "They greet", "signature": "s"}],
        },
        {"role": "tool", "tool_call_id": "a", "content": "3"},
        {"role": "tool", "tool_call_id": "b", "content": "broken"},
        {"role": "assistant", "content": None},
    ]
    assert [it["id"] for it in ask.params["activity"]] == ["8"]


def medium(kind: str, **source: str) -> dict:
    return {"type": kind, "source": source}


def test_parts_of_a_message():
    parts = [
        {"type": "text", "text": "what is this?"},
        medium("image", type="data", value="AA==", mimeType="image/png"),
        medium("image", type="url", value="https://e.org/a.png"),
        medium("image", type="file", value="file-1", provider="openai"),
        medium("audio", type="data", value="AA==", mimeType="audio/wav"),
        medium("video", type="url", value="https://e.org/a.mp4"),
        medium("document", type="data", value="AA==", mimeType="application/pdf"),
    ]
    [message] = read({"id": "1", "role": "user", "content": parts}).messages
    assert message["content"] == [
        {"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        {"type": "image_url", "image_url": {"url": "https://e.org/a.png"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "video_url", "video_url": {"url": "https://e.org/a.mp4"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA=="}},
    ]


def test_tools_have_openai_s_shape():
    tools = [{"name": "f", "description": "d", "parameters": {"type": "object"}}, {"name": "g"}]
    assert read(tools=tools).tools == [
        {
            "type": "function",
            "function": {"name": "f", "description": "d", "parameters": {"type": "object"}},
        },
        {"type": "function", "function": {"name": "g"}},
    ]


def test_the_rest_is_in_the_params_as_it_came():
    rest = {
        "state": {"n": 1},
        "context": [{"description": "d", "value": "v"}],
        "forwardedProps": {"model": "m"},
        "resume": [{"interruptId": "i", "status": "resolved", "payload": 5}],
        "protocolVersion": "1.0",
        "parentRunId": None,
        "more": True,
    }
    assert read(**rest).params == {"runId": "r", **rest}


USER = {"id": "1", "role": "user"}
SYSTEM = {"id": "1", "role": "system"}
ASSISTANT = {"id": "1", "role": "assistant"}


@pytest.mark.parametrize(
    "body, field",
    [
        ({}, "threadId"),
        ({"threadId": 5}, "threadId"),
        ({"threadId": "t"}, "runId"),
        ({**ASK, "runId": None}, "runId"),
        ({"threadId": "t", "runId": "r"}, "messages"),
        ({**ASK, "messages": "hi"}, "messages"),
        ({**ASK, "messages": ["hi"]}, "messages[0]"),
        ({**ASK, "messages": [{}]}, "messages[0].role"),
        ({**ASK, "messages": [{"role": "robot"}]}, "messages[0].role"),
        ({**ASK, "messages": [SYSTEM]}, "messages[0].content"),
        ({**ASK, "messages": [SYSTEM | {"content": []}]}, "messages[0].content"),
        ({**ASK, "messages": [USER]}, "messages[0].content"),
        ({**ASK, "messages": [USER | {"content": 5}]}, "messages[0].content"),
        ({**ASK, "messages": [USER | {"content": "x", "name": 5}]}, "messages[0].name"),
        ({**ASK, "messages": [USER | {"content": [{}]}]}, "messages[0].content[0].type"),
        (
            {**ASK, "messages": [USER | {"content": [{"type": "binary"}]}]},
            "messages[0].content[0].type",
        ),
        (
            {**ASK, "messages": [USER | {"content": [{"type": "image"}]}]},
            "messages[0].content[0].source",
        ),
        (
            {**ASK, "messages": [USER | {"content": [medium("image", type="x", value="v")]}]},
            "messages[0].content[0].source.type",
        ),
        (
            {**ASK, "messages": [USER | {"content": [medium("image", type="data", value="v")]}]},
            "messages[0].content[0].source.mimeType",
        ),
        ({**ASK, "messages": [ASSISTANT | {"content": []}]}, "messages[0].content"),
        (
            {**ASK, "messages": [ASSISTANT | {"toolCalls": [{"id": "a"}]}]},
            "messages[0].toolCalls[0].function",
        ),
        ({**ASK, "messages": [{"role": "tool", "content": "x"}]}, "messages[0].toolCallId"),
        ({**ASK, "messages": [{"role": "reasoning"}]}, "messages[0].content"),
        (
            {**ASK, "messages": [{"role": "reasoning", "content": "", "encryptedValue": 5}]},
            "messages[0].encryptedValue",
        ),
        ({**ASK, "tools": [{}]}, "tools[0].name"),
        ({**ASK, "context": [{"description": "d"}]}, "context[0].value"),
        ({**ASK, "resume": [{}]}, "resume[0].interruptId"),
        ({**ASK, "protocolVersion": 1}, "protocolVersion"),
    ],
)
def test_what_is_wrong_is_named(body, field):
    with pytest.raises(BadRequest) as raised:
        read_request("ag-ui", body)
    assert raised.value.field == field


def test_what_the_protocol_s_own_models_write_is_read():
    core = need_module("ag_ui.core")
    asked = core.RunAgentInput(
        thread_id="t",
        run_id="r",
        state={},
        messages=[core.UserMessage(id="1", content="hi")],
        tools=[core.Tool(name="f", description="d", parameters={})],
        context=[core.Context(description="d", value="v")],
        forwarded_props={},
    )
    ask = read_request("ag-ui", asked.model_dump_json(by_alias=True))
    assert ask.messages == [{"role": "user", "content": "hi"}]
    assert ask.tools[0]["function"]["name"] == "f"
    assert (ask.chat_id, ask.params["runId"]) == ("t", "r")
