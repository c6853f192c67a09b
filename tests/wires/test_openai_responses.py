"""The wire "openai-responses": what OpenAI's clients enforce, for any parts and any text."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tokenstream import (
    Data,
    Finish,
    OpenAIResponses,
    Reasoning,
    Source,
    Step,
    ToolCall,
    ToolResult,
    Usage,
)
from tokenstream.errors import BadRequest, InvalidOption, UnsupportedPart
from tokenstream.machine import Machine
from tokenstream.wires import ChatRequest, collect, read_request

from .strategies import BATCHES, TEXTS, decoded, paired

WIRE = OpenAIResponses(model="m", id="resp_1", created=1)


def events_of(frames: bytes) -> list[dict[str, Any]]:
    assert frames.isascii()
    events = []
    for number, event in enumerate(decoded(frames)):
        events.append(json.loads(event.data))
        assert events[-1]["type"] == event.event
        assert events[-1]["sequence_number"] == number
    return events


def stream(*parts: object, wire: OpenAIResponses = WIRE) -> list[dict[str, Any]]:
    machine = Machine(wire)
    return events_of(b"".join([machine.part(part) for part in parts]) + machine.finish())


def broken(*parts: object) -> list[dict[str, Any]]:
    machine = Machine(WIRE, None, lambda _: "sorry")
    return events_of(b"".join([machine.part(part) for part in parts]) + machine.fail(ValueError()))


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def deltas(events: list[dict[str, Any]]) -> list[str]:
    return [event["delta"] for event in events if "delta" in event]


def output(*parts: object) -> list[dict[str, Any]]:
    return stream(*parts)[-1]["response"]["output"]


# What a client does with the events: each refers to what was added, and adds up to what is done.

LISTS = {"message": "content", "reasoning": "summary"}


def replayed(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the items that the events add up to. What is not the protocol fails."""
    first, second, *middle, last = events
    assert (first["type"], second["type"]) == ("response.created", "response.in_progress")
    assert first["response"] == second["response"]
    items: list[dict[str, Any]] = []
    for event in middle:
        replay(event, items)
    assert all(item["status"] != "in_progress" for item in items)
    assert {it["response"]["id"] for it in (first, last)} == {"resp_1"}
    assert last["type"] == f"response.{last['response']['status']}"
    assert last["response"]["output"] == items
    return items


def replay(event: dict[str, Any], items: list[dict[str, Any]]) -> None:
    kind = event["type"].removeprefix("response.")
    if kind == "output_item.added":
        assert event["output_index"] == len(items)
        assert event["item"]["id"] not in [item["id"] for item in items]
        items.append(event["item"])
        return
    item = items[event["output_index"]]
    assert item["status"] == "in_progress"
    if kind == "output_item.done":
        for name, value in event["item"].items():
            assert name in ("status", "encrypted_content") or item[name] == value
        items[event["output_index"]] = event["item"]
        return
    assert event["item_id"] == item["id"]
    if item["type"] == "function_call":
        replay_call(kind, event, item)
    else:
        replay_part(kind, event, item[LISTS[item["type"]]])


def replay_call(kind: str, event: dict[str, Any], call: dict[str, Any]) -> None:
    if kind == "function_call_arguments.delta":
        call["arguments"] += event["delta"]
    else:
        assert kind == "function_call_arguments.done"
        call["arguments"] = paired(call["arguments"])
        assert (event["arguments"], event["name"]) == (call["arguments"], call["name"])


def replay_part(kind: str, event: dict[str, Any], parts: list[dict[str, Any]]) -> None:
    place = event.get("content_index", event.get("summary_index"))
    match kind:
        case "content_part.added" | "reasoning_summary_part.added":
            assert place == len(parts)
            parts.append(event["part"])
        case "output_text.delta" | "reasoning_summary_text.delta":
            parts[place]["text"] += event["delta"]
        case "output_text.annotation.added":
            assert event["annotation_index"] == len(parts[place]["annotations"])
            parts[place]["annotations"].append(event["annotation"])
        case "output_text.done" | "reasoning_summary_text.done":
            parts[place]["text"] = paired(parts[place]["text"])  # halves may come in two deltas
            assert event["text"] == parts[place]["text"]
        case "content_part.done" | "reasoning_summary_part.done":
            assert event["part"] == parts[place]
        case _:
            raise AssertionError(kind)


