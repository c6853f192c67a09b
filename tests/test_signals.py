"""A signal drains first, and is then the business of whoever had it before."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tokenstream import TokenStream, drain_on_signal, process
from tokenstream.errors import InvalidOption, ServerShutdown, UsageError
from tokenstream.testing import WAIT, AsyncScriptedSource

from .pairings import result_of, until
from .test_process import forks, run

SIGNAL = signal.SIGUSR1


@pytest.fixture
def seen() -> Iterator[list[int]]:
    """What a server's own handler has seen: how many streams were open when the signal came."""
    seen: list[int] = []
    previous = signal.signal(SIGNAL, lambda *_: seen.append(len(process.opened())))
    yield seen
    signal.signal(SIGNAL, previous)


@contextmanager
def draining(timeout: float = 10.0) -> Iterator[None]:
    with drain_on_signal(timeout, signals=[SIGNAL]) as hold:
        yield
        until(lambda: hold.is_over or not hold.is_told)  # no signal comes later


def send() -> None:
    os.kill(os.getpid(), SIGNAL)


def opened() -> tuple[TokenStream, AsyncScriptedSource]:
    source = AsyncScriptedSource("a", WAIT, "b")
    stream = TokenStream(source, "text")
    next(stream)
    return stream, source


def is_told(seen: list[int]) -> Callable[[], bool]:
    # Handlers run in the main thread, between two of its steps.
    return lambda: bool(seen)


def test_the_handler_before_is_called_when_the_streams_are_over(seen):
    with draining(60):
        stream, source = opened()
        send()
        until(process.is_ending)
        assert not seen
        source.release()
        assert b"".join(stream).endswith(b"[DONE]\n\n")
        until(is_told(seen))
    assert seen == [0]


def test_what_does_not_end_is_ended_first(seen):
    with draining(0):
        stream, _ = opened()
        send()
        assert b"shutting down" in b"".join(stream)
        until(is_told(seen))
    assert seen == [0]


def test_a_second_signal_is_not_held_back(seen):
    with draining(60):
        stream, source = opened()
        send()
        until(process.is_ending)
        send()
        until(is_told(seen))
        assert seen == [1]
        source.release()
        list(stream)
    assert seen == [1]  # the drain did not send it again


def test_from_then_on_no_stream_begins_until_the_block_is_left(seen):
    with draining(0):
        send()
        until(is_told(seen))
        source = AsyncScriptedSource("a")
        stream = TokenStream(source)
        with pytest.raises(ServerShutdown):
            stream.prime()
        assert not source.started.is_set()
        assert result_of(stream).outcome == "shutdown"
    assert b"".join(TokenStream(["a"])).endswith(b"[DONE]\n\n")


def test_leaving_the_block_puts_back_what_was_there(seen):
    before = signal.getsignal(SIGNAL), signal.getsignal(signal.SIGURG)
    with draining():
        assert signal.getsignal(SIGNAL) is not before[0]
    assert (signal.getsignal(SIGNAL), signal.getsignal(signal.SIGURG)) == before


def test_leaving_it_leaves_what_others_have_set_since(seen):
    with draining():
        ours: Any = signal.getsignal(SIGNAL)
        signal.signal(SIGNAL, lambda *it: ours(*it))
        theirs = signal.getsignal(SIGNAL)
    assert signal.getsignal(SIGNAL) is theirs
    send()
    until(is_told(seen))  # ours only passes on


# Servers that set their handlers after the app was loaded.


def set_later(seen: list[int]) -> None:
    signal.signal(SIGNAL, lambda *_: seen.append(100 + len(process.opened())))


def test_a_handler_that_is_set_later_is_not_the_first_for_long(seen):
    with draining(0):
        set_later(seen)
        stream, _ = opened()
        send()
        assert b"shutting down" in b"".join(stream)
        until(is_told(seen))
    assert seen == [100]


def test_nor_where_streams_begin_in_other_threads(seen):
    with draining(0):
        set_later(seen)
        theirs = signal.getsignal(SIGNAL)
        made: list[TokenStream] = []
        thread = threading.Thread(target=lambda: made.append(opened()[0]))
        thread.start()
        thread.join(10)
        until(lambda: signal.getsignal(SIGNAL) is not theirs)
        send()
        assert b"shutting down" in b"".join(made[0])
        until(is_told(seen))
    assert seen == [100]


def test_a_server_that_puts_the_older_one_back_and_sends_the_signal_again(seen):
    # uvicorn does, at its end.
    with draining(0):
        ours = signal.getsignal(SIGNAL)
        set_later(seen)
        list(TokenStream(["a"]))
        send()
        until(is_told(seen))
        signal.signal(SIGNAL, ours)
        send()
        until(lambda: len(seen) == 2)
    assert seen == [100, 0]


def test_a_later_handler_that_calls_the_one_before_it(seen):
    with draining(0):
        ours: Any = signal.getsignal(SIGNAL)
        signal.signal(SIGNAL, lambda *it: (seen.append(100), ours(*it)))
        list(TokenStream(["a"]))
        send()
        until(lambda: len(seen) == 2)
    assert seen == [100, 0]


def test_the_newest_block_comes_first(seen):
    with draining(60):
        with draining(60):
            newest = signal.getsignal(SIGNAL)
            list(TokenStream(["a"]))
            assert signal.getsignal(SIGNAL) is newest
        send()
        until(is_told(seen))
    assert seen == [0]


# Handlers that are none.


def test_a_signal_that_is_ignored_stays_so(seen):
    signal.signal(SIGNAL, signal.SIG_IGN)
    with draining(0):
        stream, _ = opened()
        send()
        assert b"shutting down" in b"".join(stream)
    assert not seen


def test_the_default_ends_the_process():
    lines = run(
        """
        import signal
        from tokenstream import drain_on_signal
        drain_on_signal(0)
        stream = TokenStream(silent_source(), "text", on_finish=on_finish)
        next(stream)
        os.kill(os.getpid(), signal.SIGTERM)
        say(b"".join(stream).decode().split()[-1])
        threading.Event().wait(30)
        """,
        rc=-signal.SIGTERM,
        stderr=None,
    )
    assert sorted(lines) == ["closed", "down", "shutdown"]


@forks
def test_a_child_has_nothing_open_and_ends_at_once():
    lines = run(
        """
        import signal, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from tokenstream import drain_on_signal
        drain_on_signal(60)
        stream = TokenStream(silent_source(), "text")
        next(stream)
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Event().wait(30)
            os._exit(0)
        say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        stream.close()
        """,
        stderr=None,
    )
    assert lines == ["-15", "closed"]


# Misuse.


def test_another_thread_can_not():
    raised: list[BaseException] = []

    def call() -> None:
        try:
            drain_on_signal()
        except UsageError as error:
            raised.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join(10)
    assert "main thread" in str(raised[0])


def test_a_timeout_that_means_nothing():
    with pytest.raises(InvalidOption, match="timeout=-1"):
        drain_on_signal(-1)
