"""The pages of docs/wires.md for htmx, each with the server of the page."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tokenstream.asgi import Receive, Scope, Send, send_whole
from tokenstream.reconnect import Answer

from ..needs import missing
from ..snippets import blocks, run_up_to
from .serving import HTML, serve
from .test_htmx import MODULES

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

PAGE = "docs/wires.md"

FILE = re.compile(r"https://cdn\.jsdelivr\.net/npm/([a-z.-]+)@(([0-9]+)[0-9.]+)/(.*)")


def fulfill(route: Route) -> None:
    """Answer with the file of the package that npm installed, at the version that is asked for."""
    found = FILE.fullmatch(route.request.url)
    assert found, route.request.url
    name, version, major, path = found.groups()
    package = MODULES / (f"htmx{major}" if name == "htmx.org" else name)
    assert json.loads((package / "package.json").read_text())["version"] == version
    route.fulfill(path=package / path, content_type="text/javascript")


@pytest.mark.parametrize("version", [2, 4])
def test_htmx(page: Page, version: int) -> None:
    if not MODULES.exists():
        missing("needs Node's clients: run `make node-clients`")
    [html] = [block for block in blocks(PAGE, "html") if f"htmx.org@{version}" in block]
    reply = run_up_to(PAGE, 'token_stream("html")')["reply"]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/":
            await send_whole(send, Answer(200, HTML, f"<!doctype html>{html}".encode()))
        else:
            await reply(scope, receive, send)

    page.route("https://cdn.jsdelivr.net/**", fulfill)
    with serve(app) as server:
        page.goto(server.url)
        page.wait_for_function("document.getElementById('reply').innerText.endsWith('It is.')")
        assert page.evaluate("reply.innerText") == "Is 1 < 2?\nIt is."
        assert page.evaluate("failure.innerText") == ""
