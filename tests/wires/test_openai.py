"""What OpenAI's protocols share: messages, tools, settings, counts and errors."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenstream import Usage
from tokenstream.errors import BadRequest, InvalidOption
from tokenstream.wires import openai
from tokenstream.wires.request import Fields

from .strategies import TEXTS

USER = {"role": "user", "content": "hi"}


def named(read, value):
    with pytest.raises(BadRequest) as raised:
        read(Fields(value))
    return raised.value.field


@pytest.mark.parametrize(
    "message",
    [
        USER,
        {"role": "developer", "content": "be brief", "name": "boss"},
        {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "image_url"}]},
        {"role": "assistant"},
        {"role": "assistant", "content": None, "tool_calls": None},
        {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f"}}]},
        {"role": "assistant", "tool_calls": [{"type": "custom", "custom": {"name": "f"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "1", "unknown": [1]},
    ],
    ids=str,
)
def test_a_message_stays_as_it_came(message):
    assert openai.messages_of(Fields({"messages": [message, USER]})) == [message, USER]


@pytest.mark.parametrize(
    "messages, field",
    [
        (None, "messages"),
        ([], "messages"),
        ("hi", "messages"),
        (["hi"], "messages[0]"),
        ([USER, {}], "messages[1].role"),
        ([{"role": "model", "content": ""}], "messages[0].role"),
        ([{"role": "user"}], "messages[0].content"),
        ([{"role": "tool", "content": None}], "messages[0].content"),
        ([{"role": "user", "content": 5}], "messages[0].content"),
        ([{"role": "user", "content": ["hi"]}], "messages[0].content[0]"),
        ([{"role": "user", "content": [{"text": "hi"}]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text"),
        ([{"role": "assistant", "tool_calls": {}}], "messages[0].tool_calls"),
        ([{"role": "assistant", "tool_calls": [{"id": 5}]}], "messages[0].tool_calls[0].id"),
        (
            [{"role": "assistant", "tool_calls": [{"function": {"arguments": "{}"}}]}],
            "messages[0].tool_calls[0].function.name",
        ),
        (
            [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}],
            "messages[0].tool_calls[0].function.arguments",
        ),
        ([{"role": "tool", "content": "", "tool_call_id": 5}], "messages[0].tool_call_id"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_message_is_named(messages, field):
    assert named(openai.messages_of, {"messages": messages}) == field


def test_a_tool_stays_as_it_came():
    tools = [
        {"type": "function", "function": {"name": "f", "parameters": {}, "strict": True}},
        {"type": "custom", "custom": {"name": "g"}},
    ]
    assert openai.tools_of(Fields({"tools": tools})) == tools
    assert openai.tools_of(Fields({})) == []


@pytest.mark.parametrize(
    "tools, field",
    [
        ({}, "tools"),
        ([5], "tools[0]"),
        ([{}], "tools[0].type"),
        ([{"type": "function"}], "tools[0].function"),
        ([{"type": "function", "function": {"name": None}}], "tools[0].function.name"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_tool_is_named(tools, field):
    assert named(openai.tools_of, {"tools": tools}) == field


def test_settings():
    body = Fields({"model": "m", "stream": True, "temperature": 1, "stop": "x", "seed": 7, "n": 1})
    assert openai.settings_of(body) == {
        "model": "m",
        "stream": True,
        "temperature": 1,
        "stop": ["x"],
        "params": {"seed": 7},
    }


def test_settings_that_are_not_there():
    assert openai.settings_of(Fields({"stream": None, "n": None})) == {
        "model": None,
        "stream": False,
        "temperature": None,
        "stop": [],
        "params": {},
    }


@pytest.mark.parametrize(
    "body, field",
    [
        ({"n": 2}, "n"),
        ({"n": 0}, "n"),
        ({"n": "1"}, "n"),
        ({"model": "x" * 300}, "model"),
        ({"stream_options": []}, "stream_options"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    ],
    ids=lambda it: str(it)[:40],
)
def test_what_is_wrong_with_a_setting_is_named(body, field):
    assert named(openai.settings_of, body) == field


@pytest.mark.parametrize(
    "params, asked",
    [
        ({}, False),
        ({"stream_options": None}, False),
        ({"stream_options": {}}, False),
        ({"stream_options": {"include_usage": False}}, False),
        ({"stream_options": {"include_usage": True}}, True),
    ],
    ids=str,
)
def test_usage_is_asked_for(params, asked):
    assert openai.asks_usage(params) is asked


COUNTS = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


@pytest.mark.parametrize(
    "details, told",
    [
        ({}, {}),
        ({"cached_tokens": 1}, {"prompt_tokens_details": {"cached_tokens": 1}}),
        ({"reasoning_tokens": 2}, {"completion_tokens_details": {"reasoning_tokens": 2}}),
        (
            {"cached_tokens": 1, "cache_read_input_tokens": 1},
            {"prompt_tokens_details": {"cached_tokens": 1}},
        ),
        (
            {"input_tokens_details": {"cached_tokens": 1}, "cache_creation_input_tokens": 2},
            {"prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 2}},
        ),
        (
            {"prompt_tokens_details": {"audio_tokens": 1}, "cached_tokens": 2},
            {"prompt_tokens_details": {"audio_tokens": 1, "cached_tokens": 2}},
        ),
        (
            {"output_tokens_details": {"reasoning_tokens": 1}},
            {"completion_tokens_details": {"reasoning_tokens": 1}},
        ),
        ({"prompt_tokens_details": None}, {}),
        ({"prompt_tokens": 9, "total_tokens": "x"}, {}),
        ({"cost": 0.1}, {"cost": 0.1}),
    ],
    ids=str,
)
def test_details_are_in_their_groups_and_never_replace_a_count(details, told):
    assert openai.usage_of(Usage(3, 4, details)) == COUNTS | told


def test_what_anthropic_counts_beside_the_prompt_is_of_it_here():
    details = {"cache_read_input_tokens": 2000, "cache_creation_input_tokens": 300}
    assert openai.usage_of(Usage(10, 4, details)) == {
        "prompt_tokens": 2310,
        "completion_tokens": 4,
        "total_tokens": 2314,
        "prompt_tokens_details": {"cached_tokens": 2000, "cache_write_tokens": 300},
    }
    unknown = {"cache_read_input_tokens": None}
    assert openai.usage_of(Usage(3, 4, unknown))["prompt_tokens"] == 3


def test_the_details_that_were_given_stay_as_they_are():
    details = {"prompt_tokens_details": {"audio_tokens": 1}, "cached_tokens": 2}
    openai.usage_of(Usage(3, 4, details))
    assert details == {"prompt_tokens_details": {"audio_tokens": 1}, "cached_tokens": 2}


@given(st.sampled_from([400, 401, 404, 418, 429, 500, 503]), TEXTS, st.none() | TEXTS)
def test_an_error_is_its_own_json_whatever_it_says(status, message, field):
    document = openai.refusal(status, message, field)
    assert document.content_type == "application/json"
    assert document.body.isascii()
    error = json.loads(document.body)["error"]
    assert (error["message"], error["param"], error["code"]) == (message, field, None)


@pytest.mark.parametrize(
    "status, kind",
    [
        (400, "invalid_request_error"),
        (418, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "server_error"),
        (504, "server_error"),
    ],
)
def test_the_type_of_an_error(status, kind):
    assert json.loads(openai.refusal(status, "m", None).body)["error"]["type"] == kind


def test_ids_differ():
    assert openai.new_id("x-") != openai.new_id("x-")
    assert openai.new_id("x-").startswith("x-")


def test_options_of_another_type_are_named():
    with pytest.raises(InvalidOption, match=r"W\(id=5\): id must be a str or None"):
        openai.check_fields("W", model="m", id=5)
