"""How a value is named in an error: short, and whatever the value does."""

from __future__ import annotations

import reprlib

__all__ = ["LIMIT", "shown", "type_name"]

LIMIT = 60
"""The most characters of a value, or of a type's name, that an error holds."""


class _Repr(reprlib.Repr):
    """Looks at the beginning of what is long."""

    def repr_bytes(self, value: bytes, level: int) -> str:
        return repr(value[:LIMIT])

    repr_bytearray = repr_bytes


_repr = _Repr()
_repr.maxstring = _repr.maxother = LIMIT


def shown(value: object) -> str:
    """Return the `repr` of `value`, cut; of a value whose `repr` raises, its type."""
    try:
        return _cut(_repr.repr(value))
    except Exception:  # an int of a million digits raises, too
        return f"<{type_name(value)}>"


def type_name(value: object) -> str:
    """Return the name of the type of `value`, cut."""
    return _cut(type(value).__name__)


def _cut(text: str) -> str:
    return text if len(text) <= LIMIT else text[: LIMIT - 3] + "..."