CALLS = st.builds(ToolCall, st.integers(0, 2), st.none() | TEXTS, st.just("f"), TEXTS)
PARTS = st.lists(
    TEXTS
    | st.builds(Reasoning, TEXTS, st.none() | TEXTS)
    | CALLS
    | st.builds(ToolResult, TEXTS, TEXTS | st.just({"a": 1}), st.booleans())
    | st.builds(Source, TEXTS, st.none() | TEXTS)
    | st.just(Step())
    | st.just(Usage(1, 2))
    | st.sampled_from(["stop", "length", "content_filter", "tool_calls"]).map(Finish),
    max_size=12,
)


def taken(parts: list[Any]) -> list[Any]:
    """Return those before a fragment of a call that has ended, which is an error."""
    machine = Machine(WIRE)
    for place, part in enumerate(parts):
        try:
            machine.part(part)
        except InvalidOption:
            return parts[:place]
    return parts


@given(PARTS.map(taken))
@example(["\ud800", "\udc00"])
def test_any_parts_add_up_to_the_last_response(parts):
    events = stream(*parts)
    replayed(events)
    said = [event["delta"] for event in events if "output_text.delta" in event["type"]]
    assert said == [it for it in parts if isinstance(it, str) and it]
    thought = [event["delta"] for event in events if "summary_text.delta" in event["type"]]
    assert thought == [it.text for it in parts if isinstance(it, Reasoning) and it.text]


@given(PARTS.map(taken))
@example([Reasoning("a"), Source("u"), Reasoning("b"), "c", "", Source("v"), "d"])
@example([ToolCall(0), ToolCall(1, "c"), ToolCall(0, arguments="{"), ToolCall(0, arguments="}")])
def test_a_whole_reply_is_what_a_stream_ends_with(parts):
    # A stream ends an item before it knows of a reason that comes later, and makes an id
    # that is missing.
    parts = [it for it in parts if not isinstance(it, Finish)]
    parts = [replace(it, id=it.id or "made") if isinstance(it, ToolCall) else it for it in parts]
    parts = [*taken(parts), Finish("length")]
    assert collect(parts, WIRE) == stream(*parts)[-1]["response"]


