"""The wire "openai-completions": text that is continued, in chunks of one shape."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from tokenstream import Finish, OpenAICompletions, Reasoning, Source, Step, ToolCall, Usage
from tokenstream.errors import BadRequest, InvalidOption, UnsupportedPart
from tokenstream.wires import collect, read_request

from .strategies import TEXTS
from .test_openai_chat import chunks, stream

WIRE = OpenAICompletions(model="m", id="c", created=1)


def choices(*parts, wire=WIRE):
    return [choice for chunk in stream(wire, *parts) for choice in chunk["choices"]]


@given(TEXTS.filter(bool))
def test_a_token_arrives_as_it_is(text):
    first, last = choices(text)
    assert first == {"index": 0, "text": text, "logprobs": None, "finish_reason": None}
    assert last == {"index": 0, "text": "", "logprobs": None, "finish_reason": "stop"}


def test_every_chunk_has_one_head():
    heads = [{k: v for k, v in it.items() if k != "choices"} for it in stream(WIRE, "a")]
    assert heads == [{"id": "c", "object": "text_completion", "created": 1, "model": "m"}] * 2


def test_an_id_of_its_own():
    (chunk,) = stream(OpenAICompletions())
    assert chunk["id"].startswith("cmpl-")


@given(TEXTS)
def test_an_error_then_done(message):
    (chunk,) = chunks(WIRE.begin().error(message))
    assert chunk["error"]["message"] == message
    assert "choices" not in chunk


@pytest.mark.parametrize(
    "reason, word",
    [("stop", "stop"), ("length", "length"), ("content_filter",) * 2, ("tool_calls", "stop")],
)
def test_why_it_stopped_in_a_chunk_and_in_one_piece(reason, word):
    assert choices("a", Finish(reason))[-1]["finish_reason"] == word
    assert collect(["a", Finish(reason)], WIRE)["choices"][0]["finish_reason"] == word


def test_usage_is_the_last_chunk_with_no_choice():
    wire = OpenAICompletions(include_usage=True)
    *_, last = stream(wire, Usage(3, 4), "a")
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 7)
    assert all("usage" not in chunk for chunk in stream(OpenAICompletions(), Usage(3, 4), "a"))


def test_what_only_accompanies_is_left_out():
    assert choices(Reasoning("hm"), Source("u"), Step(), "a") == choices("a")


def test_it_has_no_calls():
    with pytest.raises(UnsupportedPart, match="wire 'openai-completions' has no place"):
        WIRE.begin().part(ToolCall(0, "a", "f"))
    with pytest.raises(UnsupportedPart, match="wire 'openai-completions' has no place"):
        collect([ToolCall(0, "a", "f")], WIRE)


def test_a_reply_in_one_piece():
    assert collect(["a", "b", Usage(1, 2)], WIRE) == {
        "id": "c",
        "object": "text_completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "text": "ab", "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }


@pytest.mark.parametrize("prompt", ["once", ["once"]], ids=str)
def test_a_prompt_is_the_users_message(prompt):
    body = {"model": "n", "prompt": prompt, "stream": True, "max_tokens": 3, "suffix": "!"}
    ask = read_request("openai-completions", body)
    assert ask.messages == [{"role": "user", "content": "once"}]
    assert (ask.model, ask.stream, ask.max_tokens) == ("n", True, 3)
    assert ask.params == {"suffix": "!"}


@pytest.mark.parametrize("prompt", [["a", "b"], [], [1], [[1]], 5, {"text": "a"}], ids=str)
def test_a_prompt_that_is_no_single_text(prompt):
    with pytest.raises(BadRequest, match=r"^prompt: is an? .*: give one text") as raised:
        read_request("openai-completions", {"prompt": prompt})
    assert raised.value.field == "prompt"


@pytest.mark.parametrize("body", [{}, {"prompt": None}], ids=str)
def test_a_prompt_must_be_there(body):
    with pytest.raises(BadRequest, match=r"^prompt: is missing"):
        read_request("openai-completions", body)


def test_it_answers_what_is_asked():
    options = {"model": "n", "stream_options": {"include_usage": True}}
    ask = read_request("openai-completions", {"prompt": "a", **options})
    assert WIRE.answering(ask) == OpenAICompletions("n", True, "c", 1)
    plain = read_request("openai-completions", {"prompt": "a"})
    assert WIRE.answering(plain) == WIRE


def test_an_option_of_another_type_is_named():
    with pytest.raises(InvalidOption, match=r"OpenAICompletions\(model=None\): model must"):
        OpenAICompletions(model=None)


def test_a_refusal_is_openais():
    assert json.loads(WIRE.refusal(400, "no", "prompt").body)["error"]["param"] == "prompt"
