"""The wire "anthropic": what Anthropic's clients enforce, and what they ask."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tokenstream import (
    Anthropic,
    Data,
    Finish,
    Reasoning,
    Source,
    Step,
    ToolCall,
    ToolResult,
    Usage,
)
from tokenstream.errors import (
    BadRequest,
    DurationExceeded,
    InvalidOption,
    ServerShutdown,
    SourceTimeout,
    UnsupportedPart,
    UpstreamError,
)
from tokenstream.machine import Machine
from tokenstream.wires import ChatRequest, collect, read_request

from .anthropic_fold import folded
from .strategies import BATCHES, TEXTS, decoded


def events(frames: bytes) -> list[dict]:
    assert frames.isascii()
    read = decoded(frames)
    data = [json.loads(event.data) for event in read]
    # An event whose name is not its type is not seen.
    assert [it["type"] for it in data] == [event.event for event in read]
    return data


def frames_of(*parts: object, wire: Anthropic | None = None) -> bytes:
    machine = Machine(wire or Anthropic())
    return b"".join(machine.part(part) for part in parts) + machine.finish()


def message(*parts: object, wire: Anthropic | None = None) -> dict:
    return folded(events(frames_of(*parts, wire=wire)))


def content(*parts: object) -> list[dict]:
    return message(*parts)["content"]


# What is told.


@given(TEXTS.filter(bool))
def test_a_token_arrives_as_it_is(text):
    assert content(text) == [{"type": "text", "text": text}]


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_nothing_breaks_out_of_its_event(one, two, three, four):
    thinking, call, text = content(
        Reasoning(one + "."),
        Reasoning("", two),
        ToolCall(0, f"id{one}", two, json.dumps({three: four})),
        Source(one, two),
    )
    assert thinking == {"type": "thinking", "thinking": one + ".", "signature": two}
    assert call == {"type": "tool_use", "id": f"id{one}", "name": two, "input": {three: four}}
    (citation,) = text["citations"]
    assert (citation["url"], citation["title"]) == (one, two)


@given(TEXTS, TEXTS)
def test_model_and_id_can_hold_anything(model, message_id):
    told = message("x", wire=Anthropic(model, message_id))
    assert told["model"] == model
    assert told["id"] == message_id or not message_id


@given(TEXTS)
def test_an_error_and_no_stop(text):
    machine = Machine(Anthropic(), on_error=lambda _: text)
    *_, last = events(machine.part("a") + machine.fail(ValueError()))
    assert last == {"type": "error", "error": {"type": "api_error", "message": text}}


def test_streams_of_one_wire_have_ids_of_their_own():
    wire = Anthropic()
    one, two = message("a", wire=wire), message("a", wire=wire)
    assert one["id"].startswith("msg_")
    assert one["id"] != two["id"]


def test_a_signature_ends_its_block():
    assert content(Reasoning("a"), Reasoning("b", "s1"), Reasoning("c"), Reasoning("")) == [
        {"type": "thinking", "thinking": "ab", "signature": "s1"},
        {"type": "thinking", "thinking": "c", "signature": ""},
    ]


def test_a_round_ends_its_blocks():
    assert content("a", Step(), "b") == [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]


def test_a_source_is_in_the_text_before_or_after_it():
    before, after = content(Source("u"), "a", ToolCall(0, "i", "f"), "b", Source("v", "V"))[::2]
    assert (before["text"], [it["url"] for it in before["citations"]]) == ("a", ["u"])
    assert (after["text"], [it["title"] for it in after["citations"]]) == ("b", ["V"])


@pytest.mark.parametrize("part", [ToolResult("i", 1), Data("n", 1)], ids=["result", "data"])
def test_what_has_no_place(part):
    with pytest.raises(UnsupportedPart, match="wire 'anthropic' has no place for"):
        Machine(Anthropic()).part(part)
    with pytest.raises(UnsupportedPart, match="wire 'anthropic' has no place for"):
        collect(["a", part], "anthropic")


@pytest.mark.parametrize(
    "reason, told",
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("content_filter", "refusal"),
    ],
)
def test_the_reason(reason, told):
    assert message("a", Finish(reason))["stop_reason"] == told
    assert collect(["a", Finish(reason)], "anthropic")["stop_reason"] == told


@pytest.mark.parametrize(
    "parts, told",
    [
        (["a"], "end_turn"),
        ([], "end_turn"),
        ([ToolCall(0, "i", "f")], "tool_use"),
        (["a", ToolCall(0, "i", "f"), "b", Source("u")], "tool_use"),
        ([ToolCall(0, "i", "f"), Step(), "b"], "end_turn"),
    ],
)
def test_the_reason_where_the_source_gives_none(parts, told):
    assert message(*parts)["stop_reason"] == told
    assert collect(parts, "anthropic")["stop_reason"] == told


def test_usage():
    details = {"cache_read_input_tokens": 2, "output_tokens_details": {"thinking_tokens": 1}}
    first, *_, delta, _ = events(frames_of(Usage(3, 1), "a", Usage(4, 5, details | {"x": {1}})))
    assert first["message"]["usage"] == {"input_tokens": 3, "output_tokens": 1}
    assert delta["usage"] == {"input_tokens": 4, "output_tokens": 5, **details}


def test_what_openai_counts_is_told_as_anthropic_counts_it():
    usage = Usage(9, 5, {"cached_tokens": 2, "reasoning_tokens": 3})
    assert message("a", usage)["usage"] == {
        "input_tokens": 7,
        "output_tokens": 5,
        "cache_read_input_tokens": 2,
        "output_tokens_details": {"thinking_tokens": 3},
    }


def test_no_count_is_below_nothing():
    assert message("a", Usage(1, 5, {"cached_tokens": 2}))["usage"]["input_tokens"] == 0


def test_usage_is_there_where_nobody_counts():
    assert message("a")["usage"] == {"input_tokens": 0, "output_tokens": 0}


@pytest.mark.parametrize(
    "error, kind",
    [
        (ValueError(), "api_error"),
        (SourceTimeout("x"), "timeout_error"),
        (DurationExceeded("x"), "timeout_error"),
        (ServerShutdown("x"), "overloaded_error"),
        (UpstreamError("x", kind="rate_limit_error"), "rate_limit_error"),
        (UpstreamError("x", kind="secret_error"), "api_error"),
        (UpstreamError("x"), "api_error"),
    ],
)
def test_the_kind_of_an_error(error, kind):
    (told,) = events(Machine(Anthropic()).fail(error))
    assert told["error"]["type"] == kind


@pytest.mark.parametrize(
    "status, kind",
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (409, "conflict_error"),
        (413, "request_too_large"),
        (418, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_a_refusal(status, kind):
    document = Anthropic().refusal(status, 'no "\n', "messages")
    assert document.content_type == "application/json"
    assert json.loads(document.body) == {
        "type": "error",
        "error": {"type": kind, "message": 'no "\n'},
    }


def test_a_keep_alive_is_a_whole_event_where_ids_are_on_too():
    machine = Machine(Anthropic(), run_id="r")
    frames = machine.keep_alive() + machine.part("a") + machine.keep_alive() + machine.finish()
    kinds = [event.event for event in decoded(frames)]
    assert kinds[:2] == ["ping", "message_start"]
    assert kinds.count("ping") == 2


@given(BATCHES)
def test_many_tokens_are_framed_as_each_is(batches):
    one, many = Anthropic().begin(), Anthropic().begin()
    for batch in batches:
        if tokens := [token for token in batch if token]:
            assert many.texts(tokens) == b"".join(map(one.text, tokens))


@pytest.mark.parametrize("options", [{"model": None}, {"model": b"m"}, {"id": 5}], ids=str)
def test_an_option_of_another_type_is_named(options):
    (name,) = options
    with pytest.raises(InvalidOption, match=rf"Anthropic\({name}=.*: {name} must be an? "):
        Anthropic(**options)


# Calls.

INPUTS = st.dictionaries(TEXTS, TEXTS | st.integers() | st.lists(TEXTS, max_size=2), max_size=3)


@st.composite
def calls(draw) -> list[list[ToolCall]]:
    """Some calls, each in fragments."""
    made = []
    for index in range(draw(st.integers(1, 4))):
        given_input = draw(INPUTS)
        whole = "" if not given_input and draw(st.booleans()) else json.dumps(given_input)
        cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=4)))
        places = [0, *cuts, len(whole)]
        pieces = [whole[a:b] for a, b in itertools.pairwise(places)]
        head = ToolCall(index, f"call_{index}", "f" + draw(TEXTS), pieces[0])
        made.append([head, *(ToolCall(index, arguments=piece) for piece in pieces[1:])])
    return made


def inputs(fragments: list[list[ToolCall]]) -> dict[str, tuple[str, dict]]:
    return {
        head.id: (head.name, json.loads("".join(it.arguments for it in [head, *rest]) or "{}"))
        for head, *rest in fragments
    }


@given(calls(), st.randoms(use_true_random=False))
def test_calls_that_interleave_follow_each_other_and_nothing_is_lost(fragments, random):
    order = [index for index, call in enumerate(fragments) for _ in call]
    random.shuffle(order)
    left = [list(call) for call in fragments]
    mixed = [left[index].pop(0) for index in order]
    told = content("a", *mixed, "b")
    assert [block["type"] for block in told] == ["text", *["tool_use"] * len(fragments), "text"]
    begun = [part.id for part in mixed if part.id]
    assert [block["id"] for block in told[1:-1]] == begun
    read = {block["id"]: (block["name"], block["input"]) for block in told[1:-1]}
    assert read == inputs(fragments)


@given(calls())
def test_calls_that_come_one_after_the_other_are_live(fragments):
    machine = Machine(Anthropic())
    machine.part("a")
    waiting = False  # a call with no arguments is whole only when something else begins
    for call in fragments:
        said = ""
        for part in call:
            told = events(machine.part(part))
            if not waiting:
                deltas = [it["delta"] for it in told if it["type"] == "content_block_delta"]
                sent = "".join(delta["partial_json"] for delta in deltas)
                assert sent == part.arguments
            said += part.arguments
        waiting = waiting or not said


def test_what_comes_of_a_later_call_is_held_until_the_open_one_is_whole():
    machine = Machine(Anthropic())
    machine.part(ToolCall(0, "a", "f", '{"x":{}'))
    assert machine.part(ToolCall(1, "b", "g", '{"y"')) == b""
    assert machine.part(ToolCall(2, "c", "h", '{"z":3}')) == b""
    assert machine.part(ToolCall(1, arguments=":2")) == b""
    told = events(machine.part(ToolCall(0, arguments="}\n")))
    assert [it["type"].removeprefix("content_block_") for it in told] == [
        *("delta", "stop"),
        *("start", "delta"),
    ]
    assert told[-1]["delta"]["partial_json"] == '{"y":2'
    told = events(machine.part(ToolCall(1, arguments="}")))
    assert told[-1]["delta"]["partial_json"] == '{"z":3}'


def test_a_name_that_comes_late_begins_its_call():
    late = (ToolCall(0, "a", arguments="{}"), ToolCall(1, "b", "g"), ToolCall(0, name="f"))
    names = [(block["id"], block["name"]) for block in content(*late)]
    assert names == [("a", "f"), ("b", "g")]


def test_white_space_that_comes_late_is_nothing():
    calls = [ToolCall(0, "a", "f", "{}"), ToolCall(1, "b", "g"), ToolCall(0, arguments=" \n")]
    assert [block["input"] for block in content(*calls)] == [{}, {}]


def test_more_of_a_call_that_has_ended_is_an_error():
    machine = Machine(Anthropic())
    machine.part(ToolCall(0, "a", "f", '{"x"'))
    machine.part("text")
    with pytest.raises(InvalidOption, match=r"ToolCall\(index=0\): a fragment came when its call"):
        machine.part(ToolCall(0, arguments=":1}"))


def test_a_call_without_an_id_or_a_name():
    (call,) = content(ToolCall(0, arguments="{}"))
    assert call["id"].startswith("call_")
    assert call["name"] == ""


BROKEN = ['{"a":', "[]", "1", "null", '{"a":NaN}', "x", " ", "[" * 5000, '{"a":' + "1" * 5000 + "}"]


@pytest.mark.parametrize("arguments", BROKEN, ids=lambda it: it[:8])
def test_a_call_that_is_no_object_at_its_end_is_no_success(arguments):
    parts = [ToolCall(0, "a", "f", arguments), "text"]
    machine = Machine(Anthropic())
    for part in parts:
        machine.part(part)
    with pytest.raises(InvalidOption, match=r"the call 'f' has the arguments .* a JSON object"):
        machine.finish()
    (end,) = events(machine.fail(ValueError()))
    assert end["type"] == "error"
    with pytest.raises(InvalidOption, match="the call 'f' has the arguments"):
        collect(parts, "anthropic")


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_a_call_that_was_cut_is_sent_as_far_as_it_came(reason):
    told = events(frames_of(ToolCall(0, "a", "f", '{"a":'), Finish(reason)))
    assert told[2]["delta"]["partial_json"] == '{"a":'
    assert told[-1]["type"] == "message_stop"
    (block,) = collect([ToolCall(0, "a", "f", '{"a":'), Finish(reason)], "anthropic")["content"]
    assert block["input"] == {}


# In one piece.


def with_ids(parts: list[object]) -> list[object]:
    return [
        replace(part, id=f"call_{place}") if isinstance(part, ToolCall) else part
        for place, part in enumerate(parts)
    ]


PARTS = st.lists(
    TEXTS
    | st.builds(Reasoning, TEXTS, st.none() | TEXTS)
    | st.builds(Source, TEXTS, st.none() | TEXTS)
    | st.just(Step())
    | st.builds(Usage, st.integers(0, 9), st.integers(0, 9))
    | st.builds(Finish, st.sampled_from(["stop", "length", "tool_calls"]))
    | INPUTS.map(lambda given: ToolCall(0, "id", "f", json.dumps(given))),
    max_size=8,
).map(with_ids)


@given(PARTS)
@example([Source("u"), Source("v"), Reasoning("a", ""), Reasoning("b"), "", "c", ToolCall(0, "i")])
def test_a_stream_and_one_piece_are_the_same_message(parts):
    wire = Anthropic(id="msg")
    assert message(*parts, wire=wire) == collect(parts, wire)


# What is asked.

ASK = {"max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}


def asked(**fields: object) -> ChatRequest:
    return read_request("anthropic", {**ASK, **fields})


def read_messages(*messages: object) -> list[dict]:
    return asked(messages=list(messages)).messages


def test_the_least():
    user = {"role": "user", "content": "hi"}
    assert asked() == ChatRequest(messages=[user], stream=False, max_tokens=5)


def test_the_most():
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}
    ask = asked(
        model="m",
        system=[{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}],
        tools=[{"name": "weather", "description": "d", "input_schema": schema}, search],
        stream=True,
        temperature=0.5,
        stop_sequences=["END"],
        metadata={"user_id": "u"},
        tool_choice={"type": "any"},
        top_k=3,
    )
    function = {"name": "weather", "description": "d", "parameters": schema}
    assert ask == ChatRequest(
        messages=[
            {"role": "system", "content": "Be brief.\n\nBe kind."},
            {"role": "user", "content": "hi"},
        ],
        model="m",
        tools=[{"type": "function", "function": function}, search],
        stream=True,
        max_tokens=5,
        temperature=0.5,
        stop=["END"],
        params={"metadata": {"user_id": "u"}, "tool_choice": {"type": "any"}, "top_k": 3},
    )
    assert Anthropic("other").answering(ask) == Anthropic("m", relay=False)
    assert Anthropic("other").answering(asked()) == Anthropic("other", relay=False)


def test_pictures():
    by_data = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    by_url = {"type": "url", "url": "https://example.org/a.png"}
    blocks = [
        {"type": "text", "text": "What?"},
        {"type": "image", "source": by_data},
        {"type": "image", "source": by_url},
    ]
    (said,) = read_messages({"role": "user", "content": blocks})
    assert said["content"] == [
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
    ]


def test_results_and_words_are_in_their_order():
    def result(call_id, **fields):
        return {"type": "tool_result", "tool_use_id": call_id, **fields}

    picture = {"type": "image", "source": {"type": "url", "url": "u"}}
    blocks = [
        result("a", content="one"),
        result("b"),
        {"type": "text", "text": "x"},
        {"type": "text", "text": "y"},
        result("c", content=[picture], is_error=True),
    ]
    *_, last = messages = read_messages({"role": "user", "content": blocks})
    assert messages[:3] == [
        {"role": "tool", "tool_call_id": "a", "content": "one"},
        {"role": "tool", "tool_call_id": "b", "content": ""},
        {"role": "user", "content": "x\n\ny"},
    ]
    assert (last["role"], last["is_error"]) == ("tool", True)
    assert last["content"] == [{"type": "image_url", "image_url": {"url": "u"}}]


def test_what_the_assistant_said():
    thoughts = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "x"},
    ]
    blocks = [
        *thoughts,
        {"type": "text", "text": "It"},
        {"type": "text", "text": " is"},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"é": 1}},
    ]
    user = {"role": "user", "content": "hi"}
    _, said, empty, late = read_messages(
        user,
        {"role": "assistant", "content": blocks},
        {"role": "assistant", "content": []},
        {"role": "system", "content": "Now."},
    )
    call = {"name": "f", "arguments": '{"é": 1}'}
    assert said == {
        "role": "assistant",
        "content": "It is",
        "reasoning_content": "hm",
        "thinking_blocks": thoughts,
        "tool_calls": [{"id": "a", "type": "function", "function": call}],
    }
    assert empty == {"role": "assistant", "content": ""}
    assert late == {"role": "system", "content": "Now."}


def of_user(*blocks: object) -> dict:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def of_assistant(*blocks: object) -> dict:
    return {"messages": [{"role": "assistant", "content": list(blocks)}]}


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        (of_user(), "messages[0].content"),
        (of_user("hi"), "messages[0].content[0]"),
        (of_user({"text": "hi"}), "messages[0].content[0].type"),
        (of_user({"type": "text"}), "messages[0].content[0].text"),
        (of_user({"type": "document"}), "messages[0].content[0].type"),
        (of_user({"type": "tool_use"}), "messages[0].content[0].type"),
        (of_user({"type": "image"}), "messages[0].content[0].source"),
        (of_user({"type": "image", "source": {}}), "messages[0].content[0].source.type"),
        (
            of_user({"type": "image", "source": {"type": "file"}}),
            "messages[0].content[0].source.type",
        ),
        (
            of_user({"type": "image", "source": {"type": "base64", "media_type": "image/png"}}),
            "messages[0].content[0].source.data",
        ),
        (of_user({"type": "tool_result"}), "messages[0].content[0].tool_use_id"),
        (
            of_user({"type": "tool_result", "tool_use_id": "a", "content": [{"type": "x"}]}),
            "messages[0].content[0].content[0].type",
        ),
        (of_assistant({"type": "image"}), "messages[0].content[0].type"),
        (of_assistant({"type": "thinking"}), "messages[0].content[0].thinking"),
        (
            of_assistant({"type": "tool_use", "id": "a", "name": "f"}),
            "messages[0].content[0].input",
        ),
        (
            of_assistant({"type": "tool_use", "id": "a", "name": "f", "input": "{}"}),
            "messages[0].content[0].input",
        ),
        (of_assistant({"type": "tool_use", "id": "a", "input": {}}), "messages[0].content[0].name"),
        ({"system": 5}, "system"),
        ({"system": [{"type": "image"}]}, "system[0].type"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({"stream": "yes"}, "stream"),
        ({"temperature": "hot"}, "temperature"),
        ({"stop_sequences": [5]}, "stop_sequences[0]"),
        ({"model": 5}, "model"),
    ],
)
def test_what_is_wrong_is_named(fields, field):
    with pytest.raises(BadRequest) as raised:
        asked(**fields)
    assert raised.value.field == field


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "role", "content", "text", "source", "input", "id", "name", "tool_use_id"]
            ),
            inner
            | st.sampled_from(["user", "assistant", "text", "image", "tool_use", "tool_result"]),
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["messages", "system", "tools", "max_tokens", "stop_sequences"]), JSON
    )
)
def test_any_body_is_read_or_refused(body):
    try:
        read = read_request("anthropic", {"max_tokens": 1, **body})
    except BadRequest:
        return
    assert json.dumps(read.messages)
