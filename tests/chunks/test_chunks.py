"""Which protocol a chunk is of, and what a stream makes of one: counts, order, errors."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from tokenstream import Finish, Json, Step, TokenStream
from tokenstream.chunks import Chunks
from tokenstream.errors import UnknownPart, UnsupportedPart, UpstreamError
from tokenstream.machine import Machine, State
from tokenstream.testing import FakeClock

from ..pairings import every_pairing, result_of
from .scripts import ANTHROPIC, CHAT, GENERATE, GOOGLE, OLLAMA, RESPONSES

ROLE = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
PING = {"type": "ping"}
END = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def said(text, **more):
    return {"choices": [{"index": 0, "delta": {"content": text, **more}}]}


def calling(text):
    return said(text, tool_calls=[{"index": 0, "id": "a", "function": {"name": "f"}}])


SCRIPTS = [CHAT, RESPONSES, ANTHROPIC, GOOGLE, OLLAMA, GENERATE]


def as_object(value, name=""):
    if isinstance(value, dict) and name not in ("args", "arguments", "input"):  # which stay dicts
        return SimpleNamespace(**{key: as_object(field, key) for key, field in value.items()})
    return [as_object(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("script", SCRIPTS)
def test_objects_and_dicts_are_read_alike(script):
    dicts, objects = Chunks(), Chunks()
    wanted = [part for chunk in script for part in dicts.parts(chunk)]
    found = [part for chunk in script for part in objects.parts(as_object(chunk))]
    assert found == wanted


def test_one_stream_may_have_chunks_of_several_protocols():
    chunks = Chunks()
    parts = [part for script in SCRIPTS for chunk in script for part in chunks.parts(chunk)]
    assert "".join(part for part in parts if isinstance(part, str)) == "Hello" * len(SCRIPTS)
    chunks.end()


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"choices": 5},
        {"choices": [5]},
        {"choices": [{"delta": "a"}]},
        said(5),
        said(["a"]),
        {"choices": [{"delta": {"tool_calls": [{"index": "0"}]}}]},
        {"candidates": [{"content": {"parts": ["a"]}}]},
        {"type": "response.output_text.delta", "delta": {}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": 1}},
        {"type": "nobody's"},
        {"type": 5},
        {"done": False, "message": "a"},
        {"error": 5},
        ("a", {}),
        ({}, {}),
        (1, 2, 3),
        SimpleNamespace(),
        SimpleNamespace(error="a"),
        Exception("a"),
    ],
    ids=repr,
)
def test_what_has_another_shape_is_no_part(item):
    with pytest.raises(UnknownPart):
        list(Chunks().parts(item))


# The machine.


def test_a_chunk_that_says_nothing_is_no_part():
    machine = Machine(Json())
    assert (machine.part(ROLE), machine.part(PING)) == (b"", b"")
    assert (machine.parts, machine.state) == (0, State.BEFORE)
    assert machine.part(said("a")) == b'data: {"token":"a"}\n\n'
    assert (machine.parts, machine.state) == (1, State.STREAMING)


def test_a_chunk_counts_as_many_parts_as_it_has():
    machine = Machine(Json())
    machine.part(said("a", reasoning="b"))
    assert machine.parts == 2


def test_a_chunk_opens_the_stream_once_and_has_the_id_once():
    machine = Machine(Json(), run_id="r")
    frames = machine.part(said("a", reasoning="b"))
    assert frames.count(b"id: r\n") == 1
    assert frames.startswith(b'id: r\ndata: {"reasoning":"b"}')


@every_pairing
def test_what_is_before_a_part_that_the_wire_refuses_is_sent(pairing):
    stream = pairing.make(calling("a"), END, wire="text")
    assert pairing.read(stream) == b"data: a\n\nevent: error\ndata: generation failed\n\n"
    result = result_of(stream)
    assert isinstance(result.error, UnsupportedPart)
    assert (result.text, result.parts) == ("a", 1)


@every_pairing
def test_a_cut_reply_fails_in_every_pairing(pairing):
    stream = pairing.make(ROLE, said("a"), wire="text")
    assert pairing.read(stream) == b"data: a\n\nevent: error\ndata: generation failed\n\n"
    result = result_of(stream)
    assert isinstance(result.error, UpstreamError)
    assert (result.outcome, result.text) == ("failed", "a")


@every_pairing
def test_prime_waits_for_the_first_real_part(pairing):
    error = {"error": {"message": "overloaded"}}
    stream = pairing.make(ROLE, PING, error)
    with pytest.raises(UpstreamError, match="overloaded"):
        asyncio.run(stream.aprime()) if pairing.reads_async else stream.prime()


def test_ttft_is_the_first_real_parts():
    clock = FakeClock()
    with clock:
        source = _Late(clock)
        stream = TokenStream(source, keep_alive=None)
        assert b"".join(stream).startswith(b'data: {"token":"a"}')
    assert result_of(stream).ttft == 5.0


class _Late:
    """The role at once, the text five seconds after it."""

    def __init__(self, clock):
        self._clock = clock

    def __iter__(self):
        yield ROLE
        self._clock.advance(5)
        yield said("a")
        yield END


@every_pairing
def test_a_reply_that_says_nothing_at_all_is_whole(pairing):
    stream = pairing.make(ROLE, END, wire="text")
    assert pairing.read(stream) == b"data: [DONE]\n\n"


def test_a_source_may_finish_a_reply_that_it_stopped():
    stream = TokenStream([said("a"), Finish("length")], "text")
    assert b"".join(stream).endswith(b"data: [DONE]\n\n")
    assert result_of(stream).finish_reason == "length"


def test_mixed_with_plain_parts_and_bytes():
    stream = TokenStream([b"\xc3", said("a"), b"b", END], "text")
    assert b"".join(stream) == b"data: \xef\xbf\xbd\n\ndata: a\n\ndata: b\n\ndata: [DONE]\n\n"


def google(part):
    return [{"candidates": [{"content": {"parts": [part]}, "finishReason": "STOP"}]}]


def ollama(**message):
    return [{"message": message, "done": True, "done_reason": "stop"}]


def responses(*events):
    created = {"type": "response.created", "response": {}}
    return [created, *events, {"type": "response.completed", "response": {}}]


CALL_ITEM = {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}
ROUNDS = {
    "google": (google({"functionCall": {"name": "f"}}), google({"text": "Hi"})),
    "ollama": (ollama(tool_calls=[{"function": {"name": "f"}}]), ollama(content="Hi")),
    "responses": (
        responses({"type": "response.output_item.done", "output_index": 0, "item": CALL_ITEM}),
        responses({"type": "response.output_text.delta", "output_index": 0, "delta": "Hi"}),
    ),
}


@pytest.mark.parametrize("between", [[], [Step()]], ids=["as it is", "Step"])
@pytest.mark.parametrize("calling, talking", ROUNDS.values(), ids=ROUNDS)
def test_calls_of_a_round_are_none_of_the_next(calling, talking, between):
    def reasons(*items):
        chunks = Chunks()
        parts = [part for item in items for part in chunks.parts(item)]
        return [part.reason for part in parts if isinstance(part, Finish)]

    assert reasons(*calling, *between, *talking) == ["tool_calls", "stop"]
    assert reasons(*talking, *between, *calling) == ["stop", "tool_calls"]


@pytest.mark.parametrize("nothing", [None, False, "", {}])
def test_an_error_that_says_nothing_is_none(nothing):
    assert list(Chunks().parts(said("a") | {"error": nothing})) == ["a"]
    with pytest.raises(UnknownPart):
        Chunks().parts({"error": nothing})
