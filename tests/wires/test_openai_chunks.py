"""What the two wires of chunks share: a chunk's head, and how many tokens are framed at once."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from tokenstream import OpenAIChat, OpenAICompletions, Usage
from tokenstream.machine import Machine
from tokenstream.wires.openai_chunks import ChunkEncoder, ChunkWire

from .strategies import BATCHES, TEXTS, decoded

WIRES = pytest.mark.parametrize("kind", [OpenAIChat, OpenAICompletions])


@WIRES
@given(BATCHES)
def test_many_tokens_are_framed_as_each_is(kind, batches):
    wire = kind(id="c", created=1)
    one, many = wire.begin(), wire.begin()
    for batch in batches:
        if tokens := [token for token in batch if token]:
            assert many.texts(tokens) == b"".join(map(one.text, tokens))


@WIRES
@given(TEXTS, TEXTS)
def test_nothing_of_the_head_breaks_out_of_it(kind, model, reply_id):
    machine = Machine(kind(model=model, id=reply_id, include_usage=True))
    frames = machine.part("a") + machine.part(Usage(1, 2)) + machine.finish()
    *events, done = decoded(frames)
    assert done.data == "[DONE]"
    for chunk in (json.loads(event.data) for event in events):
        assert chunk["model"] == model
        assert chunk["id"] == reply_id or not reply_id
        assert "error" not in chunk


@WIRES
def test_what_is_around_a_token_is_counted(kind):
    encoder = kind(id="c", created=1).begin()
    assert encoder.overhead == len(encoder.text("x")) - len("x")


@WIRES
def test_a_chunk_and_a_whole_reply_name_their_kind(kind):
    assert issubclass(kind, ChunkWire)
    encoder = kind().begin()
    assert isinstance(encoder, ChunkEncoder)
    chunk = json.loads(decoded(encoder.text("x"))[0].data)
    assert chunk["object"] == encoder.kind


@WIRES
def test_time_and_id_are_the_streams_own(kind):
    wire = kind()
    one, two = (json.loads(decoded(wire.begin().text("x"))[0].data) for _ in range(2))
    assert one["id"] != two["id"]
    assert one["created"] > 1_700_000_000
