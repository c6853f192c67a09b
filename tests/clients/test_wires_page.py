"""What docs/wires.md says, run as it stands: its clients ask its servers."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from ..needs import need_checkout, need_module
from ..snippets import HERE, python_blocks
from .serving import AppServer

need_checkout()
for _client in ("openai", "anthropic", "httpx_sse"):
    need_module(_client)


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
    assert asked == 6
