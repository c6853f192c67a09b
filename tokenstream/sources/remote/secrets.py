"""What is never told: the key, and what else a request says who asks by."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["Secrets"]

_HIDDEN = "[redacted]"
_SHORTEST = 4
"""Characters: what is shorter is no secret, and hiding it would garble any text."""


class Secrets:
    """Takes a request's secrets out of what its upstream says.

    key: hidden also where an upstream shows its beginning ("sk-pr****wxyz").
    values: what else came with the request, its own headers say.
    """

    def __init__(self, key: str | None, values: Iterable[str] = ()) -> None:
        words = {word for value in values for word in (value, value.rpartition(" ")[2])}
        patterns = [re.escape(word) for word in words if len(word) >= _SHORTEST]
        if key and len(key) >= _SHORTEST:
            patterns.append(re.escape(key[: _beginning(key)]) + r"[^\s\"'<>]*")
        patterns.sort(key=len, reverse=True)
        self._pattern = re.compile("|".join(patterns), re.IGNORECASE) if patterns else None

    def hide(self, text: str) -> str:
        """Return `text` without them."""
        return text if self._pattern is None else self._pattern.sub(_HIDDEN, text)


def _beginning(key: str) -> int:
    # What an upstream that masks a key leaves of it: five characters, or "sk-proj-" and more.
    return min(len(key), max(_SHORTEST, min(6, len(key) // 3)))
