"""htmx 2 with its sse extension and htmx 4 read the wire "html", and start no source twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tokenstream import Html, Wire, WireName, sse
from tokenstream.asgi import Message, Receive, Scope, Send, request_of, send_whole
from tokenstream.reconnect import Answer
from tokenstream.testing import WAIT, AsyncScriptedSource
from tokenstream_asgi import token_stream

from ..clients.scenarios import HOSTILE
from ..needs import missing, need_module
from .serving import HTML, Relay, serve

need_module("playwright.sync_api")
from playwright.sync_api import Page, expect

WATCHDOG_SECONDS = 20

MODULES = Path(__file__).parents[1] / "clients" / "node" / "node_modules"

SCRIPTS = {
    2: ("htmx2/dist/htmx.js", "htmx-ext-sse/sse.js"),
    4: ("htmx4/dist/htmx.js", "htmx4/dist/ext/hx-sse.js"),
}

AGAIN = b"retry: 100\ndata: x\n\n"

HEAD = """<!doctype html><title>htmx {version}</title>{scripts}
<script>
const closed = [];
let again = 0;
for (const name of ["htmx:sseClose", "htmx:sse:close"])
  addEventListener(name, ({{detail}}) => closed.push(detail.type ?? detail.reason), true);
</script>
<style>.pre {{ white-space: pre-wrap }}</style>
<p id="outside">as it was</p>
"""

BODIES = {
    2: """<div hx-ext="sse" sse-connect="/events" sse-close="close"
  hx-on::sse-error="failure.innerHTML = event.detail.error.data ?? ''">
  <p id="reply" sse-swap="message" hx-swap="beforeend"></p>
  <p id="failure"></p>
  <p id="other" sse-swap="tool" hx-swap="innerHTML"></p>
</div>""",
    4: """<p id="reply" hx-sse:connect="/events" hx-sse:close="close" hx-swap="beforeend"
  hx-config="sse.pauseOnBackground:false"
  hx-on:error="failure.innerHTML = event.detail.data"
  hx-on:tool="other.innerHTML = event.detail.data"></p>
