"""The code blocks of a page of the docs, so that a test can run what is written there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

__all__ = ["HERE", "ROOT", "blocks", "python_blocks", "run_page", "run_up_to"]

ROOT = Path(__file__).parent.parent

HERE = "http://127.0.0.1:8000"
"""Where a page's clients find the app that stands before them."""

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


def python_blocks(page: str) -> list[str]:
    """Return the Python blocks of `page`."""
    return blocks(page, "python")


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of a language, padded so that a traceback names the page's own line."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = [match for match in _BLOCK.finditer(text) if match[1] == language]
    return ["\n" * text[: match.start(2)].count("\n") + match[2] for match in found]


def run_page(page: str, **names: Any) -> dict[str, Any]:
    """Run the blocks of `page` one after the other in one namespace, and return it."""
    namespace: dict[str, Any] = {"__name__": "snippet", **names}
    blocks = python_blocks(page)
    assert blocks, f"{page} has no Python blocks"
    for block in blocks:
        exec(compile(block, page, "exec"), namespace)
    return namespace


def run_up_to(page: str, word: str) -> dict[str, Any]:
    """Run the Python blocks of `page` up to the one with `word` in it; return their names.

    Not those that ask a server: they have a test that starts it.
    """
    namespace: dict[str, Any] = {"__name__": "snippet"}
    for block in python_blocks(page):
        if HERE not in block:
            exec(compile(block, page, "exec"), namespace)
        if word in block:
            return namespace
    raise AssertionError(f"{page} has no block with {word}")
