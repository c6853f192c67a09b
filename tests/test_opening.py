"""What a source is; how each kind is opened and closed is tested through streams."""

from __future__ import annotations

import contextlib
import functools
import inspect

import pytest

from tokenstream import TokenStream
from tokenstream.errors import ForeignLoop, NotASource
from tokenstream.opening import (
    aclose_all,
    check_source,
    close_all,
    explained,
    is_async,
    is_factory,
    open_async,
    open_sync,
    runs_on_loop,
)


def gen():
    yield "a"


async def agen():
    yield "a"


async def coroutine():
    return []


class Both:
    def __iter__(self):
        return iter("a")

    def __aiter__(self):
        return agen()


@pytest.mark.parametrize(
    "source, on_loop",
    [
        (["a"], False),
        (gen, False),
        (agen, True),
        (coroutine, True),
        (functools.partial(agen), True),
        (functools.partial(coroutine), True),
        (functools.partial(gen), False),
        (lambda: agen(), False),  # not to be seen before it is called
    ],
)
def test_what_shows_before_a_source_is_called(source, on_loop):
    assert is_async(source) is on_loop
    assert runs_on_loop(source, wants_async=False) is on_loop


def test_of_both_kinds_the_reader_chooses():
    assert not is_async(Both())
    assert runs_on_loop(Both(), wants_async=True)
    assert not runs_on_loop(Both(), wants_async=False)


def test_a_factory_can_be_called_and_not_iterated():
    assert is_factory(gen)
    assert is_factory(Both)
    assert not is_factory(Both())
    assert not is_factory(gen())


def test_a_source_that_can_be_iterated_once_more_is_fine():
    source = ["a"]
    for _ in range(2):
        check_source(source)
        assert list(open_sync(source)) == ["a"]


class Refuses:
    """Looks like a source, and can't be iterated."""

    __iter__ = None

    def __getitem__(self, index):
        raise IndexError


def test_what_gives_no_iterator():
    with pytest.raises(NotASource, match="the source gave Refuses, which can't be iterated"):
        open_sync(Refuses())


async def test_open_async():
    assert [part async for part in open_async(agen())] == ["a"]
    with pytest.raises(NotASource):
        open_async("text")


def test_close_all_closes_each_once_and_goes_on(caplog):
    log = []

    class Thing:
        def __init__(self, name, error=None):
            self.name, self.error = name, error

        def close(self):
            log.append(self.name)
            if self.error:
                raise self.error

    one, two, three = Thing("one"), Thing("two", OSError("no")), Thing("three")
    close_all(one, two, one, None, object(), three)
    assert log == ["one", "two", "three"]
    assert caplog.text.count("closing the source raised") == 1


async def test_aclose_all_awaits_where_it_must():
    log = []

    class Aclose:
        async def aclose(self):
            log.append("aclose")

        def close(self):
            log.append("close")

    class AsyncClose:
        async def close(self):
            log.append("await close")

    class Close:
        def close(self):
            log.append("close")

    await aclose_all(Aclose(), AsyncClose(), Close())
    assert log == ["aclose", "await close", "close"]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Task got Future attached to a different loop"),
        RuntimeError("<asyncio.locks.Lock> is bound to a different event loop"),
        RuntimeError("Event loop is closed"),
    ],
)
def test_asyncio_s_words_on_loops_are_explained(error):
    told = explained(error)
    assert isinstance(told, ForeignLoop)
    assert told.__cause__ is error
    assert "give a callable, such as `lambda: client.create(...)`" in str(told)


class Unspeakable(RuntimeError):
    def __str__(self):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("else"),
        ValueError("Event loop is closed"),
        RuntimeError(),
        RuntimeError(5),
        Unspeakable("else"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_other_errors_are_left_alone(error):
    assert explained(error) is error


def test_an_unstarted_coroutine_is_a_source():
    source = coroutine()
    check_source(source)
    source.close()
    assert inspect.getcoroutinestate(source) == inspect.CORO_CLOSED
    with pytest.raises(NotASource, match="awaited already"):
        check_source(source)


# Context managers.


class Managed:
    """A context manager of tokens, that is not itself one to iterate."""

    def __init__(self, given):
        self.given, self.left = given, []

    def __enter__(self):
        return self.given

    def __exit__(self, *error):
        self.left.append(error)


class AsyncManaged:
    def __init__(self, given):
        self.given, self.left = given, []

    async def __aenter__(self):
        return self.given

    async def __aexit__(self, *error):
        self.left.append(error)


async def tokens():
    yield "a"
    yield "b"


@pytest.mark.parametrize("make", [lambda: Managed(["a", "b"]), lambda: AsyncManaged(tokens())])
@pytest.mark.parametrize("is_called", [False, True])
def test_a_context_manager_is_entered_and_left_once(make, is_called):
    managed = make()
    frames = b"".join(TokenStream((lambda: managed) if is_called else managed, "text"))
    assert frames == b"data: a\n\ndata: b\n\ndata: [DONE]\n\n"
    assert managed.left == [(None, None, None)]


def test_one_that_gives_nothing_to_iterate_is_left_and_named():
    managed = Managed(5)
    stream = TokenStream(managed, "text")
    assert b"event: error" in b"".join(stream)
    assert isinstance(stream.result.error, NotASource)
    assert len(managed.left) == 1


def test_one_that_is_never_read_is_not_entered():
    managed = Managed(["a"])
    TokenStream(managed, "text").close()
    assert managed.left == []


def test_a_generator_made_a_manager_is_no_factory():
    left = []

    @contextlib.contextmanager
    def opened():
        yield ["a"]
        left.append(True)

    assert b"".join(TokenStream(opened(), "text")).startswith(b"data: a\n\n")
    assert left == [True]
