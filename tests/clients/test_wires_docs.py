"""The snippets of docs/wires.md that Node runs, each against the server of the page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.needs import need_module

from ..snippets import HERE, blocks, run_up_to
from .node_client import node_prints

need_module("uvicorn")
from tokenstream.asgi import App, Receive, Scope, Send
from tokenstream.probe.server import Server, bind

PAGE = "docs/wires.md"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    page = run_up_to(PAGE, "agent = ")
    apps: dict[str, App] = {"/agent": page["agent"]}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await apps[scope["path"]](scope, receive, send)

    with Server(app, bind("127.0.0.1", 0)) as server:
        yield server


def printed(server: Server, word: str) -> str:
    """What the page's block with `word` in it prints."""
    [code] = [block for block in blocks(PAGE, "js") if word in block]
    assert HERE in code
    return node_prints(code.replace(HERE, server.url))


def test_ag_ui(server: Server) -> None:
    assert printed(server, "@ag-ui/client") == "Hello (3 messages)\n"
