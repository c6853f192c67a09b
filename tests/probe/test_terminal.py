"""The demo's terminal side: in lock-step with a real server in this process."""

from __future__ import annotations

import io
import threading

import pytest

from tokenstream import Finish, Result, Usage
from tokenstream.probe.app import chat_app
from tokenstream.probe.failure import CommandFailed
from tokenstream.probe.server import Server, bind
from tokenstream.probe.terminal import LastResults, numbers, read_reply, type_reply
from tokenstream.testing import WAIT, AsyncScriptedSource, ScriptedSource

from ..needs import need_module

need_module("rich")
from rich.console import Console

WATCHDOG_SECONDS = 20


def result(**changes: object) -> Result:
    values = {
        "text": "ab",
        "reasoning": "",
        "tool_calls": (),
        "outcome": "completed",
        "error": None,
        "finish_reason": "stop",
        "parts": 5,
        "usage": Usage(3, 11),
        "ttft": 0.5,
        "duration": 2.5,
        "bytes_sent": 100,
    }
    return Result(**{**values, **changes})


class Screen(io.StringIO):
    """A file that tells when something was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()

    def write(self, text: str) -> int:
        with self._changed:
            self._changed.notify_all()
            return super().write(text)

    def wait_for(self, text: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: text in self.getvalue(), WATCHDOG_SECONDS)


def test_each_token_is_on_the_screen_before_the_next_exists() -> None:
    source = ScriptedSource("Hel", WAIT, "lo", Finish("stop"))
    results, screen = LastResults(), Screen()
    with Server(chat_app(lambda _: source, on_finish=results), bind("127.0.0.1", 0)) as server:
        console = Console(file=screen)
        typing = threading.Thread(
            target=type_reply, args=(console, f"{server.url}/chat", "Hi"), daemon=True
        )
        typing.start()
        screen.wait_for("Hel")
        assert source.yielded == 1
        source.release()
        screen.wait_for("Hello")
        typing.join(WATCHDOG_SECONDS)
        found = results.of("Hello")
    assert screen.getvalue() == "> Hi\nHello\n"
    assert found is not None
    assert found.outcome == "completed"


def test_reader_that_leaves_stops_the_source() -> None:
    source = AsyncScriptedSource("Hel", WAIT, "lo")
    with Server(chat_app(lambda _: source), bind("127.0.0.1", 0)) as server:
        reply = read_reply(f"{server.url}/chat", "Hi")
        assert next(reply) == "Hel"
        reply.close()
        assert source.closed.wait(WATCHDOG_SECONDS)


@pytest.mark.parametrize(
    "steps, said",
    [
        (["a", RuntimeError("secret")], "the reply failed: generation failed"),
        ([RuntimeError("secret")], "the endpoint answered 500: Internal Server Error"),
    ],
)
def test_reply_that_fails(steps: list[object], said: str) -> None:
    source = ScriptedSource(*steps)
    with (
        Server(chat_app(lambda _: source), bind("127.0.0.1", 0)) as server,
        pytest.raises(CommandFailed, match=said),
    ):
        list(read_reply(f"{server.url}/chat", "Hi"))


def test_no_server() -> None:
    listening = bind("127.0.0.1", 0)
    port = listening.getsockname()[1]
    listening.close()
    with pytest.raises(CommandFailed, match="was cut"):
        list(read_reply(f"http://127.0.0.1:{port}/chat", "Hi"))


def test_what_steers_a_terminal_is_not_typed() -> None:
    source = ScriptedSource("a\x1b[2Jb\x07\x9bc\r", "\n\td 👩‍🚀")
    screen = Screen()
    with Server(chat_app(lambda _: source), bind("127.0.0.1", 0)) as server:
        type_reply(Console(file=screen), f"{server.url}/chat", "Hi")
    assert screen.getvalue() == "> Hi\na[2Jbc\n\td 👩‍🚀\n"


def test_numbers() -> None:
    assert numbers(result()) == (
        "first token after 500 ms · 11 tokens · 5.0 tokens/s · 100 bytes · stop"
    )
    assert numbers(result(usage=None)) == (
        "first token after 500 ms · 5 tokens · 2.0 tokens/s · 100 bytes · stop"
    )
    none = result(usage=None, parts=0, ttft=None, finish_reason=None, outcome="failed")
    assert numbers(none) == "0 tokens · 100 bytes · failed"


def test_last_results_are_found_by_their_text() -> None:
    results = LastResults()
    for number in range(40):
        results(result(text=str(number)))
    found = results.of("39")
    assert found is not None
    assert found.text == "39"
