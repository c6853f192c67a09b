"""The chat page in a real browser, in lock-step with the source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from tokenstream import Finish, Usage
from tokenstream.errors import PromptTooLong
from tokenstream.probe.app import BODY_LIMIT, chat_app
from tokenstream.probe.builtin import reply
from tokenstream.probe.server import Server
from tokenstream.testing import WAIT, AsyncScriptedSource, ScriptedSource

from ..needs import need_module
from .serving import Relay, serve

need_module("playwright.sync_api")
from playwright.sync_api import Dialog, Page, expect

Messages: TypeAlias = list[dict[str, str]]

WATCHDOG_SECONDS = 20


class Model:
    """Answers with one source after another, and remembers what it was asked."""

    def __init__(self, *sources: object) -> None:
        self._sources = iter(sources)
        self.asked: list[Messages] = []

    def __call__(self, messages: Messages) -> object:
        self.asked.append(messages)
        return next(self._sources)


@contextmanager
def chat(page: Page, *sources: object, note: str = "") -> Iterator[tuple[Server, Model]]:
    model = Model(*sources)
    with serve(chat_app(model, name="scripted", note=note)) as server:
        page.goto(server.url)
        yield server, model


def say(page: Page, text: str) -> None:
    page.get_by_label("Your message").fill(text)
    page.keyboard.press("Enter")


def replies(page: Page) -> list[str]:
    return page.locator(".assistant .text").all_text_contents()


def test_text_arrives_while_the_stream_is_open(page: Page) -> None:
    source = ScriptedSource("Hel", WAIT, "lo 👩‍🚀", WAIT, Usage(3, 2), Finish("length"))
    with chat(page, source):
        say(page, "Hi")
        text = page.locator(".assistant .text")
        expect(text).to_have_text("Hel")
        expect(text).to_have_attribute("aria-busy", "true")
        expect(page.locator(".user .text")).to_have_text("Hi")
        assert source.yielded == 1
        source.release()
        expect(text).to_have_text("Hello 👩‍🚀")
        assert not source.closed.is_set()
        source.release()
        expect(page.locator(".stats")).to_contain_text("2 tokens")
        expect(page.locator(".stats")).to_contain_text("first token after")
        expect(page.locator(".stats")).to_contain_text("tokens/s")
        expect(page.locator(".stats")).to_contain_text("cut at its longest")
        expect(text).not_to_have_attribute("aria-busy", "true")
        expect(page.get_by_role("button", name="Send")).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(0)


def test_stop_button_stops_the_source(page: Page) -> None:
    source = AsyncScriptedSource("Once upon", WAIT, " a time")
    with chat(page, source):
        say(page, "Tell me")
        expect(page.locator(".assistant .text")).to_have_text("Once upon")
        page.get_by_role("button", name="Stop").click()
        assert source.closed.wait(WATCHDOG_SECONDS)
        expect(page.locator(".stats")).to_contain_text("stopped")
        expect(page.get_by_role("alert")).to_have_count(0)
        assert replies(page) == ["Once upon"]


def test_escape_stops_before_the_first_token(page: Page) -> None:
    source = AsyncScriptedSource(WAIT, "never")
    with chat(page, source):
        say(page, "Tell me")
        assert source.started.wait(WATCHDOG_SECONDS)
        page.keyboard.press("Escape")
        assert source.closed.wait(WATCHDOG_SECONDS)
        expect(page.locator(".stats")).to_have_text("stopped")
        # Nothing came of it, so it can be sent again.
        expect(page.get_by_label("Your message")).to_have_value("Tell me")


def test_closing_the_page_stops_the_source(page: Page) -> None:
    source = AsyncScriptedSource("Once", WAIT)
    with chat(page, source):
        say(page, "Tell me")
        expect(page.locator(".assistant .text")).to_have_text("Once")
        page.close()
        assert source.closed.wait(WATCHDOG_SECONDS)


def test_new_chat_stops_the_source_and_forgets(page: Page) -> None:
    source, second = AsyncScriptedSource("Once", WAIT), ["fresh"]
    with chat(page, source, second) as (_, model):
        say(page, "first")
        expect(page.locator(".assistant .text")).to_have_text("Once")
        page.get_by_role("button", name="New chat").click()
        assert source.closed.wait(WATCHDOG_SECONDS)
        expect(page.locator("article")).to_have_count(0)
        say(page, "second")
        expect(page.locator(".assistant .text")).to_have_text("fresh")
        assert model.asked[1] == [{"role": "user", "content": "second"}]


def test_each_message_is_sent_with_those_before(page: Page) -> None:
    with chat(page, ["one", " two"], ["three"]) as (_, model):
        say(page, "first")
        expect(page.locator(".stats")).to_have_count(1)
        say(page, "second")
        expect(page.locator(".stats")).to_have_count(2)
        assert replies(page) == ["one two", "three"]
        assert model.asked[1] == [
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "one two"},
            {"role": "user", "content": "second"},
        ]


def test_error_in_the_middle_is_shown_and_what_came_is_kept(page: Page) -> None:
    with chat(page, ScriptedSource("Half of", RuntimeError("secret"))):
        say(page, "Hi")
        expect(page.get_by_role("alert")).to_have_text("generation failed")
        assert replies(page) == ["Half of"]
        assert "secret" not in page.content()
        expect(page.get_by_role("button", name="Send")).to_be_visible()


def test_error_before_the_first_token_is_shown(page: Page) -> None:
    with chat(page, ScriptedSource(RuntimeError("secret")), ["better"]) as (_, model):
        say(page, "Hi")
        expect(page.get_by_role("alert")).to_have_text("Internal Server Error")
        assert "secret" not in page.content()
        expect(page.get_by_label("Your message")).to_have_value("Hi")
        page.keyboard.press("Enter")
        expect(page.locator(".assistant .text").last).to_have_text("better")
        assert model.asked[1] == [{"role": "user", "content": "Hi"}]


def test_message_that_is_too_large_says_so(page: Page) -> None:
    with chat(page) as (_, model):
        say(page, "x" * (BODY_LIMIT + 1))
        expect(page.get_by_role("alert")).to_have_text(
            "This is longer than 64 KB: shorten it, or start a new chat."
        )
        assert model.asked == []


def test_prompt_over_the_context_says_so(page: Page) -> None:
    with chat(page, ScriptedSource(PromptTooLong("the prompt has 9 tokens; at most 8"))):
        say(page, "Hi")
        expect(page.get_by_role("alert")).to_contain_text("9 tokens; at most 8")


def test_cut_connection_is_told_from_an_end(page: Page) -> None:
    source = AsyncScriptedSource("Half", WAIT)
    with serve(chat_app(Model(source))) as server, Relay(server.url) as relay:
        page.goto(relay.url)
        say(page, "Hi")
        expect(page.locator(".assistant .text")).to_have_text("Half")
        relay.cut()
        expect(page.get_by_role("alert")).to_have_text("The connection was lost.")
        assert source.closed.wait(WATCHDOG_SECONDS)


def test_server_that_is_gone_is_told(page: Page) -> None:
    with chat(page):
        pass
    say(page, "Hi")
    expect(page.get_by_role("alert")).to_have_text("The server can't be reached.")


def test_text_is_never_markup(page: Page) -> None:
    hostile = '<img src="x" onerror="alert(1)"><b>bold</b>'
    dialogs: list[Dialog] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog))
    with chat(page, [hostile], note=hostile):
        say(page, hostile)
        expect(page.locator(".assistant .text")).to_have_text(hostile)
        expect(page.locator(".user .text")).to_have_text(hostile)
        expect(page.get_by_role("note")).to_have_text(hostile)
        expect(page.locator("img, b")).to_have_count(0)
        assert dialogs == []


def test_shift_enter_makes_a_line_and_enter_sends(page: Page) -> None:
    with chat(page, ["ok"]) as (_, model):
        page.get_by_label("Your message").type("one")
        page.keyboard.press("Shift+Enter")
        page.keyboard.type("two")
        assert model.asked == []
        page.keyboard.press("Enter")
        expect(page.locator(".stats")).to_have_count(1)
        assert model.asked == [[{"role": "user", "content": "one\ntwo"}]]


def test_only_one_reply_at_a_time(page: Page) -> None:
    source = AsyncScriptedSource("Once", WAIT, "!")
    with chat(page, source) as (_, model):
        say(page, "first")
        expect(page.locator(".assistant .text")).to_have_text("Once")
        say(page, "second")
        source.release()
        expect(page.locator(".stats")).to_have_count(1)
        assert len(model.asked) == 1
        expect(page.get_by_label("Your message")).to_have_value("second")


def test_page_follows_the_reply_to_its_end(page: Page) -> None:
    with chat(page, ["line\n" * 200], ["short"]):
        say(page, "Hi")
        expect(page.locator(".stats")).to_be_in_viewport()
        say(page, "again")
        expect(page.locator(".stats").nth(1)).to_be_in_viewport()


def test_nothing_is_loaded_from_elsewhere(page: Page) -> None:
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    with chat(page, ["ok"]) as (server, _):
        say(page, "Hi")
        expect(page.locator(".stats")).to_have_count(1)
        urls = [url for url in seen if not url.startswith("data:")]
        assert len(urls) >= 4  # page, style, two scripts
        assert [url for url in urls if not url.startswith(server.url)] == []


def test_note_is_seen_only_where_there_is_one(page: Page) -> None:
    with chat(page, note="no model here"):
        expect(page.get_by_text("no model here")).to_be_visible()
    with chat(page):
        expect(page.locator("#note")).to_be_hidden()


def test_builtin_script_answers_and_fails_on_request(page: Page) -> None:
    def answer(messages: Messages) -> object:
        return reply(messages)

    with serve(chat_app(answer)) as server:
        page.goto(server.url)
        page.get_by_role("button", name="Why is the sky blue?").click()
        expect(page.locator(".assistant .text")).to_contain_text("arrive whole, too.")
        expect(page.locator(".stats")).to_contain_text("tokens/s")
        say(page, "fail")
        expect(page.get_by_role("alert")).to_have_text("generation failed")
