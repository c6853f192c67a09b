"""Counts that keep it fast: a time can't be a gate, but a task or a timer more a token can.

Everything is on, through the raw ASGI adapter, as a server runs it. What a
token may cost is what it costs the loop that one would write by hand.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import tracemalloc

import pytest

from tokenstream import Text, TokenStream
from tokenstream.drivers import loop as loop_driver
from tokenstream.testing import WAIT, FakeClock, ScriptedSource
from tokenstream_asgi import TokenStreamResponse

from .counting import CountingLoop
from .pairings import turns, turns_until

DONE = b"data: [DONE]\n\n"
SCOPE = {"type": "http", "method": "POST", "path": "/", "headers": []}

IDLE_STREAM_BYTES = 12_000
"""An idle stream holds no more: 11,100 measured on CPython 3.11, of which 2,700 are what the
request of a loop that is written by hand holds in the same test."""


class Counts:
    """What a loop was asked for."""

    def __init__(self, **counts):
        self.__dict__.update(counts)

    def __sub__(self, other):
        return Counts(**{name: n - getattr(other, name) for name, n in vars(self).items()})

    def __eq__(self, other):
        return vars(self) == vars(other)

    def __repr__(self):
        return repr(vars(self))


def counts(loop):
    return Counts(tasks=loop.tasks, timers=loop.timers, steps=loop.steps, calls=loop.calls)


@pytest.fixture
def counted():
    """Run on a loop that counts; it is given to what runs."""
    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        yield lambda main: runner.run(main(runner.get_loop()))


class Sent:
    """A server's `send` that never waits, and its `receive`, that gives nothing more."""

    def __init__(self):
        self.bodies = []
        self.changed = asyncio.Event()
        self._body_is_due = True

    async def send(self, message):
        if message["type"] == "http.response.body":
            self.bodies.append(message["body"])
            self.changed.set()

    async def receive(self):
        if self._body_is_due:
            self._body_is_due = False
            return {"type": "http.request", "body": b"", "more_body": False}
        return await asyncio.get_running_loop().create_future()

    async def until(self, count):
        while len(self.bodies) < count:
            self.changed.clear()
            await self.changed.wait()


def everything_on(source, wire="text"):
    """Return an app that streams it with all that there is to be watched."""

    async def on_finish(result):
        assert result.outcome in ("completed", "disconnected")

    return TokenStreamResponse(
        source,
        wire,
        keep_alive=15,
        source_timeout=300,
        send_timeout=30,
        max_duration=3600,
        on_finish=on_finish,
        on_error=str,
    )


