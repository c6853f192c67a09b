"""TokenStream: the table in every pairing, its options, and the reader's side of the contract."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import queue
import threading
import weakref

import pytest

from tokenstream import Finish, Json, Reasoning, Text, TokenStream, ToolCall, Usage, errors, sse
from tokenstream.host import Host
from tokenstream.testing import (
    WAIT,
    AsyncScriptedSource,
    FakeClock,
    ScriptedSource,
    forever,
    pause,
    read_stream,
)

from .cases import CASES, SourceBroke
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

BOTH_SOURCES = pytest.mark.parametrize(
    "kind", [ScriptedSource, AsyncScriptedSource], ids=["sync source", "async source"]
)
DONE = b"data: [DONE]\n\n"
FAILED = b'event: error\ndata: {"error":"generation failed"}\n\n'


def token(text: str) -> bytes:
    return sse.encode(sse.Event(f'{{"token":"{text}"}}'))


# The table.


@every_pairing
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_table(case, pairing):
    stream = pairing.make(*case.steps, wire=case.wire, host=Host(run_id=case.run_id))
    assert pairing.read(stream) == case.expected
    result = result_of(stream)
    assert result.outcome == case.outcome
    assert type(result.error) is (case.error or type(None))
    assert result.bytes_sent == len(case.expected)
    if case.text is not None:
        assert result.text == case.text
    assert stream.at_end


@every_pairing
def test_the_result(pairing):
    results = []
    stream = pairing.make(
        "a", Reasoning("hm"), ToolCall(1, "c", "f", "{"), ToolCall(1, arguments="}"), "b",
        Usage(3, 4), Finish("length"), on_finish=results.append,
    )  # fmt: skip
    assert stream.result is None
    raw = pairing.read(stream)
    (result,) = results
    assert result is stream.result
    assert (result.text, result.reasoning) == ("ab", "hm")
    assert result.tool_calls == (ToolCall(0, "c", "f", "{}"),)
    assert (result.outcome, result.error) == ("completed", None)
    assert (result.usage, result.finish_reason) == (Usage(3, 4), "length")
    assert result.parts == 7
    assert result.bytes_sent == len(raw)


@pytest.mark.parametrize("pairing", PAIRINGS[:4], ids=lambda pairing: pairing.name)
def test_times_are_the_clocks(pairing):
    with FakeClock() as clock:
        source = pairing.source(WAIT, "a", WAIT)
        stream = TokenStream(source)
        reader = threading.Thread(target=lambda: pairing.read(stream))
        reader.start()
        assert source.started.wait(10)
        clock.advance(2)
        source.release()
        until(lambda: source.yielded == 1 and stream._reader.pump.first_at is not None)
        clock.advance(3)
        source.release()
        reader.join(10)
    result = result_of(stream)
    assert result.ttft == 2
    assert result.duration == 5


@every_pairing
def test_no_part_no_ttft(pairing):
    stream = pairing.make()
    pairing.read(stream)
    assert result_of(stream).ttft is None


# What may be a source.


def gen():
    yield "a"
    yield "b"


async def agen():
    yield "a"
    yield "b"


async def opens_agen():
    return agen()


async def opens_gen():
    return gen()


class Old:
    """Iterates the old way."""

    def __getitem__(self, index):
        return "ab"[index]


class CallableIterable:
    """Both: it is not called."""

    def __iter__(self):
        return gen()

    def __call__(self):
        raise AssertionError("called")


SOURCES = {
    "list": lambda: ["a", "b"],
    "iterator": lambda: iter(("a", "b")),
    "generator": gen,
    "async generator": agen,
    "generator function": lambda: gen,
    "async generator function": lambda: agen,
    "lambda to a generator": lambda: lambda: gen(),
    "lambda to an async generator": lambda: lambda: agen(),
    "coroutine to an async generator": opens_agen,
    "coroutine to a generator": opens_gen,
    "coroutine function": lambda: opens_agen,
    "lambda to a coroutine": lambda: lambda: opens_agen(),
    "lambda to a coroutine to a generator": lambda: lambda: opens_gen(),
    "old sequence": Old,
    "callable and iterable": CallableIterable,
}


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("reader", ["for", "async for", "inline"])
def test_every_kind_of_source(make, reader):
    pairing = next(p for p in PAIRINGS if reader in p.name)
    options = {"keep_alive": None} if reader == "inline" else {}
    stream = TokenStream(make(), **options)
    assert pairing.read(stream) == token("a") + token("b") + DONE


class Both:
    def __iter__(self):
        return iter(["sync"])

    async def __aiter__(self):
        yield "async"


@pytest.mark.parametrize("make", [Both, lambda: Both], ids=["object", "factory"])
@every_pairing
def test_of_a_source_that_is_both_the_readers_kind_is_read(make, pairing):
    options = {"keep_alive": None} if pairing.inline else {}
    stream = TokenStream(make(), **options)
    assert pairing.read(stream) == token("async" if pairing.reads_async else "sync") + DONE


@every_pairing
def test_nothing_runs_before_someone_reads(pairing):
    source = pairing.source("a")
    calls = []
    stream = TokenStream(lambda: calls.append(1) or source)
    assert stream.headers
    assert stream.media_type == "text/event-stream"
    assert not calls
    assert not source.started.is_set()
    pairing.read(stream)
    assert calls == [1]


# What bad input gets.


@pytest.mark.parametrize(
    "source, says",
    [
        (None, "NoneType, which can't be iterated: give an iterable or async iterable of tokens"),
        (7, "int, which can't be iterated"),
        ("text", r"a str, which would be streamed in single characters: .* such as \[text\]"),
        (b"text", "a bytes, which would be streamed in single characters"),
        ({"a": 1}, "a dict, which would be streamed in keys"),
    ],
)
def test_what_is_no_source(source, says):
    with pytest.raises(errors.NotASource, match=says):
        TokenStream(source)


def test_an_exhausted_generator():
    done = gen()
    list(done)
    with pytest.raises(errors.NotASource, match="exhausted already: make a new one"):
        TokenStream(done)


async def test_an_exhausted_async_generator():
    done = agen()
    async for _ in done:
        pass
    with pytest.raises(errors.NotASource, match="exhausted already: make a new one"):
        TokenStream(done)


async def test_an_awaited_coroutine():
    done = opens_agen()
    await done
    with pytest.raises(errors.NotASource, match="awaited already: call it again"):
        TokenStream(done)


@pytest.mark.parametrize("returned", [None, 7, "text", {}])
@pytest.mark.parametrize("reader", ["for", "async for", "inline"])
@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_factory_that_returns_no_source(returned, reader, how):
    async def afactory():
        return returned

    pairing = next(p for p in PAIRINGS if reader in p.name)
    options = {"keep_alive": None} if reader == "inline" else {}
    stream = TokenStream((lambda: returned) if how == "sync" else afactory, **options)
    assert pairing.read(stream) == FAILED
    assert isinstance(result_of(stream).error, errors.NotASource)
    assert type(returned).__name__ in str(result_of(stream).error)


@pytest.mark.parametrize("name", ["keep_alive", "source_timeout", "send_timeout", "max_duration"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "15", False])
def test_seconds_that_mean_nothing(name, value):
    with pytest.raises(errors.InvalidOption, match=f"{name}=.*give seconds above 0, or None"):
        TokenStream([], **{name: value})


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "1"])
def test_a_prime_that_means_nothing(value):
    with pytest.raises(errors.InvalidOption, match=r"prime=.*give seconds, 0 for not to wait"):
        TokenStream([], prime=value)


@pytest.mark.parametrize("value", [0, -1, None, "64k"])
def test_a_high_water_that_means_nothing(value):
    with pytest.raises(errors.InvalidOption, match=r"high_water=.*give a number of bytes above 0"):
        TokenStream([], high_water=value)


def test_an_unknown_wire_gets_the_list():
    with pytest.raises(
        errors.UnknownWire, match="no wire is named 'jsn': choose one of json, text"
    ):
        TokenStream([], "jsn")


def test_bad_input_is_by_whose_fault_and_of_python_s_kind():
    assert issubclass(errors.NotASource, (errors.UsageError, TypeError))
    assert issubclass(errors.InvalidOption, ValueError)


@every_pairing
@pytest.mark.parametrize("error", [SourceBroke("secret"), KeyError(), BaseException("odd")])
def test_a_failure_is_logged_once_and_not_told(pairing, error, caplog):
    stream = pairing.make("a", error)
    assert pairing.read(stream) == token("a") + FAILED
    records = [r for r in caplog.records if r.exc_info]
    assert len(records) == 1
    assert records[0].exc_info[1] is error
    assert records[0].getMessage() == f"stream failed after 1 parts: {type(error).__name__}"


@every_pairing
def test_on_error(pairing):
    stream = pairing.make(SourceBroke("x"), wire="text", on_error=lambda e: f"sorry, {e}")
    assert pairing.read(stream) == b"event: error\ndata: sorry, x\n\n"


def test_headers_are_the_contracts():
    headers = TokenStream([]).headers
    assert headers == {
        "Content-Type": "text/event-stream; charset=utf-8",
        "Cache-Control": "no-cache, no-transform",
        "X-Accel-Buffering": "no",
    }
    headers["X"] = "mine"
    assert "X" not in TokenStream([]).headers


# Keep-alive.


@BOTH_SOURCES
def test_keep_alive_only_when_idle_sync(kind, fake_clock):
    source = kind("a", WAIT, "b", WAIT)
    stream = TokenStream(source)
    assert next(stream) == token("a")
    fake_clock.advance(14.9)
    source.release()
    assert next(stream) == token("b")  # which counts as a write
    fake_clock.advance(14.9)
    source.release()
    assert next(stream) == DONE

    source = kind("a", WAIT, "b")
    stream = TokenStream(source)
    assert next(stream) == token("a")
    for _ in range(3):
        fake_clock.advance(15)
        assert next(stream) == b": keep-alive\n\n"
    source.release()
    assert read_all(stream) == token("b") + DONE
    assert result_of(stream).bytes_sent == len(token("a") + token("b") + DONE) + 3 * 14


@BOTH_SOURCES
def test_keep_alive_wakes_a_thread_that_waits(kind, fake_clock):
    source = kind("a", WAIT)
    stream = TokenStream(source)
    read = []
    reader = threading.Thread(target=lambda: read.extend(stream))
    reader.start()
    until(
        lambda: stream._reader is not None and stream._reader.pump.inbox.reader is not None and read
    )
    fake_clock.advance(15)
    until(lambda: len(read) == 2)
    source.release()
    reader.join(10)
    assert read == [token("a"), b": keep-alive\n\n", DONE]


@BOTH_SOURCES
def test_keep_alive_wakes_a_task_that_waits(kind):
    async def main():
        with FakeClock() as clock:
            source = kind("a", WAIT, "b")
            stream = TokenStream(source, keep_alive=7)
            read = [await anext(stream)]
            waiting = asyncio.create_task(anext(stream))
            await turns(20)
            assert not waiting.done()
            clock.advance(6.9)
            await turns(20)
            assert not waiting.done()
            clock.advance(0.1)
            read.append(await waiting)
            source.release()
            return read + [chunk async for chunk in stream]

    read = asyncio.run(main())
    assert b"".join(read) == token("a") + b": keep-alive\n\n" + token("b") + DONE


@BOTH_SOURCES
def test_keep_alive_off(kind, fake_clock):
    source = kind("a", WAIT)
    stream = TokenStream(source, keep_alive=None, source_timeout=None)
    assert next(stream) == token("a")
    fake_clock.advance(10**6)
    source.release()
    assert next(stream) == DONE


def test_keep_alive_with_ids_has_no_blank_line(fake_clock):
    source = ScriptedSource("a", WAIT)
    stream = TokenStream(source, host=Host(run_id="r1"))
    first = next(stream)
    fake_clock.advance(15)
    comment = next(stream)
    assert comment == b": keep-alive\n"
    source.release()
    events = sse.Decoder().feed(first + comment + read_all(stream))
    assert [(e.id, e.data) for e in events] == [("r1", '{"token":"a"}'), ("r1.end", "[DONE]")]


def test_keep_alive_never_touches_the_source(fake_clock):
    source = ScriptedSource("a", WAIT, "b")
    stream = TokenStream(source, source_timeout=None)
    next(stream)
    for _ in range(100):
        fake_clock.advance(15)
        next(stream)
    assert source.yielded == 1
    source.release()
    read_all(stream)


# A lone token leaves at once.


@BOTH_SOURCES
def test_lock_step_sync(kind):
    source = kind(*[step for n in range(30) for step in (WAIT, str(n))], WAIT)
    stream = TokenStream(source)
    for n in range(30):
        source.release()
        assert next(stream) == token(str(n))
    source.release()
    assert next(stream) == DONE


@BOTH_SOURCES
async def test_lock_step_async(kind):
    source = kind(*[step for n in range(30) for step in (WAIT, str(n))], WAIT)
    stream = TokenStream(source)
    for n in range(30):
        source.release()
        assert await anext(stream) == token(str(n))
    source.release()
    assert await anext(stream) == DONE


@BOTH_SOURCES
def test_a_hot_source_costs_few_writes(kind):
    stream = TokenStream(kind(*["x"] * 2000))
    chunks = list(stream)
    assert b"".join(chunks) == token("x") * 2000 + DONE
    assert len(chunks) < 1000


@BOTH_SOURCES
async def test_a_hot_source_costs_few_writes_async(kind):
    chunks = [chunk async for chunk in TokenStream(kind(*["x"] * 2000))]
    assert b"".join(chunks) == token("x") * 2000 + DONE
    assert len(chunks) < 1000


# Leaving.


@every_pairing
def test_leaving_closes_the_source_and_tells_on_finish(pairing):
    results = []
    source = pairing.source("a", WAIT, "b", "c")
    options = {"keep_alive": None} if pairing.inline else {}
    stream = TokenStream(source, on_finish=results.append, **options)
    blocks = pairing.source is ScriptedSource  # until its step is over

    async def leave_async():
        await anext(stream)
        if blocks:
            source.release()
        await stream.aclose()
        await stream.aclose()  # no harm

    if pairing.reads_async:
        asyncio.run(leave_async())
    else:
        next(stream)
        if blocks:
            source.release()
        stream.close()
        stream.close()
    assert source.closed.wait(10)
    (result,) = results
    assert result.outcome == "disconnected"
    assert result.error is None
    assert result.text.startswith("a")
    assert list(stream) == []


@every_pairing
def test_leaving_after_the_terminal_is_success(pairing):
    results = []
    stream = pairing.make("a", on_finish=results.append)

    async def main():
        read = b""
        while not read.endswith(DONE):
            read += await anext(stream)
        assert stream.at_end
        await stream.aclose()

    if pairing.reads_async:
        asyncio.run(main())
    else:
        read = b""
        while not read.endswith(DONE):
            read += next(stream)
        stream.close()
    assert [result.outcome for result in results] == ["completed"]


@every_pairing
def test_leaving_before_the_terminal_was_taken_is_none(pairing):
    results = []
    source = pairing.source("a", WAIT)
    stream = TokenStream(
        source, on_finish=results.append, **({"keep_alive": None} if pairing.inline else {})
    )

    async def main():
        await anext(stream)
        source.release()
        await turns_until(lambda: source.closed.is_set())
        await stream.aclose()

    if pairing.reads_async:
        asyncio.run(main())
    else:
        next(stream)
        source.release()
        if not pairing.inline:
            assert source.closed.wait(10)
        stream.close()
    assert [result.outcome for result in results] == ["disconnected"]


@every_pairing
def test_closed_unread_never_starts_the_source(pairing):
    source = pairing.source("a")
    stream = TokenStream(source)
    if pairing.reads_async:
        asyncio.run(stream.aclose())
    else:
        stream.close()
    assert not source.started.is_set()
    with pytest.raises(errors.AlreadyRead, match="closed before it was read: make a new one"):
        pairing.read(stream)


class Opened:
    """What an SDK has opened: it must be closed though nobody reads it."""

    def __init__(self):
        self.closed = []

    def __iter__(self):
        raise AssertionError("read")

    def close(self):
        self.closed.append("close")


class AsyncOpened:
    def __init__(self):
        self.closed = []

    def __aiter__(self):
        raise AssertionError("read")

    async def close(self):
        self.closed.append("await close")


def test_what_was_opened_is_closed_unread():
    opened = Opened()
    TokenStream(opened).close()
    assert opened.closed == ["close"]
    stream = TokenStream(opened := AsyncOpened())
    asyncio.run(stream.aclose())
    assert opened.closed == ["await close"]


@pytest.mark.filterwarnings("error")
def test_a_coroutine_that_nobody_reads_makes_no_noise():
    stream = TokenStream(opens_agen())
    del stream
    gc.collect()
    stream = TokenStream(opens_agen())
    stream.close()


def test_a_coroutine_that_is_awaited_already_is_cancelled_where_it_waits():
    ended = queue.SimpleQueue()

    async def opens():
        try:
            await asyncio.Event().wait()
        except BaseException as error:
            ended.put(type(error))
            raise

    stream = TokenStream(opens(), prime=0.01)
    stream.prime()
    del stream
    gc.collect()
    assert ended.get(timeout=10) is asyncio.CancelledError


class Cyclic(TokenStream):
    """Has room for an attribute, such as itself."""


@BOTH_SOURCES
@pytest.mark.parametrize("cyclic", [False, True], ids=["", "in a cycle"])
def test_a_stream_dropped_half_read_closes_its_source(kind, cyclic):
    results = []
    source = kind("a", *["x"] * 10, WAIT)
    stream = Cyclic(source, on_finish=results.append, keep_alive=5)
    next(stream)
    ref = weakref.ref(stream)
    if cyclic:
        stream.itself = stream
    del stream
    gc.collect()
    assert ref() is None
    source.release()  # a blocked thread ends with its next step
    assert source.closed.wait(10)
    until(lambda: results)
    assert [result.outcome for result in results] == ["disconnected"]


def test_a_stream_dropped_half_read_closes_its_source_inline():
    source = ScriptedSource("a", "b")
    stream = TokenStream(source, keep_alive=None)
    next(stream)
    assert not source.closed.is_set()
    del stream
    gc.collect()
    assert source.closed.is_set()


@BOTH_SOURCES
def test_a_stream_dropped_unread_after_prime(kind):
    source = kind("a", WAIT)
    stream = TokenStream(source)
    stream.prime()
    del stream
    gc.collect()
    source.release()
    assert source.closed.wait(10)


@BOTH_SOURCES
def test_a_stream_dropped_unread_holds_nothing(kind):
    source = kind("a")
    ref = weakref.ref(source)
    stream = TokenStream(source)
    del stream, source
    gc.collect()
    assert ref() is None


async def test_a_stream_dropped_by_a_cancelled_reader():
    source = AsyncScriptedSource("a", WAIT)

    async def read():
        async for _ in TokenStream(source):
            pass

    task = asyncio.create_task(read())
    await turns_until(lambda: source.yielded)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    gc.collect()
    await turns(20)
    assert source.closed.is_set()


@BOTH_SOURCES
def test_leave_wakes_a_reader_in_another_thread(kind):
    source = kind("a", WAIT)
    stream = TokenStream(source)
    read = []
    reader = threading.Thread(target=lambda: read.extend(stream))
    reader.start()
    until(lambda: read)
    stream.leave()
    source.release()
    reader.join(10)
    assert not reader.is_alive()
    assert read == [token("a")]
    assert result_of(stream).outcome == "disconnected"


@BOTH_SOURCES
async def test_leave_wakes_a_reader_in_a_task(kind):
    source = kind("a", WAIT)
    stream = TokenStream(source)
    await anext(stream)
    waiting = asyncio.create_task(anext(stream, b"end"))
    await turns(20)
    source.release(1)
    threading.Thread(target=stream.leave).start()
    assert await waiting in (b"end", DONE)
    await stream.aclose()


@BOTH_SOURCES
def test_has_left_is_looked_at_while_nothing_comes(kind, fake_clock):
    left = threading.Event()
    looked = threading.Event()

    def has_left():
        looked.set()
        return left.is_set()

    source = kind("a", WAIT)
    stream = TokenStream(source, host=Host(has_left=has_left))
    read = []
    reader = threading.Thread(target=lambda: read.extend(stream))
    reader.start()
    until(lambda: read and stream._reader.pump.inbox.reader is not None)
    left.set()
    while not looked.is_set():
        fake_clock.advance(0.1)
    while reader.is_alive():
        fake_clock.advance(0.1)
        reader.join(0.01)
    assert read == [token("a")]
    # Not before: an async source that is at its end when it is cancelled has its clean-up cut.
    source.release()
    assert source.closed.wait(10)


# A next() that blocks.


class Blocked:
    """A source inside of a `next()` that nobody can interrupt."""

    def __init__(self):
        self.go = threading.Event()
        self.inside = threading.Event()
        self.closed = threading.Event()
        self.log = []

    def __iter__(self):
        return self

    def __next__(self):
        if not self.inside.is_set() and not self.log:
            self.log.append("first")
            return "a"
        self.inside.set()
        self.log.append("in")
        assert self.go.wait(30)
        self.log.append("out")
        return "b"

    def close(self):
        self.log.append(("close", threading.current_thread().name))
        self.closed.set()

    def finish(self):
        self.go.set()
        assert self.closed.wait(10)
        # Never during next(), and on its own thread.
        assert self.log == ["first", "in", "out", ("close", "tokenstream-pump")]


@pytest.mark.parametrize("how", ["close", "aclose", "drop"])
def test_a_blocked_next_frees_the_one_who_leaves(how):
    source = Blocked()
    stream = TokenStream(source)

    async def main():
        await anext(stream)
        await stream.aclose()

    if how == "aclose":
        asyncio.run(main())
    else:
        next(stream)
        assert source.inside.wait(10)
        if how == "close":
            stream.close()
        del stream
        gc.collect()
    assert not source.closed.is_set()
    source.finish()


@pytest.mark.parametrize("reads_async", [False, True], ids=["for", "async for"])
@pytest.mark.parametrize("option", ["source_timeout", "max_duration"])
def test_a_blocked_next_frees_the_reader_at_a_deadline(reads_async, option):
    with FakeClock() as clock:
        source = Blocked()
        stream = TokenStream(source, keep_alive=None if reads_async else 100, **{option: 50})

        def advance():
            assert source.inside.wait(10)
            until(lambda: stream._reader.pump.inbox.reader is not None)
            clock.advance(50)

        threading.Thread(target=advance).start()
        read = asyncio.run(aread_all(stream)) if reads_async else read_all(stream)
    assert read == token("a") + b'event: error\ndata: {"error":"generation timed out"}\n\n'
    assert result_of(stream).outcome == "timeout"
    assert not source.closed.is_set()
    source.finish()


def test_a_blocked_next_frees_the_worker_when_its_reader_has_left():
    source = Blocked()
    stream = TokenStream(source, host=Host(has_left=source.inside.is_set))
    assert read_all(stream) == token("a")
    assert not source.closed.is_set()
    source.finish()


def test_a_blocked_next_that_ends_after_its_loop_makes_no_noise(caplog):
    source = Blocked()
    stream = TokenStream(source)

    async def main():
        await anext(stream)
        await stream.aclose()

    asyncio.run(main())
    source.finish()
    until(lambda: stream._reader.pump.done.is_open)
    assert caplog.records == []


class Interruptible(Blocked):
    """One that says that it may be interrupted."""

    def __init__(self):
        super().__init__()
        self.interrupts = 0

    def __next__(self):
        super().__next__() if self.log else self.log.append("first")
        if self.interrupts:
            raise StopIteration
        return "a"

    def interrupt(self):
        self.interrupts += 1
        self.go.set()


@pytest.mark.parametrize("how", ["close", "aclose", "drop", "source_timeout"])
def test_a_source_that_may_be_interrupted_is(how):
    with FakeClock() as clock:
        source = Interruptible()
        stream = TokenStream(source, source_timeout=20, keep_alive=100)

        async def main():
            await anext(stream)
            await asyncio.to_thread(source.inside.wait, 10)
            await stream.aclose()

        if how == "aclose":
            asyncio.run(main())
        else:
            next(stream)
            assert source.inside.wait(10)
        if how == "close":
            stream.close()
        elif how == "drop":
            del stream
            gc.collect()
        elif how == "source_timeout":
            clock.advance(20)
            assert b"timed out" in read_all(stream)
    assert source.closed.wait(10)
    assert source.interrupts >= 1
    assert source.log[-1] == ("close", "tokenstream-pump")


# Slow readers.


@BOTH_SOURCES
def test_the_source_waits_at_high_water(kind):
    source = kind(*[str(n) for n in range(1000)])
    stream = TokenStream(source, "text", high_water=50)
    first = next(stream)  # of `data: 0\n\n` and its like: 9 bytes
    # It may run ahead until 50 bytes are held, and not a part further.
    until(lambda: stream._reader.pump.inbox.producer is not None)
    assert source.yielded <= len(first) // 9 + 6 + 1
    rest = read_all(stream)
    assert (first + rest).count(b"data: ") == 1001


@BOTH_SOURCES
def test_a_reader_that_makes_no_room_is_gone(kind, fake_clock):
    results = []
    finished = threading.Event()

    def on_finish(result):
        results.append(result)
        finished.set()

    source = kind(script=forever())
    stream = TokenStream(source, send_timeout=30, high_water=100, on_finish=on_finish)
    stream.prime()
    until(lambda: stream._reader.pump.inbox.producer is not None)
    fake_clock.advance(29)
    assert not finished.is_set()
    while not finished.is_set():
        fake_clock.advance(1)
    assert source.closed.is_set()
    assert [result.outcome for result in results] == ["disconnected"]
    rest = read_all(stream)
    # A cut stream never looks like a finished one, whatever the wire's success end is.
    assert rest.endswith(b'event: error\ndata: {"error":"generation failed"}\n\n')


@BOTH_SOURCES
@pytest.mark.parametrize("taken", ["nothing", "the last"])
def test_so_is_one_that_does_not_come_back_for_the_end(kind, taken, fake_clock):
    # A WSGI server writes between two reads, and may do so for ever.
    results = []
    source = kind("a")
    stream = TokenStream(source, on_finish=results.append, send_timeout=30)
    stream.prime()
    assert source.closed.wait(10)
    until(lambda: stream._reader.pump.inbox.producer is not None)
    if taken == "the last":
        fake_clock.advance(29)
        assert next(stream) == token("a") + DONE
        # It has as long again, for that write.
        fake_clock.advance(2)
        until(lambda: results or any(alarm.when >= 1059 for alarm in fake_clock._alarms))
    assert results == []
    while not results:
        fake_clock.advance(1)
    assert [result.outcome for result in results] == ["disconnected"]
    assert results[0].duration >= (59 if taken == "the last" else 30)


@BOTH_SOURCES
def test_a_slow_reader_is_not_gone_while_it_reads(kind, fake_clock):
    source = kind(*["x"] * 100)
    stream = TokenStream(source, "text", send_timeout=30, high_water=20)
    read = b""
    for chunk in stream:
        read += chunk
        until(lambda: stream._reader.pump.inbox.producer is not None or stream._reader.pump.ended)
        fake_clock.advance(14)
    assert read == b"data: x\n\n" * 100 + DONE
    assert fake_clock.now() > 1030


@BOTH_SOURCES
def test_a_slow_reader_is_no_slow_source(kind, fake_clock):
    stream = TokenStream(
        kind(*["x"] * 100), "text", source_timeout=10, send_timeout=None, high_water=20
    )
    read = b""
    for chunk in stream:
        read += chunk
        until(lambda: stream._reader.pump.inbox.producer is not None or stream._reader.pump.ended)
        fake_clock.advance(100)
    assert read == b"data: x\n\n" * 100 + DONE


def test_a_slow_reader_is_no_slow_source_inline(fake_clock):
    stream = TokenStream(["x"] * 5, "text", source_timeout=10, keep_alive=None)
    read = b""
    for chunk in stream:
        read += chunk
        fake_clock.advance(100)
    assert read == b"data: x\n\n" * 5 + DONE


# Deadlines.


@BOTH_SOURCES
def test_source_timeout_sync(kind, fake_clock):
    source = kind("a", WAIT, "never")
    stream = TokenStream(source, source_timeout=10, keep_alive=100)
    assert next(stream) == token("a")
    fake_clock.advance(9.9)
    fake_clock.advance(0.1)
    assert next(stream) == b'event: error\ndata: {"error":"generation timed out"}\n\n'
    source.release()
    assert list(stream) == []
    assert result_of(stream).outcome == "timeout"
    error = result_of(stream).error
    assert isinstance(error, errors.SourceTimeout)
    assert str(error) == "the source gave no part for 10 seconds"
    assert source.closed.wait(10)


@BOTH_SOURCES
async def test_source_timeout_async(kind):
    with FakeClock() as clock:
        source = kind(WAIT)
        stream = TokenStream(source, source_timeout=10)
        waiting = asyncio.create_task(anext(stream))
        await asyncio.to_thread(source.started.wait, 10)
        clock.advance(10)
        assert b"timed out" in await waiting
        source.release()
        assert [chunk async for chunk in stream] == []
        assert source.closed.is_set()


@BOTH_SOURCES
def test_parts_that_send_nothing_are_parts(kind, fake_clock):
    source = kind("a", WAIT, Usage(1, 1), WAIT, "b")
    stream = TokenStream(source, "text", source_timeout=10, keep_alive=8)
    assert next(stream) == b"data: a\n\n"
    fake_clock.advance(8)
    assert next(stream) == b": keep-alive\n\n"
    source.release()
    until(lambda: stream._reader.pump.machine.parts == 2)
    fake_clock.advance(8)
    assert next(stream) == b": keep-alive\n\n"  # it is 16 s since "a", but not since the usage
    source.release()
    assert read_all(stream) == b"data: b\n\n" + DONE


@BOTH_SOURCES
@pytest.mark.parametrize("reads_async", [False, True], ids=["for", "async for"])
def test_max_duration_ends_a_hot_source(kind, reads_async):
    with FakeClock() as clock:
        source = kind(script=forever())
        stream = TokenStream(source, max_duration=60)

        def tick(chunks):
            for n, chunk in enumerate(chunks):
                clock.advance(10 if n < 6 else 0)
                yield chunk

        async def main():
            read = b""
            async for chunk in stream:
                read += chunk
                clock.advance(10)
            return read

        read = asyncio.run(main()) if reads_async else b"".join(tick(stream))
    assert read.endswith(b'event: error\ndata: {"error":"generation timed out"}\n\n')
    result = result_of(stream)
    assert result.outcome == "timeout"
    assert isinstance(result.error, errors.DurationExceeded)
    assert str(result.error) == "the stream lasted 60 seconds"
    assert source.closed.wait(10)


def test_max_duration_ends_a_hot_source_inline(fake_clock):
    source = ScriptedSource(script=forever())
    read = b""
    for chunk in TokenStream(source, keep_alive=None, max_duration=60):
        read += chunk
        fake_clock.advance(20)
    assert read.endswith(b'event: error\ndata: {"error":"generation timed out"}\n\n')
    assert read.count(b"token") == 3
    assert source.closed.is_set()


def test_max_duration_ends_a_silent_source(fake_clock):
    source = AsyncScriptedSource("a", WAIT)
    stream = TokenStream(source, max_duration=60, keep_alive=None)
    assert next(stream) == token("a")
    fake_clock.advance(60)
    assert b"timed out" in next(stream)
    assert list(stream) == []


@pytest.mark.parametrize("made", ["async generator", "lambda"])
def test_source_timeout_holds_without_keep_alive_where_there_is_a_pump(made, fake_clock):
    source = AsyncScriptedSource("a", WAIT)
    stream = TokenStream(
        source if made == "async generator" else lambda: source, keep_alive=None, source_timeout=9
    )
    assert next(stream) == token("a")
    fake_clock.advance(9)
    read = []
    reader = threading.Thread(target=lambda: read.extend(stream), daemon=True)
    reader.start()
    reader.join(10)
    ended = not reader.is_alive()
    source.release()
    reader.join(10)
    assert ended
    assert b"timed out" in b"".join(read)


def test_a_pause_takes_its_time(fake_clock):
    source = ScriptedSource("a", pause(40), "b")
    stream = TokenStream(source)
    assert next(stream) == token("a")
    fake_clock.advance(15)
    assert next(stream) == b": keep-alive\n\n"
    fake_clock.advance(25)
    assert token("b") in read_all(stream)


# Before the first part.


@BOTH_SOURCES
@pytest.mark.parametrize("error", [SourceBroke("x"), SystemExit(3), KeyboardInterrupt()])
def test_prime_raises_what_the_source_raised(kind, error):
    results = []
    source = kind(error)
    stream = TokenStream(source, on_finish=results.append)
    with pytest.raises(type(error)) as raised:
        stream.prime()
    assert raised.value is error
    assert source.closed.is_set()
    assert [(r.outcome, r.error) for r in results] == [("failed", error)]


def test_prime_raises_what_the_source_raised_inline():
    stream = TokenStream(ScriptedSource(SourceBroke("x")), keep_alive=None)
    with pytest.raises(SourceBroke):
        stream.prime()


@BOTH_SOURCES
async def test_aprime_raises_what_the_source_raised(kind):
    results = []
    stream = TokenStream(kind(SourceBroke("x")), on_finish=results.append)
    with pytest.raises(SourceBroke):
        await stream.aprime()
    assert [r.outcome for r in results] == ["failed"]


@every_pairing
def test_where_a_reader_would_ask_again_an_early_failure_is_told_in_the_stream(pairing):
    options = {"host": Host(run_id="r"), "keep_alive": None if pairing.inline else 15}
    stream = TokenStream(pairing.source(SourceBroke("x")), "html", **options)

    async def main():
        assert await stream.aprime() is None
        return await aread_all(stream)

    if pairing.reads_async:
        read = asyncio.run(main())
    else:
        assert stream.prime() is None
        read = read_all(stream)
    assert read == (
        b"id: r.end\nevent: error\ndata: generation failed\n\nevent: close\ndata: closed\n\n"
    )
    assert (stream.result.outcome, type(stream.result.error)) == ("failed", SourceBroke)


@every_pairing
@pytest.mark.parametrize("bad", [lambda: None, lambda: iter([7])], ids=["no source", "no part"])
def test_prime_raises_usage_errors(pairing, bad):
    stream = TokenStream(bad, keep_alive=None if pairing.inline else 15)
    with pytest.raises(errors.UsageError):
        asyncio.run(stream.aprime()) if pairing.reads_async else stream.prime()


@every_pairing
def test_prime_takes_nothing(pairing):
    stream = pairing.make("a", "b")

    async def main():
        await stream.aprime()
        return await aread_all(stream)

    if pairing.reads_async:
        assert asyncio.run(main()) == token("a") + token("b") + DONE
    else:
        assert stream.prime() is None
        assert read_all(stream) == token("a") + token("b") + DONE


@every_pairing
@pytest.mark.parametrize("first", ["", Usage(1, 2)], ids=["an empty token", "usage"])
def test_prime_is_over_with_a_part_that_sends_nothing(pairing, first):
    source = pairing.source(first, WAIT, "b")
    stream = TokenStream(source, "text", keep_alive=None if pairing.inline else 15, prime=10**6)

    async def main():
        await stream.aprime()
        source.release()
        return await aread_all(stream)

    if pairing.reads_async:
        read = asyncio.run(main())
    else:
        stream.prime()
        source.release()
        read = read_all(stream)
    assert read == b"data: b\n\n" + DONE


@every_pairing
def test_prime_is_over_with_an_end(pairing):
    stream = pairing.make(prime=10**6)
    assert (asyncio.run(stream.aprime()) if pairing.reads_async else stream.prime()) is None


@BOTH_SOURCES
def test_prime_expires(kind, fake_clock):
    source = kind(WAIT, SourceBroke("late"))
    stream = TokenStream(source, prime=5)
    primed = threading.Event()
    thread = threading.Thread(target=lambda: (stream.prime(), primed.set()))
    thread.start()
    assert source.started.wait(10)
    until(lambda: stream._reader.pump.inbox.reader is not None)
    fake_clock.advance(4.9)
    assert not primed.is_set()
    fake_clock.advance(0.1)
    assert primed.wait(10)
    source.release()
    assert read_all(stream) == FAILED


@BOTH_SOURCES
def test_prime_none_waits_as_long_as_the_source_may_take(kind, fake_clock):
    source = kind(WAIT, "a")
    stream = TokenStream(source, prime=None, source_timeout=None)
    primed = threading.Event()
    thread = threading.Thread(target=lambda: (stream.prime(), primed.set()))
    thread.start()
    assert source.started.wait(10)
    until(lambda: stream._reader.pump.inbox.reader is not None)
    fake_clock.advance(10**6)
    assert not primed.is_set()
    source.release()
    assert primed.wait(10)
    thread.join()
    assert read_all(stream) == token("a") + DONE


@BOTH_SOURCES
def test_prime_0_does_not_wait(kind):
    source = kind(WAIT, "a")
    stream = TokenStream(source, prime=0)
    assert stream.prime() is None
    source.release()
    assert read_all(stream) == token("a") + DONE


async def test_aprime_expires():
    with FakeClock() as clock:
        source = AsyncScriptedSource(WAIT, "a")
        stream = TokenStream(source, prime=5)
        priming = asyncio.create_task(stream.aprime())
        await turns(20)
        assert not priming.done()
        clock.advance(5)
        assert await priming is None
        source.release()
        assert await aread_all(stream) == token("a") + DONE


def test_time_spent_priming_is_no_idle_time(fake_clock):
    source = ScriptedSource(WAIT, "a", WAIT)
    stream = TokenStream(source, prime=14, keep_alive=15)
    thread = threading.Thread(target=stream.prime)
    thread.start()
    until(lambda: stream._reader is not None and stream._reader.pump.inbox.reader is not None)
    fake_clock.advance(14)
    thread.join(10)
    source.release()
    assert next(stream) == token("a")
    source.release()
    assert next(stream) == DONE


# A finished response instead of parts.


class Page:
    """What the host calls a response."""


HOST = Host(is_response=lambda thing: isinstance(thing, Page))


def returns_page(page, *before):
    yield from before
    return page


@pytest.mark.parametrize("keep_alive", [15, None], ids=["pump", "inline"])
@pytest.mark.parametrize(
    "make",
    [
        lambda page: lambda: page,
        lambda page: returns_page(page),
        lambda page: lambda: returns_page(page),
    ],
    ids=["returned", "generator", "factory of one"],
)
def test_prime_returns_a_response(make, keep_alive):
    page, results = Page(), []
    stream = TokenStream(make(page), host=HOST, on_finish=results.append, keep_alive=keep_alive)
    assert stream.prime() is page
    assert results == []  # nothing was streamed


@pytest.mark.parametrize("sync", [False, True])
async def test_aprime_returns_a_response(sync):
    page = Page()

    async def view():
        return page

    stream = TokenStream((lambda: page) if sync else view, host=HOST)
    assert await stream.aprime() is page


@pytest.mark.parametrize("keep_alive", [15, None], ids=["pump", "inline"])
def test_a_response_after_a_part_is_too_late(keep_alive):
    stream = TokenStream(returns_page(Page(), "a"), host=HOST, keep_alive=keep_alive)
    assert stream.prime() is None
    assert read_all(stream) == token("a") + FAILED
    error = result_of(stream).error
    assert isinstance(error, errors.FinishedTooLate)
    assert "returned Page after the stream had begun: return a response before" in str(error)


@pytest.mark.parametrize("keep_alive", [15, None], ids=["pump", "inline"])
def test_a_response_that_nobody_primed_for_is_too_late(keep_alive):
    results = []
    stream = TokenStream(
        returns_page(Page()), host=HOST, keep_alive=keep_alive, on_finish=results.append
    )
    assert read_all(stream) == FAILED
    (result,) = results
    assert isinstance(result.error, errors.FinishedTooLate)
    assert result.outcome == "failed"
    assert result.bytes_sent == len(FAILED)


@every_pairing
def test_other_return_values_mean_nothing(pairing):
    def gen_returns():
        yield "a"
        return 7

    stream = TokenStream(gen_returns(), host=HOST, keep_alive=None if pairing.inline else 15)
    assert pairing.read(stream) == token("a") + DONE


# Errors that are no errors of the source's code.


@every_pairing
@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
def test_a_source_that_raises_cancelled_error(pairing, first):
    stream = pairing.make(*([] if first else ["a"]), asyncio.CancelledError())
    read = pairing.read(stream)
    assert b"event: error" in read
    assert b"[DONE]" not in read
    assert result_of(stream).outcome == (
        "cancelled" if pairing.source is AsyncScriptedSource else "failed"
    )


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt()], ids=lambda e: type(e).__name__
)
@pytest.mark.parametrize(
    "pairing", [p for p in PAIRINGS if not p.reads_async], ids=lambda p: p.name
)
def test_a_source_that_wants_to_end_the_process_fails_its_stream_only(pairing, error):
    results = []
    stream = pairing.make("a", error, on_finish=results.append)
    assert pairing.read(stream) == token("a") + FAILED
    assert [r.error for r in results] == [error]
    # The loop that all streams share still runs.
    again = pairing.make("b")
    assert pairing.read(again) == token("b") + DONE


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt()], ids=lambda e: type(e).__name__
)
def test_on_the_readers_own_loop_it_is_for_who_runs_that(error):
    stream = TokenStream(AsyncScriptedSource("a", error))
    with pytest.raises(type(error)):
        asyncio.run(aread_all(stream))


def test_a_generator_that_raises_generator_exit():
    stream = TokenStream(ScriptedSource("a", GeneratorExit()))
    assert read_all(stream) == token("a") + FAILED


@pytest.mark.parametrize("words", ["attached to a different loop", "Event loop is closed"])
async def test_a_source_of_another_loop_is_told_what_to_do(words):
    stream = TokenStream(AsyncScriptedSource(RuntimeError(f"Future {words}")))
    with pytest.raises(errors.ForeignLoop, match=r"belongs to another event loop.*give a callable"):
        await stream.aprime()


def test_a_real_source_of_another_loop():
    loop = asyncio.new_event_loop()
    future = loop.create_future()

    async def source():
        await future
        yield "a"

    stream = TokenStream(source())
    with pytest.raises(errors.ForeignLoop):
        stream.prime()
    loop.close()


# The kit reads it.


@every_pairing
def test_read_stream_reads_a_stream(pairing):
    stream = pairing.make(" a", "b")
    if pairing.reads_async:
        transcript = asyncio.run(read_stream(stream).aread())
    else:
        transcript = read_stream(stream).read()
    assert transcript.text == " ab"
    assert transcript.done


def test_wire_objects_and_names():
    assert TokenStream([], "text").wire == Text()
    assert TokenStream([]).wire == Json()


@pytest.mark.parametrize("limit", ["source_timeout", "max_duration"])
@pytest.mark.parametrize("pairing", [each for each in PAIRINGS if not each.inline], ids=str)
async def test_a_limit_that_passes_while_the_first_part_is_awaited(pairing, limit, fake_clock):
    source = pairing.source(WAIT, "a")
    stream = TokenStream(source, prime=1000, **{limit: 5})

    def let_time_pass():
        assert source.started.wait(10)
        fake_clock.advance(6)

    helper = threading.Thread(target=let_time_pass)
    helper.start()
    with pytest.raises(TimeoutError):
        if pairing.reads_async:
            await stream.aprime()
        else:
            await asyncio.to_thread(stream.prime)
    helper.join()
    source.release()
    assert stream.result.outcome == "timeout"


def test_ids_of_the_apps_own_events_count_for_the_form_of_a_comment(fake_clock):
    source = ScriptedSource(sse.Event("x", id="7"), WAIT)
    stream = TokenStream(source)
    assert next(stream) == b"id: 7\ndata: x\n\n"
    fake_clock.advance(15)
    assert next(stream) == b": keep-alive\n"
    source.release()
    list(stream)


def test_a_terminal_that_the_adapter_could_not_send_is_no_success():
    stream = TokenStream(["a"])
    while not stream.at_end:
        next(stream)
    stream.leave(unsent=True)
    stream.close()
    assert stream.result.outcome == "disconnected"


def test_a_reader_that_comes_back_has_sent_the_terminal():
    stream = TokenStream(["a"])
    list(stream)
    stream.leave(unsent=True)
    stream.close()
    assert stream.result.outcome == "completed"


@pytest.mark.parametrize("value", [None, 3, b"x"])
def test_on_error_that_returns_no_text(value, caplog):
    stream = TokenStream(ScriptedSource("a", SourceBroke("secret")), on_error=lambda _: value)
    assert read_all(stream) == token("a") + FAILED
    assert "on_error returned" in caplog.text


def test_on_error_that_is_async_is_told(caplog):
    async def on_error(error):
        return "late"

    stream = TokenStream(ScriptedSource("a", SourceBroke("secret")), on_error=on_error)
    assert read_all(stream) == token("a") + FAILED
    assert "on_error returned coroutine" in caplog.text


def test_a_type_error_of_the_sources_own_is_not_hidden():
    class Broken:
        def __iter__(self):
            raise TypeError("create() got an unexpected keyword argument 'temprature'")

    with pytest.raises(TypeError, match="temprature"):
        TokenStream(Broken()).prime()
