"""A real server in a thread: `chat_endpoint` over the scenarios, for one wire."""

from __future__ import annotations

import socket
import threading
from typing import Any, Self

import uvicorn

from tokenstream import Wire, WireName
from tokenstream.asgi import App
from tokenstream.chat import AnswerChat
from tokenstream.wires import ChatRequest
from tokenstream_asgi import chat_endpoint

from .scenarios import SCENARIOS

__all__ = ["AppServer", "ChatServer"]


class AppServer:
    """Serves an ASGI app at `url`. `with` ends it."""

    def __init__(self, app: App) -> None:
        config = uvicorn.Config(app, log_level="warning", lifespan="off", interface="asgi3")
        self._server = uvicorn.Server(config)
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()  # who comes before uvicorn is ready waits, and is not refused
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.should_exit = True
        self._thread.join()

    def _run(self) -> None:
        self._server.run([self._socket])


class ChatServer(AppServer):
    """Answers `POST {url}/<scenario>/...` with that scenario.

    answer: what answers instead. asked: the requests that it has read, the newest last.
    """

    def __init__(
        self, wire: WireName | Wire, answer: AnswerChat | None = None, **options: Any
    ) -> None:
        self.asked: list[ChatRequest] = []
        self._source = answer or _scenario
        options = {"keep_alive": 0.02, "prime": 0.1, **options}
        super().__init__(chat_endpoint(wire, self._answer, **options))

    def _answer(self, ask: ChatRequest) -> object:
        self.asked.append(ask)
        return self._source(ask)


def _scenario(ask: ChatRequest) -> object:
    return SCENARIOS[ask.request["path"].split("/")[1]]()
