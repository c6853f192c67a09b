"""What the pump promises of every source: one place, one end, `on_finish` once."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import logging
import threading
import weakref

import pytest

from tokenstream import (
    Json,
    OpenAIChat,
    Reasoning,
    TokenStream,
    ToolCall,
    Usage,
    errors,
    process,
)
from tokenstream.host import Host
from tokenstream.testing import WAIT, AsyncScriptedSource, FakeClock, ScriptedSource, forever

from .cases import SourceBroke
from .pairings import (
    PAIRINGS,
    aread_all,
    every_pairing,
    read_all,
    result_of,
    turns,
    turns_until,
    until,
)

COLOR = contextvars.ContextVar("color", default="none")
LOG = logging.getLogger("tokenstream")


# One place, one context.


class Tracker:
    """Notes where each step ran, and that what step 1 set is there in all that follow."""

    def __init__(self):
        self.places = []
        self.colors = []

    def note(self, *, first=False):
        self.places.append((threading.get_ident(), _task()))
        self.colors.append(COLOR.get())
        if first:
            COLOR.set("red")


def _task():
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def tracked(tracker, steps):
    token = None
    try:
        for step in range(steps):
            tracker.note(first=step == 0)
            if step == 0:
                token = COLOR.set("red")
            yield "x"
    finally:
        tracker.note()
        COLOR.reset(token)  # raises in another context


async def atracked(tracker, steps):
    token = None
    try:
        for step in range(steps):
            tracker.note(first=step == 0)
            if step == 0:
                token = COLOR.set("red")
            yield "x"
            await asyncio.sleep(0)
    finally:
        tracker.note()
        COLOR.reset(token)


@every_pairing
@pytest.mark.parametrize("ends", [True, False], ids=["to its end", "left"])
def test_next_close_and_context_variables_are_in_one_place(pairing, ends, caplog):
    tracker = Tracker()
    make = tracked if pairing.source is ScriptedSource else atracked
    COLOR.set("blue")
    stream = TokenStream(
        make(tracker, 30 if ends else 10**6),
        high_water=50,
        keep_alive=None if pairing.inline else 15,
    )

    async def leave():
        await anext(stream)
        await stream.aclose()

    if ends:
        pairing.read(stream)
    elif pairing.reads_async:
        asyncio.run(leave())
    else:
        next(stream)
        stream.close()
    assert len(set(tracker.places)) == 1
    assert tracker.colors[0] == "blue"  # a copy of the context that the stream was made in
    assert set(tracker.colors[1:]) <= {"red"}
    assert ends is (len(tracker.colors) == 31)
    assert not caplog.records
    if not pairing.inline:
        assert COLOR.get() == "blue"  # a copy: nothing leaks out
    COLOR.set("none")


def test_the_factory_runs_where_the_source_does():
    tracker = Tracker()

    def factory():
        tracker.note()
        return tracked(tracker, 3)

    read_all(TokenStream(factory))
    assert len(set(tracker.places)) == 1
    assert tracker.places[0][0] != threading.get_ident()


def test_the_hosts_scope_is_around_all_sync_work():
    log = []

    @contextlib.contextmanager
    def scope():
        log.append(("enter", threading.current_thread().name))
        yield
        log.append(("leave", threading.current_thread().name))

    def source():
        try:
            log.append("next")
            yield "a"
        finally:
            log.append("close")

    read_all(
        TokenStream(source(), host=Host(scope=scope), on_finish=lambda _: log.append("on_finish"))
    )
    name = "tokenstream-pump"
    assert log == [("enter", name), "next", "close", "on_finish", ("leave", name)]


def test_a_scope_that_raises_is_told_and_nobody_hangs(caplog):
    @contextlib.contextmanager
    def scope():
        raise RuntimeError("no scope")
        yield

    stream = TokenStream(["a"], host=Host(scope=scope))
    assert b"event: error" in read_all(stream)
    assert result_of(stream).outcome == "failed"
    assert "no scope" in caplog.text


# on_finish: once, whatever the end.


class Finished:
    """An `on_finish` of either kind that notes how often, with what and where."""

    def __init__(self, error=None):
        self.results = []
        self.threads = []
        self.colors = []
        self.stream = None
        self.error = error
        self.called = threading.Event()

    def sync(self, result):
        self.results.append(result)
        self.threads.append(threading.current_thread().name)
        self.colors.append(COLOR.get())
        self.called.set()
        if self.error:
            raise self.error

    async def coroutine(self, result):
        await asyncio.sleep(0)
        self.sync(result)

    def returns_coroutine(self, result):
        return self.coroutine(result)


every_callback = pytest.mark.parametrize("callback", ["sync", "coroutine", "returns_coroutine"])


def script(outcome):
    return {
        "completed": ("a",),
        "failed": ("a", SourceBroke("x")),
        "disconnected": ("a", WAIT, "b"),
        "timeout": ("a", WAIT, "b"),
        "shutdown": ("a", WAIT, "b"),
        "cancelled": ("a", asyncio.CancelledError()),
    }[outcome]


def can_end_so(pairing, outcome):
    """Nothing ends the reader's own thread from outside, and nothing cancels a thread."""
    if pairing.inline:
        return outcome in ("completed", "failed", "disconnected")
    return outcome != "cancelled" or pairing.source is AsyncScriptedSource


