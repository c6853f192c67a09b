"""The order of a stream, with no clock and no I/O: the table, and what it can't say."""

from __future__ import annotations

import asyncio
import enum
import logging

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tokenstream import (
    Anthropic,
    Html,
    Json,
    OpenAIChat,
    Reasoning,
    Text,
    ToolCall,
    Usage,
    Wire,
    errors,
    sse,
)
from tokenstream.machine import END_SUFFIX, Machine, State, public_message
from tokenstream.wires import Encoder

from .cases import CASES, CHAT, RUN, UI, Case, SourceBroke
from .wires.strategies import BATCHES


def run(case: Case) -> tuple[bytes, Machine, BaseException | None]:
    machine = Machine(case.wire, case.run_id)
    frames = b""
    try:
        for step in case.steps:
            if isinstance(step, BaseException):
                raise step
            frames += machine.part(step)
        return frames + machine.finish(), machine, None
    except BaseException as error:
        return frames + machine.fail(error), machine, error


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_table(case):
    frames, machine, error = run(case)
    assert frames == case.expected
    assert type(error) is (case.error or type(None))
    if case.text is not None:
        assert "".join(machine.gathered.texts) == case.text


@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_follows_the_terminal(case):
    _, machine, _ = run(case)
    assert machine.state is State.ENDED
    after = [machine.part("x"), machine.part(b"x"), machine.finish(), machine.fail(SourceBroke())]
    assert after == [b""] * 4


def test_the_state_moves_down():
    machine = Machine(Json())
    seen = [machine.state]
    machine.part("a")
    seen.append(machine.state)
    machine.finish()
    seen.append(machine.state)
    assert seen == [State.BEFORE, State.STREAMING, State.ENDED]


def test_parts_counts_what_the_source_yielded_sent_or_not():
    machine = Machine(Text())
    for part in ("", "a", b"\xe2", Reasoning("x"), "b"):
        machine.part(part)
    assert machine.parts == 5


def test_a_part_that_is_refused_is_not_counted_nor_gathered():
    machine = Machine(Text())
    with pytest.raises(errors.UnsupportedPart, match="wire 'text' has no place for ToolCall"):
        machine.part(ToolCall(0, "c", "f"))
    assert machine.parts == 0
    assert not machine.gathered.calls.all
    assert machine.state is State.BEFORE


def test_calls_are_gathered_by_their_index():
    machine = Machine(Json())
    for part in (
        ToolCall(1, "c1", "g", "{"),
        ToolCall(0, "c0", "f"),
        ToolCall(1, arguments="}"),
        ToolCall(0, name="late", arguments="[]"),
    ):
        machine.part(part)
    assert [call.whole() for call in machine.gathered.calls.all] == [
        ToolCall(0, "c1", "g", "{}"),
        ToolCall(1, "c0", "f", "[]"),
    ]


def test_a_str_of_a_kind_is_its_text():
    class Color(str, enum.Enum):  # noqa: UP042 - whose str() is not its text
        RED = "red"

    class Loud(str):
        def __str__(self):
            return "LOUD"

    machine = Machine(Text())
    assert machine.part(Color.RED) == b"data: red\n\n"
    assert machine.part(Loud("quiet")) == b"data: quiet\n\n"
    assert [type(text) for text in machine.gathered.texts] == [str, str]


def test_a_subclass_of_a_part_is_that_part():
    class Mine(Reasoning):
        pass

    assert Machine(Json()).part(Mine("hm")) == b'data: {"reasoning":"hm"}\n\n'


def test_where_ids_are_on_a_comment_has_no_blank_line_and_an_event_has_its_own():
    comments, events = Machine(Json(), "run"), Machine(Anthropic(), "run")
    assert comments.keep_alive() == b": keep-alive\n"
    assert events.keep_alive() == b'event: ping\ndata: {"type":"ping"}\n\n'


def test_what_is_left_out_is_said_once(caplog):
    machine = Machine(Text())
    with caplog.at_level(logging.INFO, "tokenstream"):
        for _ in range(3):
            machine.part(Reasoning("x"))
    assert [r.getMessage() for r in caplog.records] == [
        "wire 'text' has no place for Reasoning: it is left out"
    ]
    assert machine.gathered.reasoning == ["x"] * 3