<p id="failure"></p><p id="other"></p>""",
}

VERSIONS = pytest.mark.parametrize("version", [2, 4])


@dataclass
class HtmxApp:
    """A page, what it loads, and the endpoint that it reads; what that was asked and answered."""

    page: str
    source: Callable[[], object]
    wire: WireName | Wire = "html"
    last_event_ids: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    runs: int = 0

    def __post_init__(self) -> None:
        @token_stream(self.wire)
        async def events(scope: Scope, receive: Receive) -> object:
            self.runs += 1
            return self.source()

        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._events(scope, receive, send)
        elif scope["path"] == "/events":
            self.last_event_ids.append(request_of(scope).last_event_id)
            await self._events(scope, receive, self._noting(send))
        elif scope["path"] == "/again":
            await send_whole(send, Answer(200, {"Content-Type": sse.MEDIA_TYPE}, AGAIN))
        elif scope["path"].startswith("/node/"):
            script = (MODULES / scope["path"].removeprefix("/node/")).read_bytes()
            await send_whole(send, Answer(200, {"Content-Type": "text/javascript"}, script))
        else:
            await send_whole(send, Answer(200, HTML, self.page.encode()))

    def _noting(self, send: Send) -> Send:
        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.statuses.append(message["status"])
            await send(message)

        return noting


def page_of(version: int, body: str | None = None) -> str:
    if not (MODULES / SCRIPTS[version][0]).exists():
        missing("needs Node's clients: run `make node-clients`")
    scripts = "".join(f'<script src="/node/{path}"></script>' for path in SCRIPTS[version])
    return HEAD.format(version=version, scripts=scripts) + (body or BODIES[version])


def reply(page: Page) -> str:
    text: str = page.evaluate("reply.innerText")
    return text


def wait_for_reply(page: Page, text: str) -> None:
    page.wait_for_function("text => reply.innerText === text", arg=text)


def wait_until_closed(page: Page) -> None:
    page.wait_for_function("closed.length > 0")


def wait_for_others_to_come_back(page: Page) -> None:
    """An EventSource with a wait of 100 ms comes back ten times: htmx, with 500, would have."""
    page.evaluate("new EventSource('/again').onmessage = () => again++")
    page.wait_for_function("again > 10")


def shown(text: str) -> str:
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")


# `retry` is how long a reader waits before it comes back; a page shows nothing of it.
RETRY = sse.Event("<i></i>", retry=20)

MARKUP = [
    "<script>document.body.textContent = 'gone'</script>",
    "<img src=x onerror=alert(1)> &lt;b&gt; &amp",
    '<p id="outside" hx-swap-oob="true">gone</p>',
    '<hx-partial hx-target="#outside">gone</hx-partial>',
    "<div hx-get=/again hx-trigger=load>x</div>",
    "</p></div><title>gone</title><body>",
]


@VERSIONS
def test_tokens_are_shown_one_by_one_and_the_end_closes(page: Page, version: int) -> None:
    tokens = ["Hel", "lo", " ", "world", " 👩\u200d🚀", "\n", "next\r", "\nlast"]
    script = [RETRY, *[step for token in tokens for step in (token, WAIT)]]
    source = AsyncScriptedSource(*script)
    app = HtmxApp(page_of(version), lambda: source)
    with serve(app) as server:
        page.goto(server.url)
        told = ""
        for count, token in enumerate(tokens):
            told += token
            # A space, or a line end, at the end of a line takes no room yet.
            page.wait_for_function(
                "text => reply.innerText.trimEnd() === text", arg=shown(told).rstrip()
            )
            assert source.yielded == count + 2
            source.release()
        wait_until_closed(page)
        assert reply(page) == "Hello world 👩\u200d🚀\nnext\nlast"
        wait_for_others_to_come_back(page)
        assert page.evaluate("closed") == ["message"]
        assert (app.runs, app.statuses) == (1, [200])


@VERSIONS
def test_text_is_never_markup(page: Page, version: int) -> None:
    app = HtmxApp(page_of(version), lambda: [*MARKUP, *HOSTILE])
    dialogs: list[object] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog))
    with serve(app) as server:
        page.goto(server.url)
        wait_until_closed(page)
        assert reply(page) == shown("".join([*MARKUP, *HOSTILE]))
        assert page.title() == f"htmx {version}"
        assert page.evaluate("[...reply.querySelectorAll('*')].map(it => it.tagName)") == (
            ["BR"] * shown("".join(HOSTILE)).count("\n")
        )
        expect(page.locator("#outside")).to_have_text("as it was")
        assert dialogs == []


@VERSIONS
def test_line_ends_that_stay_show_where_the_style_keeps_them(page: Page, version: int) -> None:
    tokens = ["def f():\n", "    return 1", "\n", "\n", "  # end"]
    body = BODIES[version].replace('id="reply"', 'id="reply" class="pre"')
    app = HtmxApp(page_of(version, body), lambda: tokens, Html(breaks=False))
    with serve(app) as server:
        page.goto(server.url)
        wait_until_closed(page)
        assert reply(page) == "".join(tokens)
        assert page.locator("#reply br").count() == 0


@VERSIONS
@pytest.mark.parametrize("tokens", [["Half"], []], ids=["after", "before"])
def test_a_failure_is_shown_and_closes(page: Page, version: int, tokens: list[str]) -> None:
    app = HtmxApp(page_of(version), lambda: AsyncScriptedSource(*tokens, RuntimeError("secret")))
    with serve(app) as server:
        page.goto(server.url)
        wait_until_closed(page)
        assert reply(page) == "".join(tokens)
        expect(page.locator("#failure")).to_have_text("generation failed")
        assert "secret" not in page.content()
        wait_for_others_to_come_back(page)
        assert (app.runs, app.statuses) == (1, [200])


@VERSIONS
def test_a_lost_connection_is_told_and_never_a_second_run(page: Page, version: int) -> None:
    source = AsyncScriptedSource(RETRY, "Half", WAIT, "never")
    app = HtmxApp(page_of(version), lambda: source)
    with serve(app) as server, Relay(server.url) as relay:
        page.goto(relay.url)
        wait_for_reply(page, "Half")
        relay.cut()
        wait_until_closed(page)
        assert source.closed.wait(WATCHDOG_SECONDS)
        expect(page.locator("#failure")).to_have_text("connection lost, cannot resume")
        wait_for_others_to_come_back(page)
        first, run = app.last_event_ids
        assert (first, app.statuses, app.runs) == ("", [200, 200], 1)
        assert len(run) >= 16


@VERSIONS
def test_a_page_that_names_no_close_event_comes_back_and_starts_nothing(
    page: Page, version: int
) -> None:
    body = BODIES[version].replace('sse-close="close"', "").replace('hx-sse:close="close"', "")
    app = HtmxApp(page_of(version, body), lambda: [RETRY, "Hello"])
    with serve(app) as server:
        page.goto(server.url)
        wait_for_reply(page, "Hello")
        wait_for_others_to_come_back(page)
        assert app.runs == 1
        assert len(app.statuses) > 2
        assert set(app.statuses) == {200}
        assert len(set(app.last_event_ids[1:])) == 1
        assert app.last_event_ids[-1].endswith(".end")
        assert reply(page) == "Hello"


@VERSIONS
def test_an_event_of_the_app_s_own_goes_to_another_element(page: Page, version: int) -> None:
    mark = sse.Event("<b>sunny</b>", event="tool")
    app = HtmxApp(page_of(version), lambda: ["It is ", mark, "so.", sse.Event("<i>!</i>")])
    with serve(app) as server:
        page.goto(server.url)
        wait_until_closed(page)
        assert reply(page) == "It is so.!"
        expect(page.locator("#other b")).to_have_text("sunny")
        expect(page.locator("#reply i")).to_have_text("!")


def test_htmx_4_reads_on_in_a_tab_behind_others(page: Page) -> None:
    source = AsyncScriptedSource("Hel", WAIT, "lo")
    app = HtmxApp(page_of(4), lambda: source)
    with serve(app) as server:
        page.goto(server.url)
        wait_for_reply(page, "Hel")
        page.evaluate(
            "Object.defineProperty(document, 'hidden', {value: true});"
            "document.dispatchEvent(new Event('visibilitychange'))"
        )
        source.release()
        wait_until_closed(page)
        assert reply(page) == "Hello"
        expect(page.locator("#failure")).to_have_text("")


FORM = """<form id="form" hx-post="/events" hx-target="#reply" hx-swap="beforeend"
  hx-on:error="failure.innerHTML = event.detail.data"><button>Ask</button></form>
<p id="reply"></p><p id="failure"></p>"""


@pytest.mark.parametrize("fails", [False, True])
def test_htmx_4_posts(page: Page, fails: bool) -> None:
    end = [RuntimeError("secret")] if fails else []
    source = AsyncScriptedSource("Hel", WAIT, "lo <b>", *end)
    app = HtmxApp(page_of(4, FORM), lambda: source)
    with serve(app) as server:
        page.goto(server.url)
        page.get_by_role("button", name="Ask").click()
        wait_for_reply(page, "Hel")
        source.release()
        wait_until_closed(page)
        assert reply(page) == "Hello <b>"
        expect(page.locator("#failure")).to_have_text("generation failed" if fails else "")
        wait_for_others_to_come_back(page)
        assert (app.runs, app.statuses) == (1, [200])
