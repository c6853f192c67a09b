"""What a front end asks: any body is a request or a `BadRequest` that names the field."""

from __future__ import annotations

import copy
import functools
import json
import math
import operator
from dataclasses import asdict
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tokenstream import Wire, WireName
from tokenstream.errors import BadRequest, InvalidOption
from tokenstream.machine import Machine
from tokenstream.wires import ChatRequest, find_wire, read_request
from tokenstream.wires.base import json_ascii
from tokenstream.wires.request import Fields, json_object

READ = [name for name in get_args(WireName) if type(find_wire(name)).read is not Wire.read]
WIRES = pytest.mark.parametrize("name", READ)

# The fields of all protocols, and values that some of them take.
FIELDS = [
    *("messages", "role", "content", "type", "text", "name", "id", "model", "system", "input"),
    *("prompt", "stream", "stream_options", "include_usage", "n", "max_tokens", "temperature"),
    *("tools", "tool_calls", "tool_call_id", "function", "arguments", "parameters", "stop"),
    *("parts", "state", "toolCallId", "threadId", "runId", "instructions", "max_output_tokens"),
    *("tool_use_id", "input_schema", "output", "call_id", "is_error", "stop_sequences", "source"),
]
WORDS = [
    *("user", "assistant", "tool", "system", "text", "function", "function_call", "message"),
    *("tool_use", "tool_result", "tool-x", "output-available", "", "{}", "x", "\ud800", "\0"),
]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0, 1, 1.0, 0.5, 2**53, -1, 10**400, 1e308])
    | st.sampled_from(WORDS)
    | st.text(max_size=5)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=3), inner, max_size=6)
    ),
    max_leaves=30,
)
BODIES = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=8)

_CHAT = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "a", "content": "1"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
    "stream": True,
    "stream_options": {"include_usage": True},
    "max_tokens": 5,
    "temperature": 0.5,
    "stop": ["x"],
    "n": 1,
}
GOOD = {
    "openai-chat": _CHAT,
    "openai-completions": {
        **{name: it for name, it in _CHAT.items() if name not in ("messages", "tools")},
        "prompt": ["once"],
    },
}
"""By wire: a request that is right in all that it reads, to be broken in one place."""


