"""The soak: so many readers at once, for so long, and what is left when they have gone."""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .apps.plans import Plan
from .connection import Connection, Cut, ask_control
from .visits import KEPT_FOR, NARROW, VISITS, Fault, Visit, Way

__all__ = ["Place", "Soaked", "soak"]

START_SECONDS = 30.0
DRAIN_SECONDS = 30.0

POOLS = {"threads: uvloop_": 32, "threads: asyncio_": 32, "threads: ThreadPoolExecutor-_": 64}
"""Threads that a pool starts when it needs them, and keeps: how many at most."""

Counts = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Place:
    """A server, and how many readers it has at any time.

    django, sync: the share of them that asks Django, and for a sync source.
    """

    name: str
    port: int
    control: int
    readers: int
    django: float
    sync: float


@dataclass
class Soaked:
    """What was seen at one server."""

    place: Place
    visits: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    faults: list[str] = field(default_factory=list)
    before: Counts = field(default_factory=dict)
    after: Counts = field(default_factory=dict)
    memory: list[int] = field(default_factory=list)  # bytes, a sample a second
    peak: int = 0  # streams open at once

    def left(self) -> dict[str, int]:
        """Return what there is more of than before."""
        return {
            f"{kind}: {name}": count - self.before[kind].get(name, 0)
            for kind, names in self.after.items()
            for name, count in names.items()
            if kind != "python"
            and count > max(self.before[kind].get(name, 0), POOLS.get(f"{kind}: {name}", 0))
        }

    def kept(self) -> float:
        """Return how many more blocks Python has in use than before, of all: 0 for none."""
        return self.after["python"]["blocks"] / self.before["python"]["blocks"] - 1

    def growth(self) -> float:
        """Return how much larger the median of the last third is than the second's, 0 for not."""
        third = len(self.memory) // 3
        second, last = self.memory[third : 2 * third], self.memory[-third:]
        return statistics.median(last) / statistics.median(second) - 1

    def __str__(self) -> str:
        visits = ", ".join(f"{count} {name}" for name, count in self.visits.most_common())
        outcomes = ", ".join(f"{count} {name}" for name, count in self.outcomes.most_common())
        return (
            f"{self.place.name}: {self.visits.total()} visits, {self.tokens} tokens, "
            f"at most {self.peak} streams at once\n"
            f"  readers: {visits}\n"
            f"  streams: {outcomes}\n"
            f"  memory: {self.memory[0] >> 20} MiB at first, {self.memory[-1] >> 20} at last, "
            f"{self.growth():+.1%} from the second third to the last\n"
            f"  left over: {self.left() or 'nothing'}, {self.kept():+.1%} of Python's blocks"
        )


async def soak(places: Sequence[Place], seed: int, warm_up: float, seconds: float) -> list[Soaked]:
    """Let readers come for `warm_up` and then for `seconds`; count what is left after each."""
    return await asyncio.gather(*(_Soak(it, seed).run(warm_up, seconds) for it in places))


