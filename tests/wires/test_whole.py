"""The wire of a reply in one piece."""

from __future__ import annotations

import json

from tokenstream import Finish, OpenAIChat, TokenStream
from tokenstream.machine import Machine
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


def test_its_bytes_are_counted():
    stream = TokenStream(["a"], WHOLE)
    body = b"".join(stream)
    assert stream.result.bytes_sent == len(body)


def test_an_error_is_told_as_its_wire_tells_it():
    assert WHOLE.refusal(400, "no", "f") == WHOLE.of.refusal(400, "no", "f")
