"""A chat endpoint: what a front end asks for is read, and answered in the same protocol."""

from __future__ import annotations

from typing import Any

from tokenstream import TokenStream, Wire, WireName
from tokenstream.asgi import App, Receive, Scope, Send, Watch, read_body, request_of, send_whole
from tokenstream.chat import BODY_LIMIT, AnswerChat, Chat
from tokenstream.errors import ReaderLeft
from tokenstream.reconnect import Answer
from tokenstream.wires import find_wire
from tokenstream.wires.whole import Whole

from .response import TokenStreamResponse

__all__ = ["chat_endpoint"]


def chat_endpoint(wire: WireName | Wire, answer: AnswerChat, **options: Any) -> App:
    """Return an ASGI app that answers a front end in its own protocol.

    wire: the protocol. answer: gets a `ChatRequest` and returns a source, sync or async.
    options: those of `TokenStreamResponse`.

    A request with `stream: false` gets the protocol's ordinary JSON body. What is wrong
    with a request, and what fails before the first part, is told by an HTTP status in the
    protocol's own shape; what has no such words is raised to the server.

    Raises `UnknownWire` and `InvalidOption` where it is written.
    """
    chat = Chat(find_wire(wire), answer)
    TokenStreamResponse((), chat.wire, **options)  # options are checked where they are written

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with Watch(receive) as watch:
            try:
                body = await read_body(watch.receive, BODY_LIMIT)
                source, replying = chat.read(body, scope)
                if isinstance(replying, Whole):
                    stream = TokenStream(source, replying, **{"keep_alive": None, **options})
                    await send_whole(send, await _collected(chat, stream, watch))
                    return
                response = TokenStreamResponse(source, replying, **options)
                await response.respond(request_of(scope), watch, send)
            except ReaderLeft:
                return
            except Exception as error:
                if (refused := chat.refused(error)) is None:
                    raise
                await send_whole(send, refused)

    return app


async def _collected(chat: Chat, stream: TokenStream, watch: Watch) -> Answer:
    watch.when_left(stream.leave)
    watch.drop_body()
    try:
        body = b"".join([chunk async for chunk in stream])
    finally:
        await stream.aclose()
    if stream.result is None or stream.result.outcome == "disconnected":
        raise ReaderLeft("the reader left before its reply was whole")
    return chat.whole(stream.result, body)
