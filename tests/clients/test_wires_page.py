"""What docs/wires.md says, run as it stands: its clients ask its servers."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from ..needs import need_checkout, need_module
from ..snippets import python_blocks
from .serving import AppServer

need_checkout()
need_module("openai")

HERE = "http://127.0.0.1:8000"
"""Where the page's clients find the `app` that stands before them."""


def test_the_page() -> None:
    namespace: dict[str, Any] = {"__name__": "snippet"}
    asked = 0
    for block in python_blocks("docs/wires.md"):
        with ExitStack() as stack:
            if HERE in block:
                server = stack.enter_context(AppServer(namespace["app"]))
                block = block.replace(HERE, server.url)
                asked += 1
            exec(compile(block, "docs/wires.md", "exec"), namespace)
    assert asked >= 2
