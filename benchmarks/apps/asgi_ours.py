"""tokenstream with no framework, with all that is on by default and a hook on the result."""

from __future__ import annotations

from typing import Any

from tokenstream import Result
from tokenstream_asgi import TokenStreamResponse, token_stream

from .asgi_sources import ask_of_scope, source

__all__ = ["app", "bookkeeping", "sync_bookkeeping"]


async def bookkeeping(result: Result) -> None:
    """Do what an app does with it, and see that each stream was whole."""
    sync_bookkeeping(result)


def sync_bookkeeping(result: Result) -> None:
    if result.outcome != "completed" and result.parts < 100_000:
        raise RuntimeError(f"the benchmark's stream ended as {result.outcome}: {result.error}")


@token_stream("text", on_finish=bookkeeping)
async def text(scope: Any, receive: Any) -> Any:
    return source(ask_of_scope(scope))


@token_stream("openai-chat", on_finish=bookkeeping)
async def chat(scope: Any, receive: Any) -> Any:
    return source(ask_of_scope(scope))


@token_stream("text", on_finish=sync_bookkeeping)
def from_sync(scope: Any, receive: Any) -> Any:
    return source(ask_of_scope(scope))


async def from_lambda(scope: Any, receive: Any, send: Any) -> None:
    """Of what a lambda returns nobody knows the kind before it is called."""
    ask = ask_of_scope(scope)
    stream = TokenStreamResponse(lambda: source(ask), "text", on_finish=bookkeeping)
    await stream(scope, receive, send)


APPS: dict[str, Any] = {
    "/chat": chat,
    "/sync-hot": from_sync,
    "/sync-paced": from_sync,
    "/lambda-hot": from_lambda,
    "/lambda-paced": from_lambda,
}


async def app(scope: Any, receive: Any, send: Any) -> None:
    await APPS.get(scope.get("path", ""), text)(scope, receive, send)
