"""example_projects/asgi_chat under uvicorn, over real sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tokenstream.testing import read_stream

from ..needs import need_checkout, need_module, need_program
from ..servers.serving import Server, python

need_module("uvicorn")

SECONDS = 30.0
EXAMPLE = need_checkout() / "example_projects" / "asgi_chat"

# An app of the example whose model asks the test for leave: a byte for each token.
PACED = """
import asyncio, os
from app import chat_app

async def paced(messages):
    reader, writer = await asyncio.open_connection("127.0.0.1", int(os.environ["PACE_PORT"]))
    number = 0
    try:
        while await reader.read(1):
            number += 1
            yield f"{messages[-1]['content']}{number} "
    finally:
        writer.write(b"closed")
        await writer.drain()
        writer.close()

app = chat_app(paced)
"""


def serve(folder: Path, app: str, **env: str) -> Server:
    command = python("-m", "uvicorn", app, "--host", "127.0.0.1", "--port", "{port}")
    return Server(command, folder, {"PYTHONPATH": str(EXAMPLE), **env})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = serve(tmp_path_factory.mktemp("asgi_chat"), "app:app")
    yield server
    server.stop()


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=SECONDS, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def pace() -> Iterator[socket.socket]:
    """Where the paced model connects to, once for each reply."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(SECONDS)
        yield listening


@pytest.fixture(scope="module")
def paced(tmp_path_factory: pytest.TempPathFactory, pace: socket.socket) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("asgi_chat_paced")
    (folder / "paced.py").write_text(PACED, encoding="utf-8")
    server = serve(folder, "paced:app", PACE_PORT=str(pace.getsockname()[1]))
    yield server
    server.stop()


def ask(content: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}]}


def closed(wire: socket.socket) -> bytes:
    """Wait for what the model says when it is closed."""
    return wire.recv(100)


def accept(pace: socket.socket) -> socket.socket:
    """Wait for a model, and let its first token go."""
    wire, _ = pace.accept()
    wire.settimeout(SECONDS)
    wire.sendall(b"1")
    return wire


def read_in_lock_step(response: httpx.Response, wire: socket.socket) -> list[str]:
    tokens: list[str] = []
    for event in read_stream(response, limit=5):
        tokens.append(event.data)
        if len(tokens) < 5:
            wire.sendall(b"1")
    return tokens


def test_a_reply(http: httpx.Client) -> None:
    with http.stream("POST", "/chat", json=ask("Hello")) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        reply = read_stream(response).read()
    assert reply.done
    assert reply.text.startswith("You said: “Hello”.")
    assert len(reply.tokens) > 20


def test_the_page_and_its_reader(http: httpx.Client) -> None:
    page, reader = http.get("/"), http.get("/tokenstream.js")
    assert 'import { stream } from "/tokenstream.js"' in page.text
    assert "export async function* stream" in reader.text
    assert reader.headers["content-type"] == "text/javascript; charset=utf-8"
    assert http.get("/nothing").status_code == 404


@pytest.mark.parametrize(
    "body", ["text", [], {}, {"messages": []}, {"messages": [{"role": "system", "content": "x"}]}]
)
def test_what_is_no_conversation(http: httpx.Client, body: Any) -> None:
    assert http.post("/chat", json=body).status_code == 400


def test_what_is_no_json(http: httpx.Client) -> None:
    headers = {"Content-Type": "application/json"}
    assert http.post("/chat", content=b"{", headers=headers).status_code == 400
    assert http.post("/chat", data=ask("Hello")).status_code == 405
    assert http.get("/chat").status_code == 405


def test_what_is_too_large(http: httpx.Client) -> None:
    assert http.post("/chat", json=ask("x" * (65 << 10))).status_code == 413


def test_lock_step_and_leaving(paced: Server, pace: socket.socket) -> None:
    with (
        ThreadPoolExecutor(1) as pool,
        httpx.Client(timeout=SECONDS, trust_env=False) as client,
    ):
        accepting = pool.submit(accept, pace)  # the response begins with the first token
        with client.stream("POST", f"{paced.url}/chat", json=ask("n")) as response:
            wire = accepting.result(SECONDS)
            tokens = read_in_lock_step(response, wire)
        assert tokens == [f'{{"token":"n{number} "}}' for number in range(1, 6)]
        with wire:
            # The model waits for leave to go on; the reader has gone.
            assert closed(wire) == b"closed"


def test_head_is_answered_before_the_handler(http: httpx.Client) -> None:
    # The handler would say 405.
    head = http.head("/chat")
    assert head.status_code == 200
    assert head.headers["content-type"] == "text/event-stream; charset=utf-8"


def test_the_page_in_a_browser(paced: Server, pace: socket.socket) -> None:
    chromium = need_program("chromium")
    playwright = need_module("playwright.sync_api")
    playwright.expect.set_options(timeout=SECONDS * 1000)
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.goto(paced.url)
        page.get_by_label("Your message").fill("n")
        page.keyboard.press("Enter")
        with accept(pace) as wire:
            for text in ("n1 ", "n1 n2 ", "n1 n2 n3 "):
                playwright.expect(page.locator(".assistant")).to_have_text(text)
                if text != "n1 n2 n3 ":
                    wire.sendall(b"1")
            page.get_by_role("button", name="Stop").click()
            assert closed(wire) == b"closed"
        playwright.expect(page.get_by_role("button", name="Send")).to_be_visible()
        browser.close()
