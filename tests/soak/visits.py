"""What readers do, and what each of them checks as it reads."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace

from tokenstream import sse

from .apps.plans import KEEP_ALIVE, SEND_TIMEOUT, Plan
from .connection import Answer, Connection, Cut

__all__ = ["KEPT_FOR", "NARROW", "VISITS", "Fault", "Visit", "Way"]

EVENTS = {"Accept": "text/event-stream"}
ERROR = "generation failed"
FAILED = {"failed"}
COMPLETED = {"completed"}
GONE = {"disconnected"}
ANY_END = COMPLETED | FAILED | GONE


class Fault(Exception):
    """Something that must not be."""


class Visit:
    """One reader's visit to one stream.

    ends: the outcomes that the server may tell of it. may_not_begin: the reader
    left so early that the source was perhaps never called.
    """

    def __init__(self, connection: Connection, target: str, plan: Plan) -> None:
        self.connection = connection
        self.plan = plan
        self.chance = random.Random(plan.number)
        self.read = 0
        self.comments = 0
        self.ends = COMPLETED
        self.may_not_begin = False
        self.ended: str | None = None  # "done" or "error", by the stream's last event
        self.run: str | None = None  # the id, for a GET
        self._target = target
        self._decoder = sse.Decoder()

    async def ask(self, method: str = "POST", headers: dict[str, str] | None = None) -> Answer:
        """Ask for the stream."""
        target = f"{self._target}/{self.plan.kind}?{self.plan.query()}"
        return await self.connection.ask(method, target, headers or {})

    async def open(self, method: str = "POST", headers: dict[str, str] | None = None) -> Answer:
        """Ask for the stream, which must be one."""
        answer = await self.ask(method, headers)
        self.expect(answer.status == 200, f"answered {answer.status}")
        return answer

    async def follow(self, answer: Answer, *, until: int | None = None, pace: float = 0.0) -> None:
        """Read the body, to its end or until so many tokens are there; pause after each piece."""
        async for piece in answer.body():
            self.expect(self.ended is None, "something followed the terminal")
            self.comments += piece.count(b": keep-alive\n")
            for event in self._decoder.feed(piece):
                self._take(event)
            if until is not None and self.read >= until:
                return
            if pace:
                await asyncio.sleep(self.chance.random() * pace)

    def _take(self, event: sse.Event) -> None:
        self.run = self.run or event.id
        self.expect(self.ended is None, "an event followed the terminal")
        if event.event == "error":
            self.expect(json.loads(event.data) == {"error": ERROR}, f"error {event.data!r}")
            self.ended = "error"
        elif event.data == "[DONE]":
            self.ended = "done"
        else:
            token = json.loads(event.data)["token"]
            wanted = self.plan.token(self.read)
            self.expect(token == wanted, f"read {token[:20]!r} for {wanted[:20]!r}")
            self.read += 1

    def expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            raise Fault(f"{self}: {otherwise}")

    def expect_end(self) -> None:
        """Check that a stream which was read to its end had all that it should."""
        fails = self.plan.fails_at >= 0
        self.expect(self.ended == ("error" if fails else "done"), f"ended with {self.ended}")
        tokens = self.plan.fails_at if fails else self.plan.tokens
        self.expect(self.read == tokens, f"read {self.read} of {tokens} tokens")
        if self.plan.silence >= 2.5 * KEEP_ALIVE:
            self.expect(self.comments > 0, "there was no keep-alive in a long silence")

    def __str__(self) -> str:
        return f"{self._target}/{self.plan.kind} {self.plan.number}"


Way = Callable[[Visit], Awaitable[bool]]
"""What a reader does; whether its connection can be used again."""


async def stays(visit: Visit) -> bool:
    await visit.follow(await visit.open())
    visit.expect_end()
    return True


async def waits_through_a_silence(visit: Visit) -> bool:
    visit.plan = replace(visit.plan, silence=2.0 + 4.0 * visit.chance.random())
    return await stays(visit)


async def reads_a_hot_source(visit: Visit) -> bool:
    visit.plan = replace(visit.plan, gap=0.0, tokens=300)
    return await stays(visit)


async def reads_slowly(visit: Visit) -> bool:
    visit.plan = replace(visit.plan, gap=0.0, tokens=60, size=4096)
    await visit.follow(await visit.open(), pace=0.1)
    visit.expect_end()
    return True


async def stalls_and_goes_on(visit: Visit) -> bool:
    visit.plan = replace(visit.plan, gap=0.0, tokens=64, size=65536)  # as much as a kernel holds
    answer = await visit.open()
    await visit.follow(answer, until=5)
    await asyncio.sleep(SEND_TIMEOUT / 4)
    await visit.follow(answer)
    visit.expect_end()
    return False  # the server, done long ago, may be about to close it


async def stalls_for_good(visit: Visit) -> bool:
    visit.plan = replace(visit.plan, gap=0.0, tokens=400, size=65536)  # more than a kernel holds
    visit.ends = GONE
    await visit.follow(await visit.open(), until=1)
    await asyncio.sleep(SEND_TIMEOUT + 2)
    return False


async def is_told_of_an_error(visit: Visit) -> bool:
    visit.plan = replace(visit.plan, fails_at=visit.chance.randrange(1, visit.plan.tokens))
    visit.ends = FAILED
    await visit.follow(await visit.open())
    visit.expect_end()
    return True


async def gets_an_error_instead(visit: Visit) -> bool:
    visit.plan = replace(visit.plan, fails_at=0)
    visit.ends = FAILED
    answer = await visit.ask()
    visit.expect(answer.status == 500, f"answered {answer.status}")
    return False


async def leaves(visit: Visit) -> bool:
    visit.ends = ANY_END
    await visit.follow(await visit.open(), until=visit.chance.randrange(1, visit.plan.tokens))
    if visit.chance.random() < 0.5:
        visit.connection.reset()
    return False


async def leaves_in_a_silence(visit: Visit) -> bool:
    visit.plan = replace(visit.plan, silence=5.0)
    visit.ends = GONE
    await visit.follow(await visit.open(), until=visit.plan.tokens // 2)
    await asyncio.sleep(visit.chance.random())
    return False


async def half_closes(visit: Visit) -> bool:
    visit.ends = ANY_END
    answer = await visit.open()
    await visit.follow(answer, until=visit.chance.randrange(1, visit.plan.tokens))
    visit.connection.half_close()
    try:
        await visit.follow(answer)
    except Cut:
        pass
    return False


async def leaves_unanswered(visit: Visit) -> bool:
    visit.ends = ANY_END
    visit.may_not_begin = True
    asking = asyncio.ensure_future(visit.ask())
    await asyncio.sleep(visit.chance.random() * 0.1)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    return False


async def comes_back(visit: Visit) -> bool:
    visit.ends = ANY_END
    answer = await visit.open("GET", EVENTS)
    await visit.follow(answer, until=visit.chance.choice([1, visit.plan.tokens + 1]))
    visit.expect(visit.run is not None, "there was no id")
    if visit.ended is None:
        visit.connection.reset()
        return False
    visit.ends = COMPLETED
    visit.expect(visit.run == visit._decoder.last_event_id.removesuffix(".end"), "another id")
    again = await visit.ask("GET", {**EVENTS, "Last-Event-ID": f"{visit.run}.end"})
    visit.expect(again.status == 204, f"a reader of it all came back and got {again.status}")
    return False


async def is_refused_when_it_comes_back(visit: Visit) -> bool:
    visit.may_not_begin = True
    visit.ends = set()
    answer = await visit.ask("GET", {**EVENTS, "Last-Event-ID": "some-run"})
    body = b"".join([piece async for piece in answer.body()])
    visit.expect(answer.status == 200 and b"cannot resume" in body, f"got {body!r}")
    return True


async def asks_for_the_head(visit: Visit) -> bool:
    visit.may_not_begin = True
    visit.ends = set()
    answer = await visit.ask("HEAD", EVENTS)
    visit.expect(answer.status == 200, f"answered {answer.status}")
    return False


VISITS: dict[Way, int] = {
    stays: 40,
    waits_through_a_silence: 12,
    reads_a_hot_source: 4,
    reads_slowly: 4,
    is_told_of_an_error: 6,
    gets_an_error_instead: 4,
    leaves: 12,
    leaves_in_a_silence: 6,
    half_closes: 3,
    leaves_unanswered: 3,
    comes_back: 3,
    is_refused_when_it_comes_back: 1,
    asks_for_the_head: 1,
}
"""How often each is met."""

KEPT_FOR: dict[int, Way] = {0: stalls_for_good, 1: stalls_and_goes_on}
"""Seats, of five hundred, that have one kind: megabytes wait for a reader that stalls, and memory
would follow how many there happen to be."""

NARROW = {stalls_for_good, reads_slowly}
"""Readers for whom little is on its way."""