ENDS = [
    pytest.param(pairing, outcome, id=f"{outcome}-{pairing.name}")
    for outcome in ("completed", "failed", "disconnected", "timeout", "shutdown", "cancelled")
    for pairing in PAIRINGS
    if can_end_so(pairing, outcome)
]


@every_callback
@pytest.mark.parametrize("pairing,outcome", ENDS)
def test_on_finish_is_called_once_whatever_the_end(pairing, outcome, callback):
    finished = Finished()
    with FakeClock() as clock:
        source = pairing.source(*script(outcome))
        stream = TokenStream(
            source,
            "text",
            source_timeout=10,
            keep_alive=None if pairing.inline else 100,
            on_finish=getattr(finished, callback),
        )

        blocks = pairing.source is ScriptedSource  # until its step is over

        def mid():
            """What happens once the first part is read."""
            if outcome == "timeout":
                clock.advance(10)
            elif outcome == "shutdown":
                stream._reader.pump.shut_down()
            elif outcome == "disconnected" and blocks:
                source.release()

        async def main():
            read = await anext(stream)
            mid()
            if outcome == "disconnected":
                await stream.aclose()
                return read
            read += await anext(stream, b"")
            source.release()
            return read + await aread_all(stream)

        if pairing.reads_async:
            read = asyncio.run(main())
        else:
            read = next(stream)
            mid()
            if outcome == "disconnected":
                stream.close()
            else:
                read += next(stream, b"")
                source.release()
                read += read_all(stream)
    assert finished.called.wait(10)
    (result,) = finished.results
    assert result.outcome == outcome
    assert read.startswith(b"data: a\n\n")
    if outcome != "shutdown":  # which does not wait for a reader to take the last word
        assert result.bytes_sent == len(read)
    assert (result.error is None) is (outcome in ("completed", "disconnected"))


@every_pairing
@every_callback
def test_on_finish_is_called_after_the_terminal_and_before_iteration_is_over(pairing, callback):
    finished = Finished()
    stream = pairing.make("a", on_finish=getattr(finished, callback))

    async def main():
        read = b""
        async for chunk in stream:
            assert not finished.results
            read += chunk
        return read, list(finished.results)

    if pairing.reads_async:
        read, results = asyncio.run(main())
    else:
        read = b""
        for chunk in stream:
            assert not finished.results
            read += chunk
        results = list(finished.results)
    assert read.endswith(b"data: [DONE]\n\n")
    assert len(results) == 1


@every_pairing
@every_callback
def test_on_finish_comes_after_the_source_is_closed(pairing, callback):
    finished = Finished()
    source = pairing.source("a")
    seen = []

    def on_finish(result):
        seen.append(source.closed.is_set())
        return getattr(finished, callback)(result)

    pairing.read(
        TokenStream(source, on_finish=on_finish, keep_alive=None if pairing.inline else 15)
    )
    assert seen == [True]


@every_pairing
@every_callback
def test_on_finish_that_raises_is_logged_and_harmless(pairing, callback, caplog):
    finished = Finished(error=ValueError("in on_finish"))
    stream = pairing.make("a", wire="text", on_finish=getattr(finished, callback))
    assert pairing.read(stream) == b"data: a\n\ndata: [DONE]\n\n"
    assert len(finished.results) == 1
    assert [r.getMessage() for r in caplog.records] == ["on_finish raised"]
    assert "in on_finish" in caplog.text


@pytest.mark.parametrize("pairing", [p for p in PAIRINGS if p.reads_async], ids=lambda p: p.name)
def test_where_on_finish_runs(pairing):
    for callback, wants_main in (("sync", False), ("coroutine", True)):
        finished = Finished()
        asyncio.run(aread_all(pairing.make("a", on_finish=getattr(finished, callback))))
        (thread,) = finished.threads
        # A sync one may block, with the ORM say; an async one is on the reader's loop.
        assert (thread == threading.main_thread().name) is wants_main