class _Soak:
    """One server's readers."""

    def __init__(self, place: Place, seed: int) -> None:
        self._place = place
        self._chance = random.Random(f"{seed} {place.name}")
        self._numbers = itertools.count()
        self._seen = Soaked(place)
        self._expected: dict[int, Visit] = {}  # visits that are over, and whose end is not told yet
        self._told: dict[int, tuple[str, int]] = {}  # ends of visits that are not over

    async def run(self, warm_up: float, seconds: float) -> Soaked:
        self._pid = await self._worker()
        await self._load(warm_up)
        await self._drain({})
        self._seen.before = await self._ask("/counts")
        self._seen.memory.clear()
        await self._load(seconds)
        await self._drain(self._seen.before)
        return self._seen

    async def _worker(self) -> int:
        """Return the process of the app, which a server may start when it listens already."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                pid: int = await self._ask("/pid")
                return pid
            except OSError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)

    async def _ask(self, path: str) -> Any:
        return await ask_control(self._place.control, path)

    async def _load(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(until))
            for seat in range(self._place.readers):
                group.create_task(self._sit(until, KEPT_FOR.get(seat % 500)))

    async def _watch(self, until: float) -> None:
        while time.monotonic() < until:
            await asyncio.sleep(1)
            told = await self._take()
            self._seen.peak = max(self._seen.peak, told["open"])
            self._seen.memory.append(_memory_of(self._pid))

    async def _sit(self, until: float, way: Way | None) -> None:
        await asyncio.sleep(self._chance.random() * 2)  # not all in the same moment
        connection: Connection | None = None
        while time.monotonic() < until:
            connection = await self._visit(connection, way or self._any_way())
        if connection is not None:
            connection.close()

    def _any_way(self) -> Way:
        (way,) = self._chance.choices([*VISITS], [*VISITS.values()])
        return way

    async def _visit(self, connection: Connection | None, way: Way) -> Connection | None:
        """Make one visit; return the connection if it can be used again."""
        is_narrow = way in NARROW
        if connection is not None and is_narrow:
            connection.close()
            connection = None
        connection = connection or await Connection.open(self._place.port, narrow=is_narrow)
        visit = Visit(connection, self._target(), self._plan())
        if await self._go(way, visit) and not is_narrow and self._chance.random() < 0.5:
            return connection
        connection.close()
        return None

    def _target(self) -> str:
        return "/django" if self._chance.random() < self._place.django else "/plain"

    def _plan(self) -> Plan:
        kind = "sync" if self._chance.random() < self._place.sync else "async"
        tokens = self._chance.randrange(5, 15)
        return Plan(next(self._numbers), kind, tokens, size=self._chance.randrange(8, 80))

    async def _go(self, way: Way, visit: Visit) -> bool:
        number = visit.plan.number
        began = time.monotonic()
        try:
            again = await way(visit)
        except (Fault, Cut, OSError, ValueError) as error:
            lasted = time.monotonic() - began
            self._fault(
                f"{way.__name__}: {visit}: {error!r} after {visit.read} tokens, {lasted:.1f} s"
            )
            again, visit.ends, visit.may_not_begin = False, {*visit.ends, "disconnected"}, True
        self._seen.visits[way.__name__] += 1
        self._seen.tokens += visit.read
        if number in self._told:
            self._compare(visit, *self._told.pop(number))
        else:
            self._expected[number] = visit
        return again

    async def _take(self) -> dict[str, Any]:
        told: dict[str, Any] = await self._ask("/take")
        for number, outcome, parts in told["ends"]:
            self._seen.outcomes[outcome] += 1
            if (visit := self._expected.pop(number, None)) is not None:
                self._compare(visit, outcome, parts)
            elif number in self._told:
                self._fault(f"{number} was told of twice")
            else:
                self._told[number] = outcome, parts
        for fault in told["faults"]:
            self._fault(fault)
        return told

    def _compare(self, visit: Visit, outcome: str, parts: int) -> None:
        if outcome not in visit.ends:
            self._fault(f"{visit}: the server says {outcome}, and the reader {sorted(visit.ends)}")
        if visit.ended is not None and parts != visit.read:
            self._fault(f"{visit}: the server says {parts} tokens, and the reader {visit.read}")

    def _fault(self, text: str) -> None:
        if text not in self._seen.faults:
            self._seen.faults.append(text)

    async def _drain(self, wanted: Counts) -> None:
        """Wait until all is over at the server, and what is left is what is wanted."""
        deadline = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < deadline:
            told = await self._take()
            if not (told["open"] or told["unfinished"]):
                self._seen.after = await self._ask("/counts")
                if not (self._seen.left() if wanted else self._objects()):
                    break
            await asyncio.sleep(0.2)
        for visit in self._expected.values():
            if not visit.may_not_begin:
                self._fault(f"{visit}: the server never told of its end")
        for number in self._told:
            self._fault(f"the server told of {number}, which nobody asked for")
        self._expected.clear()
        self._told.clear()
        if told["open"] or told["unfinished"]:
            self._fault(f"{told['open']} sources stayed open, {told['unfinished']} unfinished")

    def _objects(self) -> int:
        return sum(self._seen.after["objects"].values())


def _memory_of(pid: int) -> int:
    """Return a process's share of the memory that it uses, in bytes."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    raise RuntimeError("the kernel tells no Pss")
