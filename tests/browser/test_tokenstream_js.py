"""tokenstream.js against the package's own decoder, in the browser that will run it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tokenstream.probe.app import chat_app
from tokenstream.probe.server import Server
from tokenstream.sse import Decoder

from .serving import serve

if TYPE_CHECKING:
    from playwright.sync_api import Page

CASES = [
    "data: one\n\ndata: two\n\n",
    "data: LF\n\ndata: CRLF\r\n\r\ndata: CR\r\rdata: mixed\r\n\n",
    "data: a\ndata: b\ndata\ndata:\n\n",
    "data: a\r\ndata: b\r\n\r\ndata: c\rdata: d\r\r",
    "data:no space\n\ndata:  two spaces\n\n",
    ": comment\n\n:\ndata: after\n\n: idle\n",
    "event: error\ndata: x\n\ndata: plain again\n\n",
    "event\ndata: no name\n\n",
    "event: only\n\ndata: next\n\n",
    "id: 1\ndata: x\n\ndata: y\n\nid\ndata: z\n\n",
    "id: a\0b\ndata: x\n\n",
    "retry: 10\nunknown: 1\ndata: x\n\n",
    "data: 日本語 👩‍🚀 \u2028\u0085 é\n\n",
    "\ufeffdata: mark\n\n",
    "data: \ufeffnot a mark\n\n",
    "data: unfinished\n",
    "data: unfinished",
    "data: a: b: c\n\n",
    "\n\n\ndata: after blanks\n\n",
    "",
]

DECODE = """async (cases) => {
  const { readEvents } = await import("/tokenstream.js");
  const read = async (pieces) => {
    const body = new ReadableStream({
      start(controller) {
        for (const piece of pieces) controller.enqueue(new Uint8Array(piece));
        controller.close();
      },
    });
    const events = [];
    for await (const event of readEvents(new Response(body))) events.push(event);
    return events;
  };
  return Promise.all(cases.map(read));
}"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(chat_app(lambda messages: [])) as server:
        yield server


def splits(raw: bytes) -> list[list[list[int]]]:
    """The bytes whole, one by one, and in two pieces at each place."""
    cuts = [[raw], [bytes([byte]) for byte in raw]]
    cuts += [[raw[:at], raw[at:]] for at in range(1, len(raw))]
    return [[list(piece) for piece in pieces] for pieces in cuts]


def expected(raw: bytes) -> list[dict[str, Any]]:
    """What the package's decoder says, in the browser's terms."""
    decoder, events = Decoder(), []
    for byte in raw:
        for event in decoder.feed(bytes([byte])):
            known = event._asdict()
            events.append(
                {
                    "data": known["data"],
                    "event": known["event"] or "message",
                    "id": decoder.last_event_id,
                }
            )
    return events


@pytest.mark.parametrize("text", CASES, ids=repr)
def test_events_are_the_same_at_any_split(page: Page, server: Server, text: str) -> None:
    raw = text.encode()
    page.goto(server.url)
    cuts = splits(raw)
    assert page.evaluate(DECODE, cuts) == [expected(raw)] * len(cuts)


def test_event_that_never_ends_is_refused(page: Page, server: Server) -> None:
    page.goto(server.url)
    refused = page.evaluate(
        """async () => {
          const { Decoder } = await import("/tokenstream.js");
          const refused = (pieces) => {
            const decoder = new Decoder(100);
            try { for (const piece of pieces) decoder.feed(piece); } catch (error) {
              return error.name;
            }
            return "taken";
          };
          const lines = Array(20).fill("data: 0123456789\\n");
          return [refused(Array(20).fill("x".repeat(10))), refused(lines),
                  refused(lines.map((line) => line + "\\n"))];
        }"""
    )
    assert refused == ["StreamError", "StreamError", "taken"]


@pytest.mark.parametrize(
    "status, content_type, body, said",
    [
        (400, "application/json", '{"error": "no prompt"}', "no prompt"),
        (401, "application/json", '{"detail": "who are you"}', "who are you"),
        (500, "application/json", '{"error": {"message": "broken"}}', "broken"),
        (500, "application/json", "not json", "The server answered 500"),
        (403, "text/html", "<h1>no</h1>", "The server answered 403"),
        (403, "text/plain", "go away", "go away"),
        (200, "text/html", "<h1>log in</h1>", 'The answer is no event stream but "text/html".'),
        (200, "text/event-stream", 'data: {"token":"a"}\n\n', "The connection was lost."),
        (200, "text/event-stream", "data: broken\n\n", "The connection was lost."),
        (
            200,
            "text/event-stream",
            'event: error\ndata: {"error":"failed"}\n\ndata: [DONE]\n\n',
            "failed",
        ),
        (200, "text/event-stream", 'data: {"token":"a"}\n\ndata: [DONE]\n\ndata: no\n\n', None),
    ],
)
def test_what_is_no_whole_stream_is_an_error(
    page: Page, server: Server, status: int, content_type: str, body: str, said: str | None
) -> None:
    page.goto(server.url)
    page.route(
        "**/answer",
        lambda route: route.fulfill(
            status=status, headers={"Content-Type": content_type}, body=body
        ),
    )
    seen = page.evaluate(
        """async () => {
          const { stream } = await import("/tokenstream.js");
          try {
            for await (const part of stream("/answer", { body: {} }));
            return null;
          } catch (error) { return [error.name, error.message, error.status]; }
        }"""
    )
    if said is None:
        assert seen is None
    else:
        name, message, seen_status = seen
        assert (name, seen_status) == ("StreamError", status)
        assert message.startswith(said)


def test_request_is_json_with_the_given_headers(page: Page, server: Server) -> None:
    page.goto(server.url)
    page.route("**/answer", lambda route: route.fulfill(content_type="text/event-stream", body=""))
    with page.expect_request("**/answer") as caught:
        page.evaluate(
            """async () => {
              const { stream } = await import("/tokenstream.js");
              const headers = { "X-CSRFToken": "t" };
              try { for await (const part of stream("/answer", { body: { a: "é" }, headers })); }
              catch { /* it has no end */ }
            }"""
        )
    request = caught.value
    assert request.method == "POST"
    assert request.post_data_json == {"a": "é"}
    assert request.headers["content-type"] == "application/json"
    assert request.headers["accept"] == "text/event-stream"
    assert request.headers["x-csrftoken"] == "t"
