"""What is never told: the key, and what else a request says who asks by."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

__all__ = ["Secrets", "secret_values"]

_HIDDEN = "[redacted]"
_SHORTEST = 4
"""Characters: what is shorter is no secret, and hiding it would garble any text."""

_LONG = 8
"""Characters from which on a secret is looked for inside words, too."""

_RANDOM = 20
"""Characters from which on a piece of a secret is one: dummy keys and passwords are shorter."""

_PIECE = 12
"""Characters in a row, of a long secret, that no text has by chance."""

_SHOWN = range(24, _SHORTEST - 1, -1)
"""Characters that an upstream which masks a key leaves of its beginning."""

_MASK = r"(?:[*•]{2,}|\.{3}|…)"
_REST = r"[^\s\"'<>]*"

_SECRET_NAME = re.compile("auth|key|token|secret|cookie|passw|credential|signature", re.IGNORECASE)
_WORD = re.compile(r"[^\s;,=]+(?==*(?:[\s;,]|$))")


class Secrets:
    """Takes a request's secrets out of what its upstream says.

    key: hidden also where an upstream masks it ("sk-pr****wxyz"), and a piece of it
        where it is long. A short word of letters alone ("EMPTY", "ollama") is none:
        it stands for a key where none is needed.
    values: what else came with the request, its own headers say.
    """

    def __init__(self, key: str | None, values: Iterable[str] = ()) -> None:
        self._words = {key or "", *(word for value in values for word in _words(value))}

    def hide(self, text: str) -> str:
        """Return `text` without them."""
        return text if self._pattern is None else self._pattern.sub(_HIDDEN, text)

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        # Only once something failed: it takes milliseconds.
        words = sorted(self._words, key=len, reverse=True)
        patterns = [pattern for word in words for pattern in _patterns(word)]
        return re.compile("|".join(patterns), re.IGNORECASE) if patterns else None


def secret_values(headers: Mapping[str, str]) -> list[str]:
    """Return the values of the headers that are named as what tells who asks."""
    return [value for name, value in headers.items() if _SECRET_NAME.search(name)]


def _words(value: str) -> set[str]:
    """Return a header's value, and what may be repeated of it: "Bearer x", "a=x; b=y"."""
    return {value, value.rpartition(" ")[2], *(it for it in _WORD.findall(value) if len(it) > 7)}


def _patterns(word: str) -> Iterator[str]:
    if len(word) < _SHORTEST or (len(word) < _LONG and word.isalpha()):
        return
    if len(word) < _LONG:
        yield rf"(?<![\w-]){re.escape(word)}(?![\w-])"
        return
    if len(word) >= _RANDOM and not re.search(r"\s", word):
        pieces = {re.escape(word[at : at + _PIECE]) for at in range(len(word) - _PIECE + 1)}
        yield f"(?:{'|'.join(sorted(pieces))}){_REST}"
    yield re.escape(word)
    shown = (re.escape(word[:length]) for length in _SHOWN if length < len(word))
    yield f"(?:{'|'.join(shown)}){_MASK}{_REST}"
