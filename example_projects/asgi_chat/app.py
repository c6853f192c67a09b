"""A chat with no framework: a page, and one endpoint that streams."""

from __future__ import annotations

import json
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

from models import Model, load

from tokenstream_asgi import read_body, token_stream

BODY_LIMIT = 64 << 10
HTML, JAVASCRIPT, TEXT = (f"text/{kind}; charset=utf-8" for kind in ("html", "javascript", "plain"))


def chat_app(model: Model) -> Any:
    @token_stream("json")
    async def chat(scope: Any, receive: Any) -> object:
        if scope["method"] != "POST" or not is_json(scope):
            return whole(405, TEXT, b"POST a conversation as application/json.")
        messages = messages_of(await read_body(receive, limit=BODY_LIMIT))
        if messages is None:
            return whole(400, TEXT, b'Give messages: [{"role": "user", "content": "Hi"}].')
        return model(messages)

    page = whole(200, HTML, (Path(__file__).parent / "chat.html").read_bytes())
    reader = whole(200, JAVASCRIPT, (files("tokenstream") / "static/tokenstream.js").read_bytes())
    routes = {"/": page, "/tokenstream.js": reader, "/chat": chat}
    nothing = whole(404, TEXT, b"There is nothing here.")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        # `chat` also answers lifespan and websockets, as a server expects.
        route = routes.get(scope["path"], nothing) if scope["type"] == "http" else chat
        await route(scope, receive, send)

    return app


def whole(status: int, content_type: str, body: bytes) -> Any:
    """Return an ASGI app that always sends this: a finished response."""

    async def response(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", content_type.encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return response


def is_json(scope: Any) -> bool:
    # A form on another site can't send this type: a browser would ask us first.
    content_type = dict(scope["headers"]).get(b"content-type", b"")
    return content_type.startswith(b"application/json")


def messages_of(body: bytes) -> list[dict[str, str]] | None:
    """Take from the body what the model gets, and nothing else."""
    try:
        match json.loads(body):
            case {"messages": [*messages]} if messages and all(map(is_message, messages)):
                return [{"role": m["role"], "content": m["content"]} for m in messages]
    except ValueError:
        pass
    return None


def is_message(message: object) -> bool:
    match message:
        case {"role": "user" | "assistant", "content": str(content)}:
            return bool(content)
    return False


app = chat_app(load(os.environ.get("ASGI_CHAT_MODEL", "scripted")))
