"""The loop that people write by hand, with no framework: a send a token."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from .asgi_sources import Ask, ask_of_scope, source

START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")],
}
DONE = b"data: [DONE]\n\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    ask = ask_of_scope(scope)
    if ask.kind == "ready":
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    await send(START)
    await (send_chat if ask.kind == "chat" else send_text)(ask, send)
    await send({"type": "http.response.body", "body": DONE})


async def send_text(ask: Ask, send: Any) -> None:
    async for token in source(ask):
        frame = f"data: {token}\n\n".encode()
        await send({"type": "http.response.body", "body": frame, "more_body": True})


async def send_chat(ask: Ask, send: Any) -> None:
    """Send chunks of OpenAI's Chat Completions, each made by `json.dumps`."""
    chunk_id, created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())

    async def send_chunk(delta: dict[str, str], finish_reason: str | None = None) -> None:
        chunk = {
            "id": chunk_id,
            "object": "chat.completion.chunk",
            "created": created,
            "model": "tokenstream",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        }
        frame = f"data: {json.dumps(chunk, separators=(',', ':'))}\n\n".encode()
        await send({"type": "http.response.body", "body": frame, "more_body": True})

    await send_chunk({"role": "assistant", "content": ""})
    async for token in source(ask):
        await send_chunk({"content": token})
    await send_chunk({}, "stop")
