"""What one stream of the soak does, as client and server both know it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from urllib.parse import urlencode

__all__ = ["KEEP_ALIVE", "SEND_TIMEOUT", "Plan", "Planned"]

KEEP_ALIVE = 1.0
SEND_TIMEOUT = 8.0


class Planned(Exception):
    """What a source raises where its plan says so."""


@dataclass(frozen=True)
class Plan:
    """One stream.

    number: no other stream has it. tokens: how many, if it does not fail before.
    size: bytes of each. gap: the longest pause before each, in seconds.
    silence: seconds, before the token in the middle. fails_at: after so many
    tokens, -1 for never.
    """

    number: int
    kind: str = "async"
    tokens: int = 10
    size: int = 8
    gap: float = 0.9
    silence: float = 0.0
    fails_at: int = -1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Plan:
        """Return the plan that a request's query holds."""
        types = {"str": str, "int": int, "float": float}
        return cls(**{it.name: types[str(it.type)](query[it.name]) for it in fields(cls)})

    def query(self) -> str:
        """Return the query that holds it."""
        return urlencode(asdict(self))

    def token(self, index: int) -> str:
        """Return a token that no other place of no other stream has."""
        return f"{self.number}.{index} ".ljust(self.size, "x")

    def steps(self) -> Iterator[float | str]:
        """Yield pauses and tokens, the same ones each time; raise `Planned` if it is to fail."""
        chance = random.Random(self.number)
        for index in range(self.tokens):
            if index == self.fails_at:
                raise Planned(index)
            pause = chance.random() * self.gap
            yield self.silence if self.silence and index == self.tokens // 2 else pause
            yield self.token(index)