@pytest.mark.parametrize(
    "error, message",
    [
        (SourceBroke("secret"), "generation failed"),
        (errors.SourceTimeout("secret"), "generation timed out"),
        (errors.DurationExceeded("secret"), "generation timed out"),
        (errors.SourceCancelled("secret"), "generation was cancelled"),
        (errors.ServerShutdown("secret"), "the server is shutting down"),
        (KeyboardInterrupt("secret"), "generation failed"),
    ],
)
def test_the_default_message_names_no_internals(error, message):
    assert public_message(error) == message
    assert Machine(Text()).fail(error) == f"event: error\ndata: {message}\n\n".encode()


def test_on_error_chooses_the_message():
    machine = Machine(Text(), on_error=lambda error: f"sorry: {type(error).__name__}")
    assert machine.fail(SourceBroke()) == b"event: error\ndata: sorry: SourceBroke\n\n"


def test_on_error_that_raises_is_logged_and_harmless(caplog):
    def broken(error):
        raise ValueError("in on_error")

    frames = Machine(Text(), on_error=broken).fail(SourceBroke())
    assert frames == b"event: error\ndata: generation failed\n\n"
    assert "on_error raised" in caplog.text
    assert "in on_error" in caplog.text


@pytest.mark.parametrize("error", [SystemExit, asyncio.CancelledError, GeneratorExit])
def test_nor_does_on_error_end_what_it_runs_in(error):
    def broken(_):
        raise error

    frames = Machine(Text(), on_error=broken).fail(SourceBroke())
    assert frames == b"event: error\ndata: generation failed\n\n"