@every_pairing
def test_on_finish_sees_the_streams_context(pairing):
    finished = Finished()
    COLOR.set("green")
    stream = pairing.make("a", on_finish=finished.sync)
    COLOR.set("none")
    pairing.read(stream)
    assert finished.colors == (["none"] if pairing.inline else ["green"])


# An end that can't be told.


@every_pairing
@pytest.mark.parametrize(
    "part",
    [Usage(1, 2, {"details": object()}), Reasoning(None), ToolCall("a")],
    ids=["usage", "reasoning", "call"],
)
def test_what_can_not_be_told_in_the_end_fails_and_hangs_nobody(pairing, part):
    stream = pairing.make("a", ToolCall(0), part, wire=OpenAIChat(include_usage=True))
    read = pairing.read(stream)
    assert b'"message":"generation failed"' in read
    assert read.count(b"[DONE]") == 1
    assert result_of(stream).outcome == "failed"
    assert isinstance(result_of(stream).error, TypeError | errors.InvalidOption)


@every_pairing
@pytest.mark.parametrize("error", [SystemExit, asyncio.CancelledError])
def test_on_error_that_ends_the_thread_ends_neither_the_stream_nor_the_next(pairing, error):
    def broken(_):
        raise error

    for _ in range(2):
        stream = pairing.make("a", SourceBroke(), wire="text", on_error=broken)
        assert pairing.read(stream) == b"data: a\n\nevent: error\ndata: generation failed\n\n"


class Unspeakable(RuntimeError):
    def __str__(self):
        raise ZeroDivisionError


@every_pairing
def test_an_error_that_can_not_be_printed_is_told(pairing):
    stream = pairing.make("a", Unspeakable(), wire="text")
    assert pairing.read(stream) == b"data: a\n\nevent: error\ndata: generation failed\n\n"
    assert isinstance(result_of(stream).error, Unspeakable)


def test_a_stream_that_never_began_calls_nothing():
    finished = Finished()
    stream = TokenStream(["a"], on_finish=finished.sync)
    stream.close()
    assert finished.results == []


# Closing.


@every_pairing
def test_a_close_that_raises_is_logged_and_harmless(pairing, caplog):
    class Broken:
        def __iter__(self):
            return self

        def __next__(self):
            raise StopIteration

        def __aiter__(self):
            return self

        async def __anext__(self):
            raise StopAsyncIteration

        def close(self):
            raise OSError("in close")

    stream = TokenStream(Broken(), keep_alive=None if pairing.inline else 15)
    assert pairing.read(stream) == b"data: [DONE]\n\n"
    assert "closing the source raised" in caplog.text
    assert "in close" in caplog.text


class Response:
    """What SDKs return: an iterable that owns a connection, with an iterator beside it."""

    def __init__(self):
        self.log = []

    def __iter__(self):
        try:
            yield "a"
            yield "b"
        finally:
            self.log.append("iterator")

    def close(self):
        self.log.append("response")


class AsyncResponse(Response):
    async def __aiter__(self):
        try:
            yield "a"
            yield "b"
        finally:
            self.log.append("iterator")

    __iter__ = None

    async def close(self):
        self.log.append("response")


@every_pairing
@pytest.mark.parametrize("made", ["object", "factory"])
def test_the_iterator_and_its_owner_are_closed(pairing, made):
    kind = Response if pairing.source is ScriptedSource else AsyncResponse
    response = kind()
    stream = TokenStream(
        response if made == "object" else lambda: response,
        keep_alive=None if pairing.inline else 15,
    )
    pairing.read(stream)
    assert response.log == ["iterator", "response"]


@pytest.mark.parametrize("how", ["raises", "left"])
async def test_an_async_clean_up_may_await(how):
    log, go = [], asyncio.Event()

    async def source():
        try:
            yield "a"
            if how == "raises":
                raise SourceBroke("x")
            await asyncio.Event().wait()
        finally:
            log.append("begun")
            await go.wait()
            log.append("done")

    stream = TokenStream(source())
    await anext(stream)
    closing = asyncio.create_task(aread_all(stream) if how == "raises" else stream.aclose())
    await turns_until(lambda: log)
    go.set()
    await closing
    assert log == ["begun", "done"]