@given(TEXTS.filter(bool))
def test_a_token_arrives_as_it_is(text):
    events = stream(text)
    assert kinds(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert deltas(events) == [text]
    (item,) = replayed(events)
    assert item["content"] == [
        {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    ]


@given(BATCHES)
def test_many_tokens_are_framed_as_each_is(batches):
    one, many = WIRE.begin(), WIRE.begin()
    for batch in batches:
        if tokens := [token for token in batch if token]:
            assert many.texts(tokens) == b"".join(map(one.text, tokens))
    assert many.done() == one.done()


@given(TEXTS, TEXTS)
def test_model_and_id_can_hold_anything(model, response_id):
    for event in (
        stream("x", wire=OpenAIResponses(model=model, id=response_id))[it] for it in (0, -1)
    ):
        assert event["response"]["model"] == model
        assert event["response"]["id"] == response_id or not response_id


def test_streams_of_one_wire_have_ids_of_their_own():
    one, two = (stream("a", wire=OpenAIResponses())[-1]["response"] for _ in range(2))
    assert one["id"].startswith("resp_")
    assert one["id"] != two["id"]
    assert one["output"][0]["id"] != two["output"][0]["id"]


def test_a_response_has_what_the_clients_types_need():
    (response,) = {json.dumps(it["response"]) for it in stream()[:2]}
    assert json.loads(response) == {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": "m",
        "output": [],
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": None,
    }


# The parts.


def test_thinking_is_a_summary_and_its_signature_goes_out_sealed():
    thought, more, said = output(Reasoning("a"), Reasoning("b", "sig"), Reasoning("c"), "d")
    assert (thought["type"], thought["summary"]) == (
        "reasoning",
        [{"type": "summary_text", "text": "ab"}],
    )
    assert thought["encrypted_content"] == "sig"
    assert more["summary"][0]["text"] == "c"
    assert "encrypted_content" not in more
    assert said["type"] == "message"


def test_calls_grow_beside_each_other():
    events = stream(
        ToolCall(0, "a", "f"), ToolCall(1, "b", "g"), ToolCall(0, arguments="{}"), "text"
    )
    assert kinds(events)[2:8] == [
        "output_item.added",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "function_call_arguments.delta",
    ]
    first, second, _ = replayed(events)
    assert (first["call_id"], first["name"], first["arguments"]) == ("a", "f", "{}")
    assert (second["call_id"], second["name"], second["arguments"]) == ("b", "g", "{}")


def test_a_call_without_an_id_gets_one():
    (call,) = output(ToolCall(0, name="f"), ToolCall(0, arguments="{}"))
    assert call["call_id"].startswith("call_")


def test_a_result_is_an_item_after_its_call():
    call, result, bad = output(
        ToolCall(0, "a", "f", "{}"), ToolResult("a", {"b": 1}), ToolResult("a", "no", is_error=True)
    )
    assert (call["type"], result["type"]) == ("function_call", "function_call_output")
    assert (result["call_id"], result["output"], result["status"]) == ("a", '{"b":1}', "completed")
    assert (bad["output"], bad["status"]) == ("no", "incomplete")


def test_a_source_annotates_the_text_that_is_open_or_the_next():
    thought, said = output(Reasoning("a"), Source("u", "t"), Reasoning("b"), "c", Source("v"))
    assert thought["summary"][0]["text"] == "ab"
    annotations = said["content"][0]["annotations"]
    assert [(it["url"], it["title"]) for it in annotations] == [("u", "t"), ("v", "v")]
    assert annotations[0] == {
        "type": "url_citation",
        "url": "u",
        "title": "t",
        "start_index": 0,
        "end_index": 0,
    }


def test_a_source_that_no_text_follows_has_a_message_of_its_own():
    call, said = output(ToolCall(0, "a", "f"), Source("u"))
    assert call["type"] == "function_call"
    assert said["content"][0]["text"] == ""
    assert said["content"][0]["annotations"][0]["url"] == "u"


def test_the_app_s_data_has_no_place():
    with pytest.raises(UnsupportedPart, match="openai-responses"):
        stream(Data("n", 1))


@pytest.mark.parametrize(
    "details",
    [
        {"prompt_tokens_details": {"cached_tokens": 3}},
        {"input_tokens_details": {"cached_tokens": 3}},
    ],
)
def test_usage_has_its_details(details):
    assert stream("a", Usage(4, 5, {**details, "cost": 6}))[-1]["response"]["usage"] == {
        "input_tokens": 4,
        "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 9,
        "cost": 6,
    }


@pytest.mark.parametrize("part", [Usage(1, 2, {"a": {1}}), ToolResult("a", {1})])
def test_what_is_no_json_is_an_error_while_the_stream_can_tell_of_it(part):
    machine = Machine(WIRE)
    frames = machine.part("a")
    with pytest.raises(TypeError, match="JSON"):
        machine.part(part)
    assert kinds(events_of(frames + machine.fail(ValueError())))[-2:] == ["error", "failed"]


# The endings.


@pytest.mark.parametrize(
    "reason, word", [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_a_reply_that_was_cut_short_is_incomplete(reason, word):
    *events, last = stream(Reasoning("a"), "b", Finish(reason))
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": word}
    assert [item["status"] for item in last["response"]["output"]] == ["completed", "incomplete"]
    assert events[-1]["item"]["status"] == "incomplete"


@pytest.mark.parametrize("reason", ["stop", "tool_calls"])
def test_another_reason_is_an_ordinary_end(reason):
    assert stream("b", Finish(reason))[-1]["type"] == "response.completed"


@given(TEXTS)
def test_an_error_is_told_in_both_shapes(message):
    machine = Machine(WIRE, None, lambda _: message)
    *_, error, failed = events_of(machine.fail(ValueError("secret")))
    flat = {"code": "server_error", "message": message, "param": None}
    assert {name: error[name] for name in flat} == flat
    assert error["error"] == {"type": "server_error", **flat}
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"] == {"code": "server_error", "message": message}


def test_an_error_before_the_first_part_follows_the_opening():
    assert kinds(broken()) == ["created", "in_progress", "error", "failed"]


def test_half_of_a_call_is_not_in_what_failed():
    *_, failed = broken("a", ToolCall(0, "c", "f", '{"a'))
    assert [item["type"] for item in failed["response"]["output"]] == ["message"]
    assert not [it for it in kinds(broken(ToolCall(0, "c", "f", "{"))) if it.endswith(".done")]


def test_a_keep_alive_is_a_comment():
    assert Machine(WIRE).keep_alive() == b": keep-alive\n\n"


@pytest.mark.parametrize(
    "options", [{"model": None}, {"model": b"m"}, {"id": 5}, {"created": "1,\n\n"}], ids=str
)
def test_an_option_of_another_type_is_named(options):
    (name,) = options
    with pytest.raises(InvalidOption, match=rf"OpenAIResponses\({name}=.*: {name} must be an? "):
        OpenAIResponses(**options)


# The request.


def read(**body: Any) -> ChatRequest:
    return read_request("openai-responses", body)


def messages(*items: Any) -> list[dict[str, Any]]:
    return read(input=list(items)).messages


USER = {"role": "user", "content": "hi"}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "id": "fc_1"}
CALLED = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def test_text_alone_is_the_user_s():
    ask = read(input="hi", instructions="Be short.", model="m", stream=True, store=False)
    assert ask.messages == [{"role": "system", "content": "Be short."}, USER]
    assert (ask.model, ask.stream, ask.params) == ("m", True, {"store": False})
    assert read(input="").messages == [{"role": "user", "content": ""}]
    assert read(input="hi").stream is False


PARTS_READ = [
    ({"type": "input_text", "text": "a"}, {"type": "text", "text": "a"}),
    ({"type": "output_text", "text": "a", "annotations": []}, {"type": "text", "text": "a"}),
    ({"type": "refusal", "refusal": "no"}, {"type": "refusal", "refusal": "no"}),
    (
        {"type": "input_image", "image_url": "data:x", "detail": "low", "file_id": None},
        {"type": "image_url", "image_url": {"url": "data:x", "detail": "low"}},
    ),
    (
        {"type": "input_image", "image_url": "http://x"},
        {"type": "image_url", "image_url": {"url": "http://x"}},
    ),
    (
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:x"},
        {"type": "file", "file": {"file_data": "data:x", "filename": "a.pdf"}},
    ),
    (
        {"type": "input_audio", "input_audio": {"data": "x", "format": "mp3"}},
        {"type": "input_audio", "input_audio": {"data": "x", "format": "mp3"}},
    ),
]


@pytest.mark.parametrize("given_part, part", PARTS_READ, ids=lambda it: it["type"])
def test_each_kind_of_content(given_part, part):
    text = {"type": "input_text", "text": "b"}
    (message,) = messages({"role": "user", "content": [text, given_part]})
    assert message == {"role": "user", "content": [{"type": "text", "text": "b"}, part]}


def test_a_lone_text_is_a_string():
    said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
    assert messages(said) == [USER]


def test_what_the_assistant_did_in_a_row_is_one_message():
    thought = {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "h"}]}
    thought["encrypted_content"] = "y"
    more = {"type": "reasoning", "content": [{"text": "m"}], "summary": [{"text": "left out"}]}
    sealed = {"type": "reasoning", "summary": [], "encrypted_content": "x"}
    text = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "a"}],
    }
    result = {"type": "function_call_output", "call_id": "c", "output": "sun"}
    assert messages(USER, sealed, thought, more, text, CALL, text, CALL, result) == [
        USER,
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "a"}] * 2,
            "thinking_blocks": [
                {"type": "thinking", "thinking": "", "signature": "x"},
                {"type": "thinking", "thinking": "h", "signature": "y"},
            ],
            "reasoning_content": "hm",
            "tool_calls": [CALLED, CALLED],
        },
        {"role": "tool", "content": "sun", "tool_call_id": "c"},
    ]


