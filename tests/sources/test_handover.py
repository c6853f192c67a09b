"""How parts reach a reader that waits with a loop, without one, or not at all."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

if not os.environ.get("TOKENSTREAM_REQUIRE_ALL"):
    pytest.importorskip("transformers", reason="needs the transformers extra")

from tokenstream.errors import AlreadyRead, ForeignLoop
from tokenstream.parts import Finish, Interruptible, Usage

from .steps import WATCHDOG, Gate, Steps, generation_threads, settle, text_of


def test_what_piled_up_comes_joined(llm):
    gate = Gate(2)
    stream = llm.stream("def", max_new_tokens=30, logits_processor=[gate])
    first = next(stream)
    gate.opened.set()
    settle()
    rest = list(stream)
    assert [type(part) for part in rest] == [str, Usage, Finish]
    assert first + rest[0] == text_of(llm.stream("def", max_new_tokens=30))


def test_nothing_starts_before_the_first_next(llm):
    step = Steps()
    stream = llm.stream("def", logits_processor=[step])
    assert not generation_threads()
    stream.close()
    assert list(stream) == []
    assert not step.count


def test_interrupt_wakes_a_reader_that_waits(llm):
    gate = Gate(1)
    stream = llm.stream("def", logits_processor=[gate])
    assert isinstance(stream, Interruptible)
    got = []
    reader = threading.Thread(target=lambda: got.append(list(stream)))
    reader.start()
    assert gate.reached.wait(WATCHDOG)
    stream.interrupt()
    stream.interrupt()
    reader.join(WATCHDOG)
    assert got == [[]]
    gate.opened.set()


async def test_aclose_wakes_a_task_that_waits(llm):
    gate = Gate(1)
    stream = llm.stream("def", logits_processor=[gate])
    reader = asyncio.create_task(anext(stream, "end"))
    assert await asyncio.to_thread(gate.reached.wait, WATCHDOG)
    await stream.aclose()
    assert await reader == "end"
    gate.opened.set()


async def test_a_cancelled_wait_loses_nothing(llm):
    expected = text_of(llm.stream("def", max_new_tokens=10))
    gate = Gate(2)
    stream = llm.stream("def", max_new_tokens=10, logits_processor=[gate])
    first = await anext(stream)
    waiting = asyncio.create_task(anext(stream))
    assert await asyncio.to_thread(gate.reached.wait, WATCHDOG)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.opened.set()
    assert first + text_of([part async for part in stream]) == expected


async def test_two_tasks_may_not_read_one_stream(llm):
    gate = Gate(1)
    stream = llm.stream("def", max_new_tokens=2, logits_processor=[gate])
    reader = asyncio.create_task(anext(stream))
    assert await asyncio.to_thread(gate.reached.wait, WATCHDOG)
    with pytest.raises(AlreadyRead):
        await anext(stream)
    gate.opened.set()
    assert isinstance(await reader, str)
    await stream.aclose()


def test_a_loop_that_closes_stops_the_model(llm):
    gate = Gate(3)
    stream = llm.stream("def", max_new_tokens=200, logits_processor=[gate])
    loop = asyncio.new_event_loop()
    loop.run_until_complete(anext(stream))
    loop.run_until_complete(asyncio.to_thread(gate.reached.wait, WATCHDOG))
    loop.close()
    gate.opened.set()
    settle()
    assert gate.count == 3
    with pytest.raises(ForeignLoop):
        next(stream)
    assert list(stream) == []


def test_a_loop_that_closes_under_a_waiting_reader_stops_the_model(llm):
    gate = Gate(1)
    stream = llm.stream("def", max_new_tokens=200, logits_processor=[gate])
    loop = asyncio.new_event_loop()
    reader = loop.create_task(anext(stream))
    loop.run_until_complete(asyncio.to_thread(gate.reached.wait, WATCHDOG))
    reader.cancel()
    loop.close()
    gate.opened.set()
    settle()
    assert gate.count == 1
