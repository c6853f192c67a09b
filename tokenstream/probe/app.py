"""The demo's ASGI app: the chat page, and the endpoint that it talks to."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any, TypeAlias

from tokenstream import Result
from tokenstream.asgi import App, Receive, Scope, Send, send_whole
from tokenstream.errors import BodyTooLarge, ReaderError
from tokenstream.reconnect import Answer
from tokenstream.sse import utf8
from tokenstream_asgi import read_body, token_stream

__all__ = ["BODY_LIMIT", "MESSAGE_LIMIT", "Model", "chat_app"]

Model: TypeAlias = Callable[[list[dict[str, str]]], object]
"""Messages with `role` and `content` -> a source."""

BODY_LIMIT = 64 << 10
MESSAGE_LIMIT = 100

TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'self'; img-src data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


class Refused(ReaderError):
    """A request that gets `status` and a line of text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def chat_app(
    model: Model,
    *,
    name: str = "",
    note: str = "",
    on_finish: Callable[[Result], Any] | None = None,
) -> App:
    """Return an ASGI app with the page at `/` and the endpoint at `/chat`.

    model: what answers. name, note: shown on the page. on_finish: called with
    the `Result` of each reply.
    """

    @token_stream("json", on_finish=on_finish)
    async def chat(scope: Scope, receive: Receive) -> object:
        _check_request(scope)
        return model(_messages(await _body(receive)))

    page = _static({"{model}": name, "{note}": note})

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == "/chat":
            await _answering(chat, scope, receive, send)
        else:
            await send_whole(send, _file(page, scope))

    return app


async def _answering(chat: App, scope: Scope, receive: Receive, send: Send) -> None:
    # What the handler raises comes through: no status is out yet.
    try:
        await chat(scope, receive, send)
    except Refused as error:
        await send_whole(send, _plain(error.status, str(error)))


def _check_request(scope: Scope) -> None:
    if scope["method"] != "POST":
        raise Refused(405, "send the messages with POST")
    headers = {bytes(name).lower(): bytes(value) for name, value in scope["headers"]}
    # A form on another site can't send this type without the browser asking us first.
    if not headers.get(b"content-type", b"").lower().startswith(b"application/json"):
        raise Refused(415, "send the messages as application/json")


async def _body(receive: Receive) -> bytes:
    try:
        return await read_body(receive, limit=BODY_LIMIT)
    except BodyTooLarge:
        # The decorator's own 413 speaks to developers; who reads this one chats.
        raise Refused(
            413, f"This is longer than {BODY_LIMIT >> 10} KB: shorten it, or start a new chat."
        ) from None


def _messages(body: bytes) -> list[dict[str, str]]:
    try:
        given = json.loads(body)["messages"]
        # JSON can name half of a character, which no tokenizer takes.
        messages = [{"role": m["role"], "content": utf8(m["content"]).decode()} for m in given]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Refused(400, _SHAPE) from None
    if not messages or messages[-1]["role"] != "user" or not all(map(_is_message, messages)):
        raise Refused(400, _SHAPE)
    if len(messages) > MESSAGE_LIMIT:
        raise Refused(413, f"These are more than {MESSAGE_LIMIT} messages: start a new chat.")
    return messages


_SHAPE = (
    'send {"messages": [{"role": "user", "content": "..."}, ...]}; roles are "user" and '
    '"assistant", the last message is the user\'s, and none is empty'
)


def _is_message(message: Mapping[str, str]) -> bool:
    return message["role"] in ("user", "assistant") and bool(message["content"].strip())


def _static(values: Mapping[str, str]) -> dict[str, Answer]:
    answers = {}
    for file in (files("tokenstream") / "static").iterdir():
        ending = file.name.rpartition(".")[2]
        if ending not in TYPES:
            continue
        text = file.read_text(encoding="utf-8")
        if ending == "html":
            for mark, value in values.items():
                text = text.replace(mark, html.escape(value))
        headers = {"Content-Type": f"{TYPES[ending]}; charset=utf-8", **PAGE_HEADERS}
        answers[f"/{file.name}"] = Answer(200, headers, text.encode())
    return answers | {"/": answers["/index.html"]}


def _file(page: Mapping[str, Answer], scope: Scope) -> Answer:
    if scope["method"] not in ("GET", "HEAD"):
        return _plain(405, "this page is only read")
    found = page.get(scope["path"]) or _plain(404, "there is nothing here: the page is at /")
    return found if scope["method"] == "GET" else Answer(found.status, found.headers, b"")


def _plain(status: int, text: str) -> Answer:
    return Answer(status, {"Content-Type": "text/plain; charset=utf-8"}, text.encode())