def by_hand(source):
    """Return the app that one would write."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        async for token in source:
            frame = f"data: {token}\n\n".encode()
            await send({"type": "http.response.body", "body": frame, "more_body": True})
        await send({"type": "http.response.body", "body": DONE, "more_body": False})

    return app


# An async source, a token at a time.


async def paced(gate, count):
    for n in range(count):
        await gate.acquire()
        yield str(n)
    await gate.acquire()  # the end comes alone, too


async def stream_paced(make, loop, count):
    """Let one token go at a time; return what the second to the last have cost, and were."""
    gate, sent = asyncio.Semaphore(0), Sent()
    request = asyncio.ensure_future(make(paced(gate, count + 1))(SCOPE, sent.receive, sent.send))
    gate.release()
    await turns(20)  # the first is apart: it lets the response begin
    assert sent.bodies == [b"data: 0\n\n"]
    before = counts(loop)
    for _ in range(count):
        gate.release()
        await turns(4)
    cost = counts(loop) - before
    chunks = sent.bodies[1:]
    gate.release()
    await request
    return cost, chunks


def test_a_paced_token_costs_one_write_and_what_it_costs_by_hand(counted, monkeypatch):
    # A machine that is busy with others may take a slice's millisecond away from one token.
    monkeypatch.setattr(loop_driver, "SLICE_SECONDS", 60.0)
    count = 300

    async def main(loop):
        return await stream_paced(by_hand, loop, count), await stream_paced(
            everything_on, loop, count
        )

    (raw, _), (ours, chunks) = counted(main)
    assert chunks == [b"data: %d\n\n" % n for n in range(1, count + 1)]  # one write each
    assert ours == raw  # not a step of the loop more
    assert (ours.tasks, ours.timers, ours.calls) == (0, 0, 0)
    # `turns` takes four; one is the wake-up of the task that waits for the token.
    assert ours.steps == count * 5


def test_a_stream_makes_two_tasks_and_no_timer_of_its_tokens(counted):
    async def cost_of(loop, count):
        before = counts(loop)
        await stream_paced(everything_on, loop, count)
        return counts(loop) - before

    async def main(loop):
        return await cost_of(loop, 1), await cost_of(loop, 300)

    few, many = counted(main)
    assert (few.tasks, few.timers) == (many.tasks, many.timers)
    assert many.tasks == 1 + 2  # the request's, which is this test's; the source's, the watch
    assert many.timers <= 2  # the one that is armed once, and the wait for the clean-up


# A source that never waits.


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_a_hot_source_costs_few_writes_and_loses_nothing(counted, kind):
    count = 10_000

    def hot():
        for n in range(count):
            yield str(n)

    async def ahot():
        for n in range(count):
            yield str(n)

    async def main(loop):
        sent, before = Sent(), counts(loop)
        app = everything_on(hot() if kind == "sync" else ahot())
        await app(SCOPE, sent.receive, sent.send)
        return sent.bodies, counts(loop) - before

    bodies, cost = counted(main)
    assert b"".join(bodies) == b"".join(b"data: %d\n\n" % n for n in range(count)) + DONE
    assert len(bodies) <= count / 10
    assert cost.steps + cost.calls <= count / 10
    assert cost.tasks <= 3
    assert cost.timers <= 3


class CountingText(Text):
    """Counts how often its encoders are asked."""

    def __init__(self):
        super().__init__()
        object.__setattr__(self, "asked", [])

    def begin(self):
        encoder, asked = super().begin(), self.asked

        class Counting(type(encoder)):
            def text(self, text):
                asked.append(1)
                return super().text(text)

            def texts(self, texts):
                asked.append(len(texts))
                return super().texts(texts)

        return Counting()


async def test_a_hot_async_source_is_framed_many_tokens_at_a_time():
    count, wire = 10_000, CountingText()

    async def hot():
        for n in range(count):
            yield str(n)

    sent = Sent()
    await everything_on(hot(), wire)(SCOPE, sent.receive, sent.send)
    assert sum(wire.asked) == count
    assert len(wire.asked) <= count / 10


# A sync source under a loop.


def test_a_sync_source_costs_one_thread_and_one_wake_up_a_token(counted):
    count = 200
    source = ScriptedSource(*[step for n in range(count + 1) for step in (WAIT, str(n))], WAIT)

    async def main(loop):
        threads, sent = threading.active_count(), Sent()
        app = everything_on(source)
        request = asyncio.ensure_future(app(SCOPE, sent.receive, sent.send))
        source.release()
        await sent.until(1)
        before = counts(loop)
        for n in range(count):
            source.release()
            await sent.until(n + 2)
            assert threading.active_count() <= threads + 1
        cost = counts(loop) - before
        source.release()
        await request
        return cost, sent.bodies

    cost, bodies = counted(main)
    assert bodies == [b"data: %d\n\n" % n for n in range(count + 1)] + [DONE]
    assert source.threads == {"tokenstream-pump"}
    assert cost.calls <= count
    assert (cost.tasks, cost.timers) == (0, 0)


@pytest.mark.parametrize("tokens", [1, 1000])
def test_a_sync_source_with_no_clock_needs_no_thread(tokens):
    before = set(threading.enumerate())
    seen = set()

    def source():
        for n in range(tokens):
            seen.update(threading.enumerate())
            yield str(n)

    read = b"".join(TokenStream(source(), "text", keep_alive=None))
    assert read.count(b"data:") == tokens + 1
    assert seen <= before


# A stream where nothing comes.


async def silent():
    yield "a"
    await asyncio.get_running_loop().create_future()


async def open_idle(app, sent=None):
    """Return a request that has had its first token."""
    sent = sent or Sent()
    request = asyncio.ensure_future(app(SCOPE, sent.receive, sent.send))
    await turns_until(lambda: sent.bodies)
    await turns(5)
    return request


async def close(*requests):
    for request in requests:
        request.cancel()
    await asyncio.gather(*requests, return_exceptions=True)


def test_an_idle_stream_has_two_tasks_and_no_thread(counted):
    async def main(loop):
        tasks, threads = asyncio.all_tasks(), threading.active_count()
        request = await open_idle(everything_on(silent()))
        names = sorted(it.get_name() for it in asyncio.all_tasks() - tasks - {request})
        assert names == ["tokenstream-pump", "tokenstream-watch"]
        assert threading.active_count() == threads
        before = counts(loop)
        await turns(100)
        cost = counts(loop) - before
        assert (cost.tasks, cost.timers, cost.calls) == (0, 0, 0)
        assert cost.steps == 100  # `turns`, and nothing beside it
        await close(request)

    counted(main)


class CountingClock(FakeClock):
    """Counts the timers that are made on it."""

    def __init__(self):
        super().__init__()
        self.timers = 0

    def call_at(self, loop, when, callback):
        self.timers += 1
        return super().call_at(loop, when, callback)


@pytest.mark.parametrize("periods", [1, 10])
async def test_an_idle_stream_costs_one_timer_a_keep_alive_period(periods):
    with CountingClock() as clock:
        sent = Sent()
        request = await open_idle(everything_on(silent()), sent)
        await turns(10)
        before = clock.timers
        for n in range(periods):
            clock.advance(15)
            await turns_until(lambda n=n: len(sent.bodies) == n + 2)
            await turns(10)
        assert sent.bodies == [b"data: a\n\n"] + [b": keep-alive\n\n"] * periods
        assert before <= 1
        assert clock.timers - before == periods
        await close(request)


async def test_tokens_of_a_whole_period_cost_one_timer_more():
    with CountingClock() as clock:
        gate, sent = asyncio.Semaphore(0), Sent()
        app = everything_on(paced(gate, 10**6))
        request = asyncio.ensure_future(app(SCOPE, sent.receive, sent.send))
        gate.release()
        await turns(20)
        before = clock.timers
        for _ in range(160):
            gate.release()
            clock.advance(0.1)
            await turns(6)
        assert len(sent.bodies) == 161  # and no keep-alive among them
        assert clock.timers - before == 1
        await close(request)


async def test_what_an_idle_stream_holds():
    async def held_by(make):
        await close(await open_idle(make(silent())))  # what is made once, is
        gc.collect()
        tracemalloc.start()
        try:
            requests = [await open_idle(make(silent())) for _ in range(200)]
            gc.collect()
            return tracemalloc.get_traced_memory()[0] / len(requests)
        finally:
            tracemalloc.stop()
            await close(*requests)

    ours = await held_by(everything_on)
    print(f"an idle stream holds {ours:.0f} bytes, by hand {await held_by(by_hand):.0f}")
    assert ours < IDLE_STREAM_BYTES
