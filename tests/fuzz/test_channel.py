"""A channel against a list: in any order of any sides' doing, nothing is lost, doubled or late."""

from __future__ import annotations

import asyncio

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
)

from tokenstream.errors import AlreadyRead, ChannelClosed, ChannelFull, ReaderLeft
from tokenstream.sources import channel

from ..cases import SourceBroke
from .strategies import STEPS


class Channels(RuleBasedStateMachine):
    """Senders and a reader on one loop, which runs until all of them wait."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.held: list[int] = []  # accepted, and not read yet
        self.sends: dict[int, asyncio.Task[None]] = {}  # that wait for room
        self.read: asyncio.Task[object] | None = None  # that waits for a part
        self.count = 0
        self.closed = self.left = False
        self.error: Exception | None = None

    @initialize(capacity=st.integers(1, 3))
    def begin(self, capacity: int) -> None:
        self.capacity = capacity
        self.sender, self.source = channel(capacity)

    def refusal(self) -> type[Exception] | None:
        return ReaderLeft if self.left else ChannelClosed if self.closed else None

    def turn(self) -> None:
        """Let every task go as far as it can, and compare with the list."""

        async def turns() -> None:
            for _ in range(20):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())
        # Who waited for room and got it: in any order, since they are tasks of their own.
        for number, task in list(self.sends.items()):
            if not task.done():
                continue
            del self.sends[number]
            if (error := task.exception()) is None:
                self.held.append(number)
            else:
                assert type(error) is self.refusal()
        if self.read is not None and self.read.done():
            self.check_read(self.read)
            self.read = None

    def check_read(self, read: asyncio.Task[object]) -> None:
        try:
            part = read.result()
        except StopAsyncIteration:
            assert self.left or (self.closed and not self.held)
            assert self.left or self.error is None
        except SourceBroke as error:
            self.insist(error is self.error and not self.left and not self.held)
            self.error = None  # it is raised once
        else:
            assert part in self.held
            waited = self.held.index(part)
            # What was held before is read first; who got the room of it is behind.
            assert waited == 0 or self.order_is_open
            del self.held[waited]

    order_is_open = False

    @rule()
    def send_nowait(self) -> None:
        self.send_with(self.sender.send_nowait)

    @rule()
    def send(self) -> None:
        self.send_with(lambda part: self.sender.send(part, timeout=0.0))

    def send_with(self, send) -> None:
        self.count += 1
        try:
            send(self.count)
        except ChannelFull:
            assert len(self.held) == self.capacity
            assert self.refusal() is None
        except (ReaderLeft, ChannelClosed) as error:
            self.insist(type(error) is self.refusal())
        else:
            assert self.refusal() is None
            self.held.append(self.count)
        self.turn()
        assert len(self.held) <= self.capacity

    def insist(self, truth: bool) -> None:
        assert truth

    @rule()
    def asend(self) -> None:
        self.count += 1
        self.sends[self.count] = self.loop.create_task(self.sender.asend(self.count))
        self.turn()
        assert len(self.held) <= self.capacity
        # It waits only where there is no room, and never after an end.
        assert not self.sends or (len(self.held) == self.capacity and self.refusal() is None)

    @precondition(lambda self: self.sends)
    @rule(data=st.data())
    def cancel_a_send(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.sends)))
        self.sends.pop(number).cancel()
        self.turn()

    @precondition(lambda self: self.read is None)
    @rule()
    def anext(self) -> None:
        async def read() -> object:
            return await anext(self.source)

        self.order_is_open = bool(self.sends) and not self.held
        self.read = self.loop.create_task(read())
        self.turn()
        # It waits only where there is nothing, and nobody has said that nothing follows.
        assert self.read is None or not (self.held or self.closed or self.left)

    @precondition(lambda self: self.read is None and (self.held or self.closed or self.left))
    @rule()
    def next(self) -> None:
        try:
            part = next(self.source)
        except StopIteration:
            assert self.left or (not self.held and self.error is None)
        except SourceBroke as error:
            self.insist(error is self.error and not self.held)
            self.error = None
        else:
            assert part == self.held.pop(0)
            assert not self.left
        self.turn()

    @precondition(lambda self: self.read is not None)
    @rule()
    def a_second_read(self) -> None:
        async def read() -> object:
            return await anext(self.source)

        try:
            self.loop.run_until_complete(read())
        except AlreadyRead:
            return
        raise AssertionError("two readers")

    @precondition(lambda self: self.read is not None)
    @rule()
    def cancel_the_read(self) -> None:
        assert self.read is not None
        self.read.cancel()
        self.read = None
        self.turn()

    @rule(error=st.sampled_from([None, SourceBroke("x")]))
    def close(self, error: Exception | None) -> None:
        if not self.closed:
            self.closed, self.error = True, error
        if error is None:
            self.sender.close()
        else:
            self.sender.fail(error)
        self.turn()
        assert self.read is None
        assert not self.sends

    @rule()
    def leave(self) -> None:
        self.source.interrupt()
        self.left = True
        self.held.clear()
        self.turn()
        assert self.read is None
        assert not self.sends

    def teardown(self) -> None:
        if hasattr(self, "sender"):
            self.close(None)
            rest = [] if self.left else list(self.held)
            error = None if self.left else self.error
            read: list[object] = []
            try:
                read += self.source
            except SourceBroke as raised:
                self.insist(raised is error)
                read = rest
            else:
                assert error is None
            assert read == rest
        self.loop.close()


TestAChannelIsAListWithTwoSides = Channels.TestCase
TestAChannelIsAListWithTwoSides.settings = STEPS
