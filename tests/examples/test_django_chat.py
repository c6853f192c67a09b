"""example_projects/django_chat under its three servers, over real sockets and a database file."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path

import httpx
import pytest

from tokenstream.errors import ModelNotLoaded
from tokenstream.sources import smollm2
from tokenstream.testing import Transcript, read_stream

from ..needs import missing, need_module, need_program
from ..servers.client import WATCHDOG, wait_until
from ..servers.serving import Server, python

for module in ("gunicorn", "uvicorn"):
    need_module(module)
django = need_module("django")

# Before 6.1 the GZip in the project's middleware would hold the stream back.
ENCODING = "identity" if django.VERSION < (6, 1) else "gzip"

MODEL_SECONDS = 300.0
"""A model's watchdog: torch alone takes long to import on a busy machine."""

EXAMPLE = Path(__file__).parents[2] / "example_projects" / "django_chat"

SERVERS = {
    "runserver": python(str(EXAMPLE / "manage.py"), "runserver", "--noreload", "{port}"),
    "gunicorn": python(
        "-m",
        "gunicorn",
        "mysite.wsgi",
        "-k",
        "gthread",
        "--threads",
        "16",
        "-b",
        "127.0.0.1:{port}",
    ),
    "uvicorn": python("-m", "uvicorn", "mysite.asgi:application", "--port", "{port}"),
}

# The project's own settings, with a model that takes a permit for each token after the first.
PACED_SETTINGS = """
from mysite.settings import *

CHAT_MODEL = "paced.answer"
ROOT_URLCONF = "paced"
"""
PACED = """
from itertools import chain, count

from django.http import HttpResponse
from django.urls import include, path
from tokenstream.testing import WAIT, ScriptedSource

sources = []

def answer(messages):
    tokens = (f"{message['role']}: {message['content']}; " for message in messages)
    if messages[-1]["content"] == "endless":
        tokens = chain(tokens, map(str, count()))
    source = ScriptedSource(script=(step for token in tokens for step in (token, WAIT)))
    sources.append(source)
    return source

def release(request):
    for source in sources:
        source.release()
    return HttpResponse()

urlpatterns = [path("release", release), path("", include("mysite.urls"))]
"""


def manage(*arguments: str, **env: str) -> None:
    command = python(str(EXAMPLE / "manage.py"), *arguments)
    subprocess.run(command, env={**os.environ, **env}, check=True)


class Site:
    """The project under one server, with a database of its own."""

    def __init__(self, command: tuple[str, ...], folder: Path, **env: str) -> None:
        self._database = folder / "chat.sqlite3"
        (folder / "paced.py").write_text(PACED)
        (folder / "paced_settings.py").write_text(PACED_SETTINGS)
        env = {
            "PYTHONPATH": os.pathsep.join([str(EXAMPLE), str(folder)]),
            "DJANGO_CHAT_DATABASE": str(self._database),
            **env,
        }
        manage("migrate", "-v", "0", **env)
        self.server = Server(command, folder, env)

    def stored(self) -> list[tuple[str, str, str]]:
        """Return role, text and outcome of the newest conversation's messages."""
        with closing(sqlite3.connect(self._database)) as database:
            rows = database.execute(
                "select role, text, outcome from chat_message where conversation_id ="
                " (select max(id) from chat_conversation) order by id"
            )
            return rows.fetchall()


