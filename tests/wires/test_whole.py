"""The wire of a reply in one piece."""

from __future__ import annotations

import json

import pytest

from tokenstream import Data, Finish, OpenAIChat, TokenStream, ToolResult
from tokenstream.errors import UnsupportedPart
from tokenstream.machine import Machine
from tokenstream.sse import Event
from tokenstream.wires.whole import Whole

WHOLE = Whole(OpenAIChat(model="m", id="i", created=5))


def test_it_is_one_chunk_at_the_end():
    machine = Machine(WHOLE)
    assert machine.part("Hel") == machine.texts(["lo", "!"]) == machine.keep_alive() == b""
    assert machine.part(Finish("length")) == b""
    choice = json.loads(machine.finish())["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Hello!", "length")


def test_a_failure_sends_nothing():
    machine = Machine(WHOLE)
    machine.part("Hel")
    assert machine.fail(LookupError("secret")) == b""


@pytest.mark.parametrize("part", [Data("n", 1), ToolResult("c", 1), Event("e")], ids=str)
def test_what_its_wire_has_no_place_for_is_refused_as_in_a_stream(part):
    with pytest.raises(UnsupportedPart, match="'openai-chat' has no place"):
        Machine(WHOLE).part(part)


def test_its_bytes_are_counted():
    stream = TokenStream(["a"], WHOLE)
    body = b"".join(stream)
    assert stream.result.bytes_sent == len(body)


def test_an_error_is_told_as_its_wire_tells_it():
    assert WHOLE.refusal(400, "no", "f") == WHOLE.of.refusal(400, "no", "f")
