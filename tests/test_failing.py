"""An error at each stage of a stream: told by the bytes alone, naming nothing, logged once."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tokenstream import Data, Text, TokenStream
from tokenstream.testing import AsyncScriptedSource
from tokenstream.wires import Encoder

from .pairings import every_pairing, result_of

DONE = b"data: [DONE]\n\n"
FAILED = b'event: error\ndata: {"error":"generation failed"}\n\n'
TEXT_FAILED = b"event: error\ndata: generation failed\n\n"


class Canary(Exception):
    """What must not be seen by the reader."""


CANARY = "canary-7f3a"


def token(text):
    return f'data: {{"token":"{text}"}}\n\n'.encode()


def data(*texts):
    return b"".join(b"data: " + text.encode() + b"\n\n" for text in texts)


class Parts:
    """An object that is iterated, of either kind. at: where it raises."""

    def __init__(self, *tokens, at=None, error=None):
        self._tokens = iter(tokens)
        self._at = at
        self._error = error or Canary(CANARY)
        self.closed = 0

    def _reach(self, place):
        if place == self._at:
            raise self._error

    def _next(self, end):
        for text in self._tokens:
            return text
        self._reach("end")
        raise end

    def _close(self):
        self.closed += 1
        self._reach("close")


class SyncParts(Parts):
    def __iter__(self):
        self._reach("iter")
        return self

    def __next__(self):
        return self._next(StopIteration)

    def close(self):
        self._close()


class AsyncParts(Parts):
    def __aiter__(self):
        self._reach("iter")
        return self

    async def __anext__(self):
        return self._next(StopAsyncIteration)

    async def aclose(self):
        self._close()


def parts(pairing, *tokens, **where):
    kind = AsyncParts if pairing.source is AsyncScriptedSource else SyncParts
    return kind(*tokens, **where)


def stream_of(pairing, source, wire="json", **options):
    if pairing.inline:
        options["keep_alive"] = None
    return TokenStream(source, wire, **options)


def raising(error):
    def call(*_):
        raise error

    return call


def tracebacks(caplog):
    """Return what was logged with a traceback."""
    return [record.exc_info[1] for record in caplog.records if record.exc_info]


def the_failure(pairing, caplog, source, wire="json", **options):
    """Read a stream that fails by the canary, and is logged once; return what was read."""
    stream = stream_of(pairing, source, wire, **options)
    read = pairing.read(stream)
    assert b"[DONE]" not in read
    assert CANARY.encode() not in read
    assert b"Canary" not in read
    assert result_of(stream).outcome == "failed"
    assert isinstance(result_of(stream).error, Canary)
    assert tracebacks(caplog) == [result_of(stream).error]
    return read


# The source.


@every_pairing
def test_a_factory(pairing, caplog):
    error = Canary(CANARY)

    async def afactory():
        raise error

    factory = afactory if pairing.source is AsyncScriptedSource else raising(error)
    assert the_failure(pairing, caplog, factory) == FAILED


@every_pairing
@pytest.mark.parametrize("owned", [False, True], ids=["it", "made"])
def test_what_makes_the_iterator(pairing, owned, caplog):
    source = parts(pairing, "a", at="iter")
    assert the_failure(pairing, caplog, (lambda: source) if owned else source) == FAILED
    assert source.closed == 1


@every_pairing
@pytest.mark.parametrize("tokens", ["", "a", "ab"])
def test_the_iterator(pairing, tokens, caplog):
    source = parts(pairing, *tokens, at="end")
    read = the_failure(pairing, caplog, source)
    assert read == b"".join(map(token, tokens)) + FAILED
    assert source.closed == 1


@every_pairing
def test_close_after_success(pairing, caplog):
    # The end came first: what a clean-up raises takes nothing of it back.
    stream = stream_of(pairing, parts(pairing, "a", at="close"))
    assert pairing.read(stream) == token("a") + DONE
    assert result_of(stream).outcome == "completed"
    assert [str(error) for error in tracebacks(caplog)] == [CANARY]


@every_pairing
@pytest.mark.parametrize("fails", [False, True], ids=["after success", "after a failure"])
def test_finally_of_a_generator(pairing, fails, caplog):
    # A generator's clean-up runs before its end is known: it is an error of the source's.
    def generate():
        try:
            yield "a"
            if fails:
                raise LookupError("first")
        finally:
            raise Canary(CANARY)

    async def agenerate():
        try:
            yield "a"
            if fails:
                raise LookupError("first")
        finally:
            raise Canary(CANARY)

    source = agenerate() if pairing.source is AsyncScriptedSource else generate()
    assert the_failure(pairing, caplog, source) == token("a") + FAILED
    assert ("first" in caplog.text) is fails


KINDS = [
    KeyboardInterrupt(CANARY), SystemExit(CANARY), GeneratorExit(CANARY), StopIteration(CANARY),
    StopAsyncIteration(CANARY), asyncio.CancelledError(CANARY), MemoryError(CANARY),
    RecursionError(CANARY), BaseException(CANARY), BaseExceptionGroup(CANARY, [SystemExit()]),
]  # fmt: skip


@every_pairing
@pytest.mark.parametrize("where", ["iter", "end", "close"])
@pytest.mark.parametrize("error", KINDS, ids=lambda error: type(error).__name__)
def test_errors_that_mean_something_else(pairing, error, where, caplog):
    on_loop = pairing.source is AsyncScriptedSource
    ends = isinstance(error, StopAsyncIteration if on_loop else StopIteration)
    source = parts(pairing, "a", at=where, error=error)
    results = []
    stream = stream_of(pairing, source, on_finish=results.append)
    is_for_the_loop = isinstance(error, (KeyboardInterrupt, SystemExit)) and on_loop
    if is_for_the_loop and pairing.reads_async:
        with pytest.raises(type(error)):
            pairing.read(stream)
        return
    read = pairing.read(stream)
    assert CANARY.encode() not in read
    first = b"" if where == "iter" else token("a")
    if where == "close" or (where == "end" and ends):
        assert read == first + DONE
        assert results[0].outcome == "completed"
    else:
        assert b"[DONE]" not in read
        assert read.startswith(first + b"event: error\n")
        assert len(read.removeprefix(first).split(b"\n\n")) == 2
        assert results[0].outcome in ("failed", "cancelled")
        assert len(tracebacks(caplog)) == 1
    assert len(results) == 1
    assert source.closed == 1


# What is called at the end.


@every_pairing
@pytest.mark.parametrize("steps", [["a"], ["a", LookupError("first")]], ids=["success", "failure"])
def test_on_finish(pairing, steps, caplog):
    plain = pairing.read(pairing.make(*steps))
    caplog.clear()
    stream = pairing.make(*steps, on_finish=raising(Canary(CANARY)))
    assert pairing.read(stream) == plain
    assert [type(error) for error in tracebacks(caplog)] == [
        *(type(step) for step in steps[1:]),
        Canary,
    ]


@every_pairing
def test_on_error(pairing, caplog):
    stream = pairing.make("a", LookupError("first"), on_error=raising(Canary(CANARY)))
    assert pairing.read(stream) == token("a") + FAILED
    assert sorted(type(error).__name__ for error in tracebacks(caplog)) == ["Canary", "LookupError"]


# A wire of the app's own.


class Fragile(Encoder):
    def __init__(self, breaks, error):
        super().__init__()
        self._breaks, self._error = breaks, error

    def _reach(self, place):
        if place in self._breaks:
            raise self._error

    def opening(self):
        self._reach("opening")
        return data("opening")

    def text(self, text):
        self._reach(text)
        return data(text)

    def done(self):
        self._reach("done")
        return DONE

    def error(self, message):
        self._reach("error")
        return b"event: error\n" + data(message)

    def keep_alive(self):
        self._reach("keep_alive")
        return super().keep_alive()


class Breaks(Text):
    """Its encoder raises in these places, or at these tokens."""

    def __init__(self, *places, error=None):
        self._places, self._error = places, error or Canary(CANARY)

    def begin(self):
        return Fragile(self._places, self._error)


OPENING = data("opening")


@every_pairing
@pytest.mark.parametrize(
    "place, before",
    [
        ("opening", b""),
        ("a", b""),
        ("c", OPENING + data("a", "b")),
        ("e", OPENING + data("a", "b", "c", "d")),
        ("done", OPENING + data("a", "b", "c", "d", "e")),
    ],
)
def test_a_wire(pairing, place, before, caplog):
    source = parts(pairing, *"abcde")
    read = the_failure(pairing, caplog, source, Breaks(place))
    assert read == before + TEXT_FAILED
    assert source.closed == 1


@every_pairing
@pytest.mark.parametrize("place", ["opening", "a"])
def test_a_wire_before_the_first_part(pairing, place, caplog):
    # Nothing is out yet: an adapter can still answer with an HTTP error.
    stream = stream_of(pairing, parts(pairing, "a", "b"), Breaks(place))
    with pytest.raises(Canary):
        if pairing.reads_async:
            asyncio.run(stream.aprime())
        else:
            stream.prime()
    assert tracebacks(caplog) == []  # it is raised


@every_pairing
def test_a_wire_of_nothing(pairing, caplog):
    for place in ("opening", "done"):
        caplog.clear()
        assert the_failure(pairing, caplog, parts(pairing), Breaks(place)) == TEXT_FAILED


@every_pairing
@pytest.mark.parametrize("place", ["end", "d", "done"])
def test_a_wire_that_can_not_even_say_so(pairing, place, caplog):
    # There is no terminal then: cut, which no reader takes for success.
    source = parts(pairing, *"abc", *("d" if place == "d" else ""), at=place)
    stream = stream_of(pairing, source, Breaks(place, "error", error=Canary(CANARY)))
    assert pairing.read(stream) == OPENING + data("a", "b", "c")
    assert result_of(stream).outcome == "failed"
    assert source.closed == 1
    assert [type(error) for error in tracebacks(caplog)] == [Canary, Canary]


@every_pairing
def test_a_wire_that_fails_with_its_source(pairing, caplog):
    source = parts(pairing, "a", "b", at="end", error=LookupError("first"))
    stream = stream_of(pairing, source, Breaks("b"))
    assert pairing.read(stream) == OPENING + data("a") + TEXT_FAILED
    assert source.closed == 1


@every_pairing
def test_a_part_with_no_place_or_no_encoding(pairing, caplog):
    for part in (Data("x", object()), object(), 1 << 20):
        caplog.clear()
        stream = stream_of(pairing, parts(pairing, "a", part, "b"))
        assert pairing.read(stream) == token("a") + FAILED
        assert len(tracebacks(caplog)) == 1


@pytest.mark.parametrize("reads_async", [False, True])
def test_a_keep_alive_of_a_wire(reads_async, caplog):
    caplog.set_level(logging.ERROR)
    closed = []

    async def silent():
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    stream = TokenStream(silent(), Breaks("keep_alive"), keep_alive=0.01)

    async def read():
        return b"".join([chunk async for chunk in stream])

    got = asyncio.run(read()) if reads_async else b"".join(stream)
    assert got == OPENING + data("a") + TEXT_FAILED
    assert closed == [True]
    assert [type(error) for error in tracebacks(caplog)] == [Canary]
