"""Whatever is done with a machine, in any order: one opening, one terminal, nothing after it."""

from __future__ import annotations

from typing import get_args

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from tokenstream import Finish, OpenAIChat, Reasoning, ToolCall, Usage, Wire, WireName, errors, sse
from tokenstream.machine import Machine, State
from tokenstream.wires import find_wire

from ..cases import SourceBroke
from ..wires.strategies import decoded, ending
from .strategies import BREAKS, STEPS

PARTS = (
    BREAKS
    | st.sampled_from(["", b"", b"\xe2\x82", b"\xac", b"\xff", object(), None])
    | st.builds(Reasoning, BREAKS)
    | st.builds(ToolCall, st.integers(0, 2), BREAKS, BREAKS, BREAKS)
    | st.builds(Usage, st.integers(0, 9), st.integers(0, 9))
    | st.just(Finish("stop"))
    | st.just(Usage(1, 2, {"no": {"JSON"}}))
)


# The last can't tell at its end what it was given.
WIRES = [*map(find_wire, get_args(WireName)), OpenAIChat(include_usage=True)]


class Machines(RuleBasedStateMachine):
    """A machine, and what has been told to it."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = b""
        self.decoder = sse.Decoder()
        self.events: list[sse.Event] = []
        self.text = ""
        self.ends = 0

    @initialize(wire=st.sampled_from(WIRES), run_id=st.sampled_from([None, "run"]))
    def begin(self, wire: Wire, run_id: str | None) -> None:
        self.machine = Machine(wire, run_id)
        self.run_id = run_id
        (*_, self.error) = decoded(Machine(wire, run_id).fail(SourceBroke()))
        (*_, self.done) = decoded(Machine(wire, run_id).finish())

    def take(self, frames: bytes) -> None:
        if self.ends:
            assert frames == b""
        self.frames += frames
        self.events += self.decoder.feed(frames)

    @rule(part=PARTS)
    def part(self, part: object) -> None:
        parts = self.machine.parts
        try:
            self.take(self.machine.part(part))
        except (errors.UsageError, TypeError):
            assert self.machine.parts == parts
            return
        if isinstance(part, str) and not self.ends:
            self.text += part

    @rule(tokens=st.lists(BREAKS, max_size=3))
    def texts(self, tokens: list[str]) -> None:
        if tokens:
            self.take(self.machine.texts(list(tokens)))
            self.text += "" if self.ends else "".join(tokens)

    @rule()
    def keep_alive(self) -> None:
        # It may go out at any time, between two frames: a comment, or an event that is whole.
        frame = self.machine.keep_alive()
        assert frame.startswith(b":") or len(decoded(frame)) == 1
        if not self.ends:
            self.take(frame)

    @rule()
    def finish(self) -> None:
        try:
            frames = self.machine.finish()
        except (errors.InvalidOption, TypeError):
            assert self.machine.state is not State.ENDED
            return
        self.take(frames)
        self.ends += not self.ends
        assert self.ends == 1

    @rule()
    def fail(self) -> None:
        self.take(self.machine.fail(SourceBroke()))
        self.ends += not self.ends

    @invariant()
    def the_ids_say_where_it_is(self) -> None:
        ids = [event.id for event in self.events if event.id is not None]
        ends = ["run.end"] if self.run_id and self.ends else []
        assert ids in ([self.run_id, *ends], ends) if self.run_id else ids == []
        done = [event for event in self.events if event.data == "[DONE]"]
        assert len(done) <= self.ends

    @invariant()
    def the_state_says_so(self) -> None:
        assert (self.machine.state is State.ENDED) == bool(self.ends)

    def teardown(self) -> None:
        if not hasattr(self, "machine"):
            return
        told = "".join(self.machine.gathered.texts)
        # Bytes are in it, too: what came as text is there, whole and in its order.
        rest = iter(told)
        assert all(character in rest for character in self.text)
        if not self.ends:
            self.fail()
        # Each frame was whole when it was given, and so are all together.
        assert decoded(self.frames) == self.events
        assert ending(self.events[-1]) in (ending(self.error), ending(self.done))


TestOneTerminalAndNothingAfterIt = Machines.TestCase
TestOneTerminalAndNothingAfterIt.settings = STEPS
