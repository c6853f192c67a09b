"""example_projects/flask_chat under gunicorn's threads, over real sockets."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tokenstream.sources import smollm2
from tokenstream.testing import read_stream

from ..needs import need_checkout, need_module
from ..servers.serving import Server, python

need_module("gunicorn")
need_module("flask")

SECONDS = 30.0
EXAMPLE = need_checkout() / "example_projects" / "flask_chat"

# An app of the example whose model asks the test for leave: a byte for each token.
PACED = """
import os, socket
from app import create_app

def paced(messages):
    with socket.create_connection(("127.0.0.1", int(os.environ["PACE_PORT"]))) as pace:
        try:
            number = 0
            while pace.recv(1):
                number += 1
                yield f"{messages[-1]['content']}{number} "
                pace.sendall(b"y")
        finally:
            pace.sendall(b"c")
            while pace.recv(1):  # what comes too late must not reset the connection
                pass

app = create_app(paced)
"""


def serve(folder: Path, *arguments: str, **env: str) -> Server:
    command = python(
        "-m", "gunicorn", "--config", str(EXAMPLE / "gunicorn.conf.py"),
        "--pythonpath", f"{EXAMPLE},{folder}", "--bind", "127.0.0.1:{port}", *arguments,
    )  # fmt: skip
    return Server(command, folder, env)


class Visitor:
    """A browser, so far as it goes: it has the page's token and the session's cookie."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=SECONDS, trust_env=False)
        page = self.http.get("/").raise_for_status().text
        (self.csrf,) = re.findall(r'<meta name="csrf" content="([^"]+)">', page)

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def ask(self, content: str, **headers: str) -> Any:
        return self.http.stream(
            "POST",
            "/chat",
            headers={"X-CSRF-Token": self.csrf} | headers,
            json={"messages": [{"role": "user", "content": content}]},
        )

    def post(self, body: Any, **headers: str) -> httpx.Response:
        return self.http.post("/chat", headers={"X-CSRF-Token": self.csrf} | headers, json=body)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = serve(tmp_path_factory.mktemp("flask_chat"))
    yield server
    server.stop()


@pytest.fixture
def visitor(server: Server) -> Iterator[Visitor]:
    with Visitor(server.url) as visitor:
        yield visitor


def test_a_reply(visitor: Visitor) -> None:
    with visitor.ask("Hello") as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        reply = read_stream(response).read()
    assert reply.done
    assert reply.text.startswith("You said: “Hello”.")
    assert len(reply.tokens) > 20


def test_without_the_token_of_the_session(visitor: Visitor, server: Server) -> None:
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    assert visitor.post(body, **{"X-CSRF-Token": "another"}).status_code == 403
    visitor.http.cookies.clear()
    assert visitor.post(body).status_code == 403
    assert visitor.post(body, **{"X-CSRF-Token": ""}).status_code == 403


@pytest.mark.parametrize(
    "body", ["text", [], {}, {"messages": []}, {"messages": [{"role": "system", "content": "x"}]}]
)
def test_what_is_no_conversation(visitor: Visitor, body: Any) -> None:
    assert visitor.post(body).status_code == 400


def test_what_is_too_large(visitor: Visitor) -> None:
    body = {"messages": [{"role": "user", "content": "x" * (2 << 20)}]}
    assert visitor.post(body).status_code == 413


class Pace:
    """The test's end of the paced model."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(SECONDS)
        self.port = self._listener.getsockname()[1]
        self._wire: socket.socket | None = None

    def start(self) -> threading.Thread:
        """Wait for the model in a thread, and let its first token go."""
        thread = threading.Thread(target=self._accept)
        thread.start()
        return thread

    def _accept(self) -> None:
        self._wire, _ = self._listener.accept()
        self._wire.settimeout(SECONDS)
        self.release()

    def release(self) -> None:
        """Let one token go."""
        assert self._wire
        self._wire.sendall(b"1")

    def news(self) -> bytes:
        """Return b"y" where the model went on after a token, b"c" where it was closed."""
        assert self._wire
        return self._wire.recv(1)

    def hang_up(self) -> None:
        """Let the model's clean-up end."""
        if self._wire is not None:
            self._wire.close()

    def close(self) -> None:
        self.hang_up()
        self._listener.close()


@pytest.fixture(scope="module")
def pace_listener() -> Iterator[Pace]:
    pace = Pace()
    yield pace
    pace.close()


@pytest.fixture(scope="module")
def paced(tmp_path_factory: pytest.TempPathFactory, pace_listener: Pace) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("flask_chat_paced")
    (folder / "paced.py").write_text(PACED, encoding="utf-8")
    server = serve(folder, "paced:app", PACE_PORT=str(pace_listener.port))
    yield server
    server.stop()


def until_closed(pace: Pace) -> None:
    """Let it go on until it is closed: a source that waits in C can't be interrupted."""
    pace.release()
    while pace.news() != b"c":
        pace.release()
    pace.hang_up()


def test_lock_step_and_leaving(paced: Server, pace_listener: Pace) -> None:
    accepting = pace_listener.start()
    with Visitor(paced.url) as visitor, visitor.ask("n") as response:
        tokens = []
        for event in read_stream(response, limit=5):
            tokens.append(event.data)
            if len(tokens) < 5:
                pace_listener.release()
                assert pace_listener.news() == b"y"
    accepting.join()
    assert tokens == [f'{{"token":"n{number} "}}' for number in range(1, 6)]
    until_closed(pace_listener)


@pytest.mark.needs("chromium")
def test_the_page(server: Server, paced: Server, pace_listener: Pace) -> None:
    from playwright.sync_api import expect, sync_playwright

    from ..needs import need_program

    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=need_program("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page()
        page.goto(server.url)
        page.get_by_label("Message").fill("Hi there")
        page.get_by_role("button", name="Send").click()
        answer = page.locator(".assistant")
        expect(answer).to_contain_text("You said: “Hi there”.")
        expect(answer).to_contain_text("for a real one.", timeout=SECONDS * 1000)
        expect(page.get_by_role("button", name="Send")).to_be_enabled()

        page.goto(paced.url)
        accepting = pace_listener.start()
        page.get_by_label("Message").fill("n")
        page.get_by_label("Message").press("Enter")
        expect(answer).to_have_text("n1 ")
        accepting.join()
        pace_listener.release()
        expect(answer).to_have_text("n1 n2 ")
        page.get_by_role("button", name="Stop").click()
        expect(answer).to_have_text("n1 n2 (stopped)", timeout=SECONDS * 1000)
        browser.close()
    until_closed(pace_listener)


@pytest.mark.model
@pytest.mark.timeout(600)
def test_a_reply_of_smollm2(tmp_path: Path) -> None:
    need_module("torch")
    need_module("transformers")
    smollm2.prepare()  # its time is not the server's
    cache = os.fspath(smollm2.cache_folder())
    server = serve(tmp_path, FLASK_CHAT_MODEL="smollm2", TOKENSTREAM_CACHE=cache)
    try:
        question = "What is the capital of France?"
        with Visitor(server.url) as visitor, visitor.ask(question) as response:
            reply = read_stream(response, timeout=120).read()
        assert reply.done
        assert "Paris" in reply.text
        assert len(reply.tokens) > 3
    finally:
        server.stop()