def test_ctrl_c_in_on_error_is_for_the_program():
    def interrupted(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Machine(Text(), on_error=interrupted).fail(SourceBroke())


def test_of_a_message_the_text_is_sent_and_not_what_it_prints_as():
    class Loud(str):
        def __str__(self):
            return "a\n\nevent: b"

        __format__ = replace = lambda self, *_: str(self)
        __contains__ = lambda self, _: False  # noqa: E731

    frames = Machine(Text(), on_error=lambda _: Loud("quiet\n")).fail(SourceBroke())
    assert frames == b"event: error\ndata: quiet\ndata: \n\n"


# What can't be told in the end.

UNTOLD = [
    Usage(1, 2, {"details": object()}),
    Usage("1", 2),
    Usage(1, 2, 5),
]


@pytest.mark.parametrize("usage", UNTOLD, ids=["details", "count", "no details"])
def test_a_success_that_the_wire_can_not_tell_may_still_fail(usage):
    machine = Machine(OpenAIChat(include_usage=True))
    machine.part("a")
    machine.part(usage)
    with pytest.raises((TypeError, ValueError)):
        machine.finish()
    assert machine.state is State.STREAMING
    frames = machine.fail(SourceBroke())
    assert b"generation failed" in frames
    assert frames.count(b"[DONE]") == 1


def test_a_wire_that_raises_for_its_own_failure_is_cut(caplog):
    class Mute(Encoder):
        def error(self, message):
            raise ValueError("in error")

    class MuteWire(Wire):
        def begin(self):
            return Mute()

    machine = Machine(MuteWire())
    assert machine.fail(SourceBroke()) == b""
    assert machine.state is State.ENDED
    assert "the stream ends with no terminal" in caplog.text


@pytest.mark.parametrize(
    "part, words",
    [
        (Reasoning(None), "Reasoning(text=None): text must be a str"),
        (Reasoning(5), "Reasoning(text=5): text must be a str"),
        (ToolCall("a"), "ToolCall(index='a'): index must be an int"),
        (ToolCall(0, arguments=None), "ToolCall(arguments=None): arguments must be a str"),
    ],
    ids=str,
)
@pytest.mark.parametrize("wire", [Json(), CHAT], ids=lambda wire: wire.name)
def test_a_part_that_could_not_be_told_in_the_result_is_named(wire, part, words):
    machine = Machine(wire)
    with pytest.raises(errors.InvalidOption) as raised:
        machine.part(part)
    assert str(raised.value) == words
    assert (machine.gathered.reasoning, machine.gathered.calls.all) == ([], [])


def test_what_says_of_itself_that_it_is_text_is_none():
    class Proxy:
        __class__ = str

    class Claims:
        __class__ = bytes
        __index__ = lambda self: 1 << 62  # noqa: E731 - bytes(...) would make so many

    class Raises:
        @property
        def __class__(self):
            raise ZeroDivisionError

    for item in (Proxy(), Claims(), Raises()):
        with pytest.raises(errors.UnknownPart, match="which is no part of a stream"):
            Machine(Json()).part(item)


def test_keep_alive_is_a_comment_and_with_ids_has_no_blank_line():
    assert Machine(Json()).keep_alive() == b": keep-alive\n\n"
    # httpx-sse's kin dispatch an empty event on any blank line once an id was set.
    assert Machine(Json(), "r1").keep_alive() == b": keep-alive\n"


def test_the_end_suffix():
    assert Machine(Json(), "r").finish().startswith(f"id: r{END_SUFFIX}\n".encode())


# Tokens many at a time.

WIRES = pytest.mark.parametrize(
    "wire", [Json(), Text(), Html(), CHAT, UI, RUN], ids=lambda wire: wire.name
)


@WIRES
@given(BATCHES, st.none() | st.just("r1"))
@example([["a\r"], ["\nb", "\r", "\n"], ["\n"]], None)
@example([["a\r", ""], ["", "\n"], ["\nb"]], None)
@example([["a", "[DONE]"], ["[DO", "NE]"], ["x\n", "[DONE]\r", "\n"]], None)
@example([["a"], ["b", "[DONE]"], ["x\r", "y\r"], ["b", "c"], ["\nd", "e"]], None)
@example([["a", "\ud83d"], ["\ude00", "\ud83d", "\ude00"]], "r1")
@example([["", ""], ["", "", ""], [], ["a", ""]], "r1")
def test_many_tokens_at_a_time_are_the_same(wire, batches, run_id):
    one, many = Machine(wire, run_id), Machine(wire, run_id)
    for batch in batches:
        expected = b"".join([one.part(token) for token in batch])
        assert many.texts(list(batch)) == expected
        assert (many.parts, many.state) == (one.parts, one.state)
    assert many.gathered == one.gathered
    assert many.finish() == one.finish()
    assert many.texts(["late", "later"]) == b""
    assert many.gathered == one.gathered


@WIRES
@given(BATCHES, st.lists(st.sampled_from([b"\xf0\x9f", b"\x98\x80", b"\r", b"\n", b"\xff"])))
def test_nor_does_what_comes_between_them_change_a_byte(wire, batches, pieces):
    # A cut character, or a CR of bytes, is waiting when the next batch comes.
    one, many = Machine(wire), Machine(wire)
    between = iter(pieces)
    for batch in batches:
        piece = next(between, b"")
        expected = b"".join([one.part(part) for part in (*batch, piece)])
        assert many.texts(list(batch)) + many.part(piece) == expected
    assert many.gathered == one.gathered
    assert many.parts == one.parts
    assert many.fail(SourceBroke()) == one.fail(SourceBroke())


def test_what_is_given_to_texts_stays_the_callers():
    machine = Machine(Text())
    machine.part("a")
    tokens = ["b", "", "c"]
    machine.texts(tokens)
    assert tokens == ["b", "", "c"]
    tokens.clear()
    assert machine.gathered.texts == ["a", "b", "c"]


@WIRES
def test_the_overhead_is_what_a_token_costs_beside_its_text(wire):
    machine = Machine(wire)
    machine.part("a")
    assert len(machine.part("bcd")) == machine.overhead + len("bcd")


class Verbatim(Encoder):
    verbatim = True

    def text(self, text):
        return f"<{text}>".encode()

    def part(self, part):
        return bytes(part) if isinstance(part, bytes | memoryview) else repr(part).encode()

    def done(self):
        return b""


class EachItem(Text):
    def begin(self):
        return Verbatim()


def test_a_verbatim_wire_gets_every_item_as_it_is():
    machine = Machine(EachItem())
    frames = machine.part("")
    assert frames == b"<>"
    assert machine.part("") == b"<>"
    assert machine.part(b"\xe2") + machine.part(memoryview(b"\n")) == b"\xe2\n"
    assert machine.texts(["", "a", ""]) == b"<><a><>"
    assert machine.finish() == b""


def test_the_keep_alive_of_a_verbatim_wire_is_sent_as_it_is():
    machine = Machine(EachItem())
    machine.part(sse.Event("a", id="1"))
    assert machine.keep_alive() == sse.comment("keep-alive")