def test_a_result_may_be_of_parts():
    image = {"type": "input_image", "image_url": "http://x"}
    (result,) = messages({"type": "function_call_output", "call_id": "c", "output": [image]})
    assert result["content"] == [{"type": "image_url", "image_url": {"url": "http://x"}}]


def test_functions_are_in_the_shape_of_chat_and_other_tools_as_they_came():
    function = {"type": "function", "name": "f", "parameters": {}, "strict": None}
    search = {"type": "web_search", "name": 5}
    assert read(input="hi", tools=[function, search]).tools == [
        {"type": "function", "function": {"name": "f", "parameters": {}}},
        search,
    ]


@pytest.mark.parametrize("conversation", ["conv", {"id": "conv"}])
def test_the_conversation_is_the_chat(conversation):
    ask = read(input="hi", conversation=conversation, previous_response_id="resp_0")
    assert ask.chat_id == "conv"
    assert ask.params == {"conversation": conversation, "previous_response_id": "resp_0"}


@pytest.mark.parametrize(
    "body, field",
    [
        ({}, "input"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": {}}, "input"),
        ({"input": ["hi"]}, "input[0]"),
        ({"input": [{}]}, "input[0].role"),
        ({"input": [{"role": "tool", "content": ""}]}, "input[0].role"),
        ({"input": [{"type": ["message"]}]}, "input[0].type"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [USER, {"role": "user"}]}, "input[1].content"),
        ({"input": [{"role": "user", "content": 5}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": ["hi"]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": [{}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "x"}]}]}, "input[0].content[0].type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
            "input[0].content[0].text",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].image_url",
        ),
        ({"input": [{**CALL, "call_id": None}]}, "input[0].call_id"),
        ({"input": [{**CALL, "name": 5}]}, "input[0].name"),
        ({"input": [{**CALL, "arguments": {}}]}, "input[0].arguments"),
        ({"input": [{"type": "function_call_output", "output": ""}]}, "input[0].call_id"),
        (
            {"input": [{"type": "function_call_output", "call_id": "c", "output": {}}]},
            "input[0].output",
        ),
        ({"input": [{"type": "reasoning", "summary": [{}]}]}, "input[0].summary[0].text"),
        ({"input": "hi", "instructions": []}, "instructions"),
        ({"input": "hi", "tools": [{}]}, "tools[0].type"),
        ({"input": "hi", "tools": [{"type": "function"}]}, "tools[0].name"),
        (
            {"input": "hi", "tools": [{"type": "function", "name": "f", "parameters": []}]},
            "tools[0].parameters",
        ),
        ({"input": "hi", "model": 5}, "model"),
        ({"input": "hi", "stream": "yes"}, "stream"),
        ({"input": "hi", "max_output_tokens": 0}, "max_output_tokens"),
        ({"input": "hi", "temperature": "warm"}, "temperature"),
        ({"input": "hi", "conversation": 5}, "conversation"),
        ({"input": "hi", "conversation": {}}, "conversation.id"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(body, field):
    with pytest.raises(BadRequest) as raised:
        read_request("openai-responses", body)
    assert raised.value.field == field


WORDS = "message function_call function_call_output reasoning input_text input_image input_file"
NAMES = "type role content text image_url call_id name arguments output summary id parameters"
FIELDS = st.sampled_from(NAMES.split())
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([*WORDS.split(), "user", "assistant", "function", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=5),
    max_leaves=20,
)
ITEMS = st.lists(st.dictionaries(FIELDS, VALUES, max_size=6) | VALUES, min_size=1, max_size=3)


@given(ITEMS | VALUES, VALUES, VALUES)
def test_any_request_is_read_or_refused_by_a_field_s_name(items, tools, conversation):
    try:
        ask = read(input=items, tools=tools, conversation=conversation)
    except BadRequest as error:
        named = error.field or ""
    else:
        named = "input"
        assert all(message["role"] for message in ask.messages)
    assert named.split("[")[0].split(".")[0] in ("input", "tools", "conversation")