class Visitor:
    """A browser, so far as it goes: it has the page's CSRF token, and cookies."""

    def __init__(self, url: str, timeout: float = WATCHDOG) -> None:
        limits = httpx.Limits(max_keepalive_connections=0)
        self.http = httpx.Client(base_url=url, timeout=timeout, limits=limits, trust_env=False)
        (self.csrf,) = set(re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', self.page()))

    def page(self) -> str:
        return self.http.get("/chat/").raise_for_status().text

    def ask(self, text: object) -> AbstractContextManager[httpx.Response]:
        return self.http.stream("POST", "/chat/reply", **self._question(text))

    def post(self, text: object) -> httpx.Response:
        return self.http.post("/chat/reply", **self._question(text))

    def _question(self, text: object) -> dict[str, dict[str, object]]:
        return {"headers": {"X-CSRFToken": self.csrf}, "json": {"text": text}}


@pytest.fixture(scope="module", params=SERVERS)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp(request.param)
    site = Site(SERVERS[request.param], folder, DJANGO_SETTINGS_MODULE="paced_settings")
    yield site
    site.server.stop()


@pytest.fixture
def visitor(site: Site) -> Iterator[Visitor]:
    visitor = Visitor(site.server.url)
    yield visitor
    visitor.http.close()


def release(visitor: Visitor) -> None:
    visitor.http.get("/release").raise_for_status()


def test_lock_step_and_what_is_stored(site: Site, visitor: Visitor) -> None:
    for question in ("one", "two"):
        with visitor.ask(question) as response:
            assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert response.headers["content-encoding"] == ENCODING
            reader = read_stream(response)
            for _ in reader:
                release(visitor)  # the next token is not made before this one was read
        assert reader.transcript.done
    first = "user: one; "
    second = f"user: one; assistant: {first}; user: two; "
    assert reader.transcript.text == second
    assert len(reader.transcript.tokens) == 3
    said = [("user", "one", ""), ("assistant", first, "completed")]
    said += [("user", "two", ""), ("assistant", second, "completed")]
    wait_until(lambda: site.stored() == said, "both replies were stored")
    assert second in visitor.page()


def test_a_reader_that_leaves_half_way(site: Site, visitor: Visitor) -> None:
    with visitor.ask("endless") as response:
        for _ in read_stream(response):
            break

    def is_stored() -> bool:
        release(visitor)
        return len(site.stored()) == 2

    wait_until(is_stored, "the reply was stored")
    question, (role, text, outcome) = site.stored()
    assert question == ("user", "endless", "")
    assert (role, outcome) == ("assistant", "disconnected")
    assert text.startswith("user: endless; ")
    assert "(disconnected)" in visitor.page()


def test_without_the_csrf_token(site: Site, visitor: Visitor) -> None:
    before = site.stored()
    visitor.csrf = ""
    assert visitor.post("hello").status_code == 403
    assert site.stored() == before


@pytest.mark.parametrize("text", ["", "  ", None, 7, "x" * 4001])
def test_what_is_no_question(visitor: Visitor, text: object) -> None:
    answer = visitor.post(text)
    assert (answer.status_code, answer.json()) == (400, {"error": "Send 1 to 4000 characters."})


def test_the_page_that_was_there_before(visitor: Visitor) -> None:
    form = {"text": "buy <milk>", "csrfmiddlewaretoken": visitor.csrf}
    home = visitor.http.post("/", data=form, follow_redirects=True)
    assert home.status_code == 200
    assert "<li>buy &lt;milk&gt;</li>" in home.text


def test_the_files_of_the_page(visitor: Visitor) -> None:
    for path in ("/static/chat/chat.js", "/static/tokenstream/tokenstream.js"):
        assert visitor.http.get(path).headers["content-type"].startswith("text/javascript")


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("site", ["uvicorn"], indirect=True)
def test_the_page_in_a_browser(site: Site, visitor: Visitor) -> None:
    need_module("playwright")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=WATCHDOG * 1000)
    with sync_playwright() as play:
        chromium = need_program("chromium")
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"{site.server.url}/chat/")
        answers = page.locator(".assistant")

        page.get_by_label("Message").fill("<b>")
        page.get_by_role("button", name="Send").click()
        expect(answers).to_have_text("user: <b>; ")  # and the next token not made
        expect(page.get_by_role("button", name="Send")).to_be_disabled()
        release(visitor)
        expect(page.get_by_role("button", name="Send")).to_be_enabled()

        page.get_by_label("Message").fill("endless")
        page.get_by_label("Message").press("Enter")
        expect(answers.nth(1)).to_contain_text("user: <b>;")
        page.get_by_role("button", name="Stop").click()
        expect(answers.nth(1)).to_contain_text("(disconnected)")

        def is_stored() -> bool:
            release(visitor)
            return len(site.stored()) == 4

        wait_until(is_stored, "the second reply was stored")
        page.reload()
        expect(answers).to_have_count(2)
        expect(answers.nth(0)).to_have_text("user: <b>; ")
        expect(answers.nth(1)).to_contain_text("(disconnected)")
        page.get_by_role("button", name="New chat").click()
        expect(answers).to_have_count(0)
        browser.close()


def ask_once(folder: Path, question: str, **env: str) -> Transcript:
    """Ask the project as it is, with its own settings, under the server of its README."""
    site = Site(SERVERS["runserver"], folder, **env)
    visitor = Visitor(site.server.url, MODEL_SECONDS)
    try:
        with visitor.ask(question) as response:
            reply = read_stream(response, timeout=MODEL_SECONDS).read()
        wait_until(lambda: len(site.stored()) == 2, "the reply was stored")
        assert site.stored()[1] == ("assistant", reply.text, "completed")
    finally:
        visitor.http.close()
        site.server.stop()
    return reply


def test_the_models_have_their_migrations(tmp_path: Path) -> None:
    manage("makemigrations", "--check", DJANGO_CHAT_DATABASE=str(tmp_path / "chat.sqlite3"))


def test_the_script(tmp_path: Path) -> None:
    reply = ask_once(tmp_path, "Hello?")
    assert reply.done
    assert reply.text.startswith("You said: “Hello?”.")
    assert len(reply.tokens) > 20


@pytest.mark.model
@pytest.mark.timeout(600)
def test_smollm2(tmp_path: Path) -> None:
    need_module("torch")
    need_module("transformers")
    try:
        smollm2.prepare()  # its time is not the server's
    except ModelNotLoaded as error:
        missing(str(error))
    cache = str(smollm2.cache_folder())
    question = "What is the capital of France?"
    reply = ask_once(tmp_path, question, DJANGO_CHAT_MODEL="smollm2", TOKENSTREAM_CACHE=cache)
    assert reply.done
    assert "Paris" in reply.text
    assert len(reply.tokens) > 3