async def test_a_clean_up_once_begun_is_left_alone():
    log, go = [], asyncio.Event()

    async def source():
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            log.append("begun")
            await go.wait()
            log.append("done")

    stream = TokenStream(source())
    await anext(stream)
    closing = asyncio.create_task(stream.aclose())
    await turns_until(lambda: log)
    # Everything that could cancel it once more.
    closing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await closing
    stream.close()
    stream._reader.pump.shut_down()
    pump = stream._reader.pump
    del stream, closing
    await turns(20)
    assert log == ["begun"]
    go.set()
    await turns_until(lambda: pump.done.is_open)
    assert log == ["begun", "done"]


async def test_a_readers_cancelled_task_still_lets_the_clean_up_await():
    log = []

    async def source():
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            await turns(5)
            log.append("clean")

    stream = TokenStream(source())

    async def read():
        try:
            async for _ in stream:
                log.append("read")
        finally:
            await stream.aclose()

    task = asyncio.create_task(read())
    await turns_until(lambda: log)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["read", "clean"]


# A stream dropped by a collection in the middle of its own part.


class _Collects(Json):
    """A wire whose encoder runs a callback, as a garbage collection may."""

    def __init__(self, callback):
        object.__setattr__(self, "callback", callback)

    def begin(self):
        encoder = super().begin()
        text = encoder.text

        def collecting(token):
            self.callback()
            return text(token)

        encoder.text = collecting
        return encoder


def test_a_stream_may_be_dropped_while_a_part_of_it_is_framed():
    box, may_drop = [], threading.Event()

    def drop():
        assert may_drop.wait(10)
        box.clear()  # the last reference: the finalizer runs here, in the pump's thread

    source = ScriptedSource("a", "b", "c")
    stream = TokenStream(source, _Collects(drop))
    stream._start(None)
    box.append(stream)
    del stream
    may_drop.set()
    assert source.closed.wait(10)
    assert source.yielded <= 2


# Deadlines and ends from outside.


@pytest.mark.parametrize("pairing", PAIRINGS[:4], ids=lambda pairing: pairing.name)
def test_the_process_ends_a_stream_that_is_still_read(pairing):
    source = pairing.source("a", WAIT)
    stream = TokenStream(source, "text")

    def shut_down():
        process.shut_down()
        source.release()

    async def main():
        first = await anext(stream)
        await asyncio.to_thread(shut_down)
        return first + await aread_all(stream)

    if pairing.reads_async:
        read = asyncio.run(main())
    else:
        read = next(stream)
        shut_down()
        read += read_all(stream)
    assert read == b"data: a\n\nevent: error\ndata: the server is shutting down\n\n"
    result = result_of(stream)
    assert result.outcome == "shutdown"
    assert isinstance(result.error, errors.ServerShutdown)


def test_a_loop_that_ends_cancels_its_streams():
    finished = Finished()
    source = AsyncScriptedSource("a", WAIT)
    stream = TokenStream(source, "text", on_finish=finished.sync)

    async def main():
        return await anext(stream)

    assert asyncio.run(main()) == b"data: a\n\n"
    assert source.closed.is_set()
    # Another reader, of whatever kind, is told, and does not wait.
    assert read_all(stream) == b"event: error\ndata: generation was cancelled\n\n"
    assert result_of(stream).outcome == "cancelled"
    assert isinstance(result_of(stream).error, errors.SourceCancelled)


def test_a_thread_whose_readers_loop_ended_is_closed():
    finished = Finished()
    source = ScriptedSource(script=forever())
    stream = TokenStream(source, high_water=100, on_finish=finished.coroutine)

    async def main():
        await anext(stream)

    asyncio.run(main())
    stream.close()
    assert source.closed.wait(10)
    assert finished.called.wait(10)
    assert [r.outcome for r in finished.results] == ["disconnected"]


# Its memory.


@pytest.mark.parametrize("leaves", [False, True])
@pytest.mark.parametrize(
    "pairing", [it for it in PAIRINGS if not it.inline], ids=lambda it: it.name
)
def test_an_ended_stream_is_freed_without_the_collector(pairing, leaves):
    """A cycle would keep the whole text of each stream until the collector comes by."""

    def run():
        """Return a reference to what the pump alone holds in the end."""
        held = Held()
        source = pairing.source("a", *([WAIT] if leaves else []))
        stream = TokenStream(source, "text", on_error=held)
        if pairing.reads_async:
            asyncio.run(read(stream))
        else:
            next(stream)
            stream.close() if leaves else read_all(stream)
        source.release()  # a thread sees only then that it was left
        return weakref.ref(held)

    async def read(stream):
        await anext(stream)
        await stream.aclose() if leaves else await aread_all(stream)

    gc.disable()
    try:
        held = run()
        until(lambda: held() is None)
    finally:
        gc.enable()


class Held:
    def __call__(self, error):
        return ""
