"""Scripted sources do what they are told, and tell what was done."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import threading

import pytest

from tokenstream.testing import (
    WAIT,
    AsyncScriptedSource,
    FakeClock,
    Pause,
    ScriptedSource,
    forever,
    pause,
)

from ..cases import SourceBroke
from ..pairings import turns_until


async def alist(source):
    return [part async for part in source]


def read(source):
    return list(source) if isinstance(source, ScriptedSource) else asyncio.run(alist(source))


both = pytest.mark.parametrize("kind", [ScriptedSource, AsyncScriptedSource])


@both
def test_parts_come_in_order_and_are_counted(kind):
    source = kind("a", 7, None)
    assert not source.started.is_set()
    assert read(source) == ["a", 7, None]
    assert source.yielded == 3
    assert source.started.is_set()
    assert source.closed.is_set()
    assert source.threads == {threading.current_thread().name}


@both
def test_errors_are_raised(kind):
    error = SourceBroke("x")
    source = kind("a", error, "never")
    with pytest.raises(SourceBroke) as raised:
        read(source)
    assert raised.value is error
    assert source.yielded == 1
    assert source.closed.is_set()


@both
def test_wait_takes_until_release(kind):
    source = kind(WAIT, "a", WAIT, "b")
    read_parts = []
    thread = threading.Thread(target=lambda: read_parts.extend(read(source)), daemon=True)
    thread.start()
    assert source.started.wait(10)
    assert source.yielded == 0
    source.release()
    source.release()
    thread.join(10)
    assert read_parts == ["a", "b"]


@both
def test_a_release_may_come_first_and_for_many(kind):
    source = kind(WAIT, WAIT, WAIT, "a")
    source.release(3)
    assert read(source) == ["a"]


def test_a_generator_is_closed_by_its_reader():
    source = ScriptedSource(script=forever("y"))
    parts = iter(source)
    assert next(parts) == "y"
    assert not source.closed.is_set()
    parts.close()
    assert source.closed.is_set()
    assert source.yielded == 1


async def test_an_async_wait_is_cancelled():
    source = AsyncScriptedSource(WAIT)
    task = asyncio.create_task(alist(source))
    await turns_until(lambda: source.started.is_set())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.closed.is_set()


def test_forever():
    assert list(itertools.islice(forever(), 3)) == ["x"] * 3


@both
def test_a_pause_is_the_clocks(kind):
    with FakeClock() as clock:
        source = kind("a", pause(100), "b")
        parts = []
        context = contextvars.copy_context()
        thread = threading.Thread(
            target=context.run, args=(lambda: parts.extend(read(source)),), daemon=True
        )
        thread.start()
        while thread.is_alive():
            clock.advance(10)
            thread.join(0.001)
    assert parts == ["a", "b"]
    assert clock.now() >= 1100
    assert pause(3) == Pause(3)


def test_a_pause_without_a_fake_clock_takes_real_time():
    assert read(ScriptedSource("a", pause(0.001), "b")) == ["a", "b"]
    assert read(AsyncScriptedSource("a", pause(0.001), "b")) == ["a", "b"]


def test_wait_says_what_it_is():
    assert repr(WAIT) == "WAIT"
