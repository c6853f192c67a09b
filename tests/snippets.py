"""The code blocks of a page of the docs, so that a test can run what is written there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "blocks", "python_blocks", "run_page"]

ROOT = Path(__file__).parent.parent


def python_blocks(page: str) -> list[str]:
    """Return the Python blocks of `page`, padded so that a traceback names the page's own line."""
    return blocks(page, "python")


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of `page` in a language, padded to the page's own lines."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)
    return ["\n" * text[: m.start(1)].count("\n") + m.group(1) for m in found]


def run_page(page: str, **names: Any) -> dict[str, Any]:
    """Run the blocks of `page` one after the other in one namespace, and return it."""
    namespace: dict[str, Any] = {"__name__": "snippet", **names}
    blocks = python_blocks(page)
    assert blocks, f"{page} has no Python blocks"
    for block in blocks:
        exec(compile(block, page, "exec"), namespace)
    return namespace