def places(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, it in inner:
        found.append((*path, key))
        if isinstance(it, dict | list):
            found += places(it, (*path, key))
    return found


def broken(name: str, place: int, value: object) -> object:
    body = copy.deepcopy(GOOD[name])
    paths = places(body)
    *path, last = paths[place % len(paths)]
    holder = functools.reduce(operator.getitem, path, body)
    holder[last] = value
    return body


NESTED = '{"messages":' + "[" * 100_000


def check_error(error: BadRequest) -> None:
    assert 0 < len(str(error)) < 400
    assert error.field is None or str(error).startswith(f"{error.field}: ")
    json_ascii({"error": str(error), "field": error.field})


def check_answer(name: str, body: object) -> None:
    """Read a body; insist that it can be answered, or that the error is short and public."""
    try:
        ask = read_request(name, body)
    except BadRequest as error:
        check_error(error)
        return
    assert isinstance(ask, ChatRequest)
    assert isinstance(ask.stream, bool)
    assert all(isinstance(it, dict) for it in [*ask.messages, *ask.tools])
    assert all(isinstance(it, str) for it in ask.stop)
    assert ask.model is None or isinstance(ask.model, str)
    assert ask.chat_id is None or isinstance(ask.chat_id, str)
    assert ask.max_tokens is None or (type(ask.max_tokens) is int and ask.max_tokens > 0)
    assert ask.temperature is None or math.isfinite(ask.temperature)
    # What was read can be sent on, and what it asks for answered.
    json_ascii(asdict(ask))
    machine = Machine(find_wire(name).answering(ask))
    machine.part("a")
    assert machine.finish()


@WIRES
@given(BODIES)
def test_any_object(name, body):
    check_answer(name, json.dumps(body))


@pytest.mark.parametrize("name", GOOD)
def test_a_good_request(name):
    ask = read_request(name, json.dumps(GOOD[name]))
    assert (ask.model, ask.max_tokens, ask.temperature, ask.stop) == ("m", 5, 0.5, ["x"])
    assert ask.stream


@pytest.mark.parametrize("name", GOOD)
@given(st.integers(0, 100), VALUES)
def test_a_request_that_is_wrong_in_one_place(name, place, value):
    check_answer(name, json.dumps(broken(name, place, value)))


@WIRES
@given(VALUES)
def test_any_json(name, body):
    check_answer(name, json.dumps(body).encode())


@WIRES
@given(st.binary(max_size=40) | st.text(max_size=40))
@example(b"")
@example(b"\xff\xfe{")
@example(b"\xef\xbb\xbf{}")
@example("\ufeff{}")
@example("\ud800")
@example('{"messages":[],"messages":5}')
@example(NESTED)
@example('{"a":' * 100_000)
@example('{"messages":[{"role":"user","content":' + "[" * 900 + "]" * 900 + "}]}")
@example('{"max_tokens":' + "9" * 5000 + "}")
def test_any_bytes(name, body):
    check_answer(name, body)


@pytest.mark.parametrize(
    "body, message",
    [
        (b"", "the body is not JSON"),
        (b"{'a': 1}", "the body is not JSON"),
        (b"\xff", "the body is not JSON"),
        (NESTED, "the body is not JSON"),
        ('{"a": NaN}', "the body is not JSON"),
        ('{"a": -Infinity}', "the body is not JSON"),
        ('{"a": 1e999}', "the body is not JSON"),
        ("[]", "the body is an array: send a JSON object"),
        ("null", "the body is null: send a JSON object"),
        ('"x"', "the body is a string: send a JSON object"),
        ("true", "the body is a boolean: send a JSON object"),
        ("1", "the body is a number: send a JSON object"),
    ],
    ids=lambda it: str(it)[:20],
)
def test_what_is_no_json_object(body, message):
    with pytest.raises(BadRequest, match=message) as raised:
        json_object(body)
    assert raised.value.field is None


def test_of_a_field_that_is_there_twice_the_last_holds():
    assert json_object('{"a":1,"a":2}').integer("a") == 2


def test_a_body_that_is_parsed_already():
    assert json_object({"a": "x"}).text("a") == "x"


def test_a_wire_without_a_request_says_so():
    with pytest.raises(InvalidOption, match="wire 'json' has no request of its own"):
        read_request("json", "{}")


class TestFields:
    METHODS = ("text", "name", "integer", "count", "number", "flag", "array", "object", "texts")

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("value", [{}, {"a": None}], ids=str)
    def test_missing_and_null_are_nothing(self, method, value):
        assert not getattr(Fields(value), method)("a")

    @pytest.mark.parametrize(
        "method, value, wanted",
        [
            ("text", 5, "is a number (5): give a string"),
            ("text", ["x"], "is an array (['x']): give a string"),
            ("name", "x" * 257, "give a string of at most 256 characters"),
            ("integer", "5", "is a string ('5'): give a whole number"),
            ("integer", True, "is a boolean (True): give a whole number"),
            ("integer", 1.5, "is a number (1.5): give a whole number"),
            ("integer", float("inf"), "give a whole number"),
            ("integer", float("nan"), "give a whole number"),
            ("count", 0, "is a number (0): give a whole number above 0"),
            ("count", -3, "give a whole number above 0"),
            ("count", 2**53, "below 2**53"),
            ("count", 1e300, "below 2**53"),
            ("number", "0.5", "give a number"),
            ("number", False, "give a number"),
            ("number", float("nan"), "give a number between"),
            ("number", float("-inf"), "give a number between"),
            ("number", 10**400, "give a number between"),
            ("flag", 1, "is a number (1): give true or false"),
            ("flag", "true", "give true or false"),
            ("array", {}, "is an object ({}): give an array"),
            ("object", [], "is an array ([]): give an object"),
            ("texts", 5, "give an array"),
        ],
    )
    def test_another_type_is_named_by_its_path(self, method, value, wanted):
        with pytest.raises(BadRequest) as raised:
            getattr(Fields({"a": value}, "b[0]"), method)("a")
        assert raised.value.field == "b[0].a"
        assert str(raised.value).startswith("b[0].a: is ")
        assert wanted in str(raised.value)

    @pytest.mark.parametrize(
        "method, value, expected",
        [
            ("text", "", ""),
            ("name", "x" * 256, "x" * 256),
            ("integer", 5.0, 5),
            ("integer", -(10**400), -(10**400)),
            ("count", 2**53 - 1, 2**53 - 1),
            ("number", 1, 1),
            ("number", 0.5, 0.5),
            ("flag", False, False),
            ("array", [1, None], [1, None]),
            ("texts", "a", ["a"]),
            ("texts", ["a", "b"], ["a", "b"]),
        ],
        ids=lambda it: str(it)[:20],
    )
    def test_what_is_taken(self, method, value, expected):
        got = getattr(Fields({"a": value}), method)("a")
        assert (got, type(got)) == (expected, type(expected))

    def test_paths_grow(self):
        fields = Fields({"a": [{"b": {"c": 5}}, 3]})
        with pytest.raises(BadRequest, match=r"^a\[1\]: is a number \(3\): give an object$"):
            fields.objects("a")
        with pytest.raises(BadRequest, match=r"^a\[0\].b.c: is a number"):
            Fields({"a": [{"b": {"c": 5}}]}).objects("a")[0].object("b").text("c")
        with pytest.raises(BadRequest, match=r"^a\[1\]: is a number \(3\): give a string$"):
            Fields({"a": ["x", 3]}).texts("a")

    def test_what_must_be_there(self):
        fields = Fields({"a": ""}, "m")
        assert fields.need("a", fields.text("a")) == ""
        with pytest.raises(BadRequest, match=r"^m\.b: is missing: it must be there$") as raised:
            fields.need("b", fields.text("b"))
        assert raised.value.field == "m.b"

    def test_the_rest_is_what_nobody_asked_for(self):
        fields = Fields({"a": 1, "b": {"c": 2}, "d": None})
        assert fields.integer("a") == 1
        assert fields.rest() == {"b": {"c": 2}, "d": None}
        assert fields.all() == {"a": 1, "b": {"c": 2}, "d": None}

    def test_a_value_is_cut_in_an_error(self):
        with pytest.raises(BadRequest) as raised:
            Fields({"a": "x" * 10**6}).flag("a")
        assert len(str(raised.value)) < 150
