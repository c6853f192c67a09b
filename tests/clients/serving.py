"""A real server in a thread: `chat_endpoint` over the scenarios, for one wire."""

from __future__ import annotations

import socket
import threading
from typing import Any

import uvicorn

from tokenstream import Wire, WireName
from tokenstream.wires import ChatRequest
from tokenstream_asgi import chat_endpoint

from .scenarios import SCENARIOS

__all__ = ["ChatServer", "listening"]


def listening() -> socket.socket:
    """Return a socket on a free port: who comes before the server is ready waits."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    return listening


class ChatServer:
    """Answers `POST {url}/<scenario>/...` with that scenario. `with` ends it.

    asked: the requests that it has read, the newest last.
    """

    def __init__(self, wire: WireName | Wire, **options: Any) -> None:
        self.asked: list[ChatRequest] = []
        app = chat_endpoint(wire, self._answer, **{"keep_alive": 0.02, "prime": 0.1, **options})
        config = uvicorn.Config(app, log_level="warning", lifespan="off", interface="asgi3")
        self._server = uvicorn.Server(config)
        self._socket = listening()
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> ChatServer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.should_exit = True
        self._thread.join()

    def _run(self) -> None:
        self._server.run([self._socket])

    def _answer(self, ask: ChatRequest) -> object:
        self.asked.append(ask)
        return SCENARIOS[ask.request["path"].split("/")[1]]()
