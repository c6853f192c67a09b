"""The ORM in sources and in `on_finish`: in every kind of test, and as in production."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.asgi import get_asgi_application
from django.db import OperationalError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.backends.sqlite3 import base as sqlite
from django.db.transaction import atomic
from django.http import JsonResponse
from django.test import (
    AsyncClient,
    Client,
    RequestFactory,
    TestCase,
    TransactionTestCase,
    override_settings,
)
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django_project.models import Message

from tokenstream import Result
from tokenstream.testing import WAIT, ScriptedSource, read_stream
from tokenstream_django import TokenStreamResponse, token_stream
from tokenstream_django.database import Lender, release_here

Serve = Callable[..., str]


def save(result: Result) -> None:
    Message.objects.create(text=f"reply {result.text}")


async def asave(result: Result) -> None:
    await Message.objects.acreate(text=f"reply {result.text}")


def texts(using: str = "default") -> list[str]:
    return list(Message.objects.using(using).order_by("pk").values_list("text", flat=True))


def tokens() -> Iterator[str]:
    """Read what the test wrote, before the first part and after it."""
    yield Message.objects.get(text="question").text
    Message.objects.create(text="noted")
    yield str(Message.objects.count())


async def atokens() -> AsyncIterator[str]:
    yield (await Message.objects.aget(text="question")).text
    await Message.objects.acreate(text="noted")
    yield str(await Message.objects.acount())


@token_stream(on_finish=save)
def generator_view(request: Any) -> Iterator[str]:
    yield from tokens()


@token_stream(on_finish=save)
async def async_view(request: Any) -> AsyncIterator[str]:
    async for token in atokens():
        yield token


@token_stream(on_finish=save)
async def async_view_sync_source(request: Any) -> object:
    return tokens()


@token_stream(on_finish=save)
def sync_view_async_source(request: Any) -> object:
    return atokens()


@token_stream(on_finish=asave)
def generator_view_async_on_finish(request: Any) -> Iterator[str]:
    yield from tokens()


@token_stream(on_finish=asave)
async def async_view_async_on_finish(request: Any) -> AsyncIterator[str]:
    async for token in atokens():
        yield token


@token_stream(on_finish=save, keep_alive=None)
def inline_view(request: Any) -> Iterator[str]:
    yield from tokens()


def response_view(request: Any) -> TokenStreamResponse:
    return TokenStreamResponse(tokens, request=request, on_finish=save)


def response_view_async_source(request: Any) -> TokenStreamResponse:
    return TokenStreamResponse(atokens, request=request, on_finish=save)


async def async_response_view(request: Any) -> TokenStreamResponse:
    return TokenStreamResponse(atokens, request=request, on_finish=asave)


VIEWS = [
    generator_view,
    async_view,
    async_view_sync_source,
    sync_view_async_source,
    generator_view_async_on_finish,
    async_view_async_on_finish,
    inline_view,
    response_view,
    response_view_async_source,
    async_response_view,
]
EACH = pytest.mark.parametrize("view", VIEWS)
SEEN = ["question", "2"]
WRITTEN = ["question", "noted", "reply question2"]


class _Cases:
    """Django's own test cases have no parameters: each runs all of the views."""

    def test_client(self) -> None:
        for view in VIEWS:
            with override_settings(ROOT_URLCONF=(path("", view),)):
                Message.objects.all().delete()
                Message.objects.create(text="question")
                transcript = read_stream(Client().post("/")).read()
                assert (transcript.tokens, transcript.done) == (SEEN, True), view
                assert texts() == WRITTEN, view
                assert not connection.allow_thread_sharing, view

    async def test_async_client(self) -> None:
        for view in VIEWS:
            with override_settings(ROOT_URLCONF=(path("", view),)):
                await Message.objects.all().adelete()
                await Message.objects.acreate(text="question")
                response = await AsyncClient().post("/")
                transcript = await read_stream(response).aread()
                assert (transcript.tokens, transcript.done) == (SEEN, True), view
                assert [m.text async for m in Message.objects.order_by("pk")] == WRITTEN, view


class InTestCase(_Cases, TestCase):
    pass


class InTransactionTestCase(_Cases, TransactionTestCase):
    pass


class InTestCaseOnAFile(TestCase):
    """A connection of its own would see the database, but not what the test wrote."""

    databases = {"default", "file"}  # noqa: RUF012

    def test_what_the_test_wrote_is_seen(self) -> None:
        @token_stream(on_finish=lambda _: Message.objects.using("file").create(text="reply"))
        def view(request: Any) -> Iterator[str]:
            yield Message.objects.using("file").get().text

        Message.objects.using("file").create(text="question")
        with override_settings(ROOT_URLCONF=(path("", view),)):
            transcript = read_stream(Client().post("/")).read()
        assert transcript.tokens == ["question"]
        assert texts("file") == ["question", "reply"]

    def test_reading_half_way_does_not_end_the_test_s_transaction(self) -> None:
        @token_stream
        def view(request: Any) -> Iterator[str]:
            while True:
                yield str(Message.objects.using("file").count())

        Message.objects.using("file").create(text="question")
        with override_settings(ROOT_URLCONF=(path("", view),)):
            read_stream(Client().post("/"), limit=1).read()
        read_stream(view(RequestFactory().post("/")), limit=1).read()
        assert texts("file") == ["question"]


@EACH
@pytest.mark.django_db
def test_django_db(view: Any, serve: Serve) -> None:
    Message.objects.create(text="question")
    assert read_stream(Client().post(serve(view))).read().tokens == SEEN
    assert texts() == WRITTEN


@EACH
@pytest.mark.django_db(transaction=True)
def test_transactional_db(view: Any, serve: Serve) -> None:
    Message.objects.create(text="question")
    assert read_stream(Client().post(serve(view))).read().tokens == SEEN
    assert texts() == WRITTEN


@EACH
@pytest.mark.django_db(transaction=True)
async def test_transactional_db_in_an_async_test(view: Any, serve: Serve) -> None:
    await Message.objects.acreate(text="question")
    response = await AsyncClient().post(serve(view))
    assert (await read_stream(response).aread()).tokens == SEEN
    assert [message.text async for message in Message.objects.order_by("pk")] == WRITTEN


@pytest.mark.django_db(transaction=True)
def test_a_source_writes_to_memory_while_the_test_reads(serve: Serve) -> None:
    # Another connection to the same memory would find the table locked.
    @token_stream
    def view(request: Any) -> Iterator[str]:
        yield str(Message.objects.create(text="noted").text)

    Message.objects.bulk_create([Message(text="a"), Message(text="b")])
    with connection.cursor() as cursor:
        cursor.execute("SELECT text FROM django_project_message")
        assert cursor.fetchone() == ("a",)
        assert read_stream(Client().post(serve(view))).read().tokens == ["noted"]
        assert cursor.fetchone() == ("b",)


# As in production: a database in a file, and no test's transaction.

in_production = pytest.mark.django_db(databases=["default", "file"], transaction=True)


@pytest.fixture
def opened() -> Iterator[list[BaseDatabaseWrapper]]:
    """The connections that other threads than the test's open."""
    seen: list[BaseDatabaseWrapper] = []
    here = threading.current_thread()

    def note(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
        if threading.current_thread() is not here:
            seen.append(connection)

    connection_created.connect(note)
    yield seen
    connection_created.disconnect(note)


def production_tokens() -> Iterator[str]:
    yield Message.objects.using("file").get(text="question").text


async def production_atokens() -> AsyncIterator[str]:
    yield (await Message.objects.using("file").aget(text="question")).text


def production_save(result: Result) -> None:
    Message.objects.using("file").create(text=f"reply {result.text}")


@in_production
@pytest.mark.parametrize("source", [production_tokens, production_atokens])
def test_what_a_stream_opens_it_closes_under_wsgi(
    source: Any, serve: Serve, opened: list[BaseDatabaseWrapper]
) -> None:
    Message.objects.using("file").create(text="question")
    view = token_stream(on_finish=production_save)(lambda request: source())
    response = Client().post(serve(view))
    assert read_stream(response).read().tokens == ["question"]
    del response
    assert texts("file") == ["question", "reply question"]
    assert len(opened) >= 1
    _until(lambda: all(each.connection is None for each in opened))
    assert not connections["file"].allow_thread_sharing


@in_production
@pytest.mark.parametrize("source", [production_tokens, production_atokens])
@pytest.mark.parametrize("is_async", [False, True])
async def test_what_a_stream_opens_it_closes_under_asgi(
    source: Any, is_async: bool, serve: Serve, opened: list[BaseDatabaseWrapper]
) -> None:
    import httpx

    from tokenstream.testing.transport import ASGITransport

    await Message.objects.using("file").acreate(text="question")
    opened.clear()  # the test's own ORM thread

    async def aview(request: Any) -> object:
        return source()

    def view(request: Any) -> object:
        return source()

    chosen = token_stream(on_finish=production_save)(aview if is_async else view)
    transport = ASGITransport(get_asgi_application())
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://testserver") as http,
        http.stream("POST", serve(csrf_exempt(chosen))) as response,
    ):
        assert (await read_stream(response).aread()).tokens == ["question"]
    del response
    assert len(opened) >= 1
    await asyncio.to_thread(_until, lambda: all(each.connection is None for each in opened))


@in_production
def test_a_stream_that_is_left_closes_its_connection(
    serve: Serve, opened: list[BaseDatabaseWrapper]
) -> None:
    @token_stream
    def view(request: Any) -> Iterator[str]:
        while True:
            yield str(Message.objects.using("file").count())

    read_stream(Client().post(serve(view)), limit=1).read()
    assert len(opened) == 1
    _until(lambda: opened[0].connection is None)


@in_production
def test_a_finished_response_closes_what_its_view_opened(
    serve: Serve, opened: list[BaseDatabaseWrapper]
) -> None:
    @token_stream
    async def view(request: Any) -> object:
        return JsonResponse({"count": await Message.objects.using("file").acount()})

    assert Client().post(serve(view)).json() == {"count": 0}
    assert len(opened) == 1
    _until(lambda: opened[0].connection is None)


def _until(condition: Callable[[], bool]) -> None:
    """A thread's last act is to close its connections: wait for the threads, not for a time."""
    for thread in threading.enumerate():
        if thread.name.startswith("tokenstream-") and thread.name != "tokenstream-loop":
            thread.join(10)
    assert condition()


# Giving connections back: sessions are counted under real servers in tests/servers.


def releasing(source: object = production_tokens) -> Callable[..., Any]:
    def view(request: Any) -> TokenStreamResponse:
        connections["file"].ensure_connection()
        return TokenStreamResponse(source, request=request, release_db=True)

    return view


@in_production
def test_a_stream_gives_back_the_request_s_connections(serve: Serve) -> None:
    Message.objects.using("file").create(text="question")
    events = iter(read_stream(Client().post(serve(releasing()))))
    assert connections["file"].connection is not None
    assert next(events).data == '{"token":"question"}'
    assert connections["file"].connection is None
    assert [event.data for event in events] == ["[DONE]"]


@in_production
def test_not_unless_it_is_asked_to(serve: Serve) -> None:
    connections["file"].ensure_connection()
    view = token_stream(lambda request: ["a"])
    assert read_stream(Client().post(serve(view))).read().tokens == ["a"]
    assert connections["file"].connection is not None


@in_production
def test_head_and_a_finished_response_leave_them_alone(serve: Serve) -> None:
    connections["file"].ensure_connection()
    Client().head(serve(releasing()))
    assert connections["file"].connection is not None


@in_production
@pytest.mark.parametrize("decorated", [True, False])
def test_a_transaction_keeps_its_connection(decorated: bool, serve: Serve) -> None:
    # As a test's own, or a view's under ATOMIC_REQUESTS while it is primed.
    view = (
        token_stream(release_db=True)(lambda request: ["a"]) if decorated else releasing(list("a"))
    )
    with atomic("file"):
        Message.objects.using("file").create(text="question")
        assert read_stream(Client().post(serve(view)), limit=1).read().tokens
        assert connections["file"].connection is not None
    assert texts("file") == ["question"]


@in_production
def test_a_transaction_without_atomic_keeps_it_too() -> None:
    connection = connections["file"]
    connection.set_autocommit(False)
    try:
        Message.objects.using("file").create(text="question")
        release_here()
        assert texts("file") == ["question"]
        connection.rollback()
    finally:
        connection.set_autocommit(True)
    assert texts("file") == []


@in_production
def test_a_connection_that_is_lent_is_kept() -> None:
    connection = connections["file"]
    connection.ensure_connection()
    connection.inc_thread_sharing()
    try:
        release_here()
        assert connection.connection is not None
    finally:
        connection.dec_thread_sharing()
    release_here()
    assert connection.connection is None


@in_production
def test_views_under_atomic_requests_commit_and_then_give_back(serve: Serve) -> None:
    @token_stream(release_db=True)
    def view(request: Any) -> Iterator[str]:
        Message.objects.using("file").create(text="asked")
        return iter(["a"])

    with _atomic_requests("file"):
        events = iter(read_stream(Client().post(serve(view))))
        assert connections["file"].connection is not None
        assert next(events).data == '{"token":"a"}'
        assert connections["file"].connection is None
        assert [event.data for event in events] == ["[DONE]"]
    assert texts("file") == ["asked"]


@contextmanager
def _atomic_requests(alias: str) -> Iterator[None]:
    options = connections[alias].settings_dict
    before = options["ATOMIC_REQUESTS"]
    options["ATOMIC_REQUESTS"] = True
    try:
        yield
    finally:
        options["ATOMIC_REQUESTS"] = before


@in_production
def test_a_connection_that_cannot_be_closed_is_none_of_the_streams_business(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Unclosable(sqlite.DatabaseWrapper):
        def _close(self) -> None:
            raise OperationalError("the server has gone")

    def work() -> None:
        broken = Unclosable(connections["file"].settings_dict, "file")
        connections["file"] = broken
        broken.connect()
        release_here()
        assert broken.connection is None

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "closing the connection 'file' raised" in caplog.text


# The lender itself.


@pytest.mark.django_db
def test_only_what_must_be_is_lent() -> None:
    lender = Lender()
    assert lender.is_due
    lender.look()
    assert not lender.is_due
    ours, theirs = connections["default"], []

    def work() -> None:
        with lender.scope():
            theirs.append(connections["default"])
            assert ours.allow_thread_sharing
        theirs.append(connections["default"])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert theirs[0] is ours
    assert theirs[1] is not ours
    assert not ours.allow_thread_sharing


@in_production
def test_production_lends_nothing() -> None:
    connections["file"].ensure_connection()
    lender = Lender()
    lender.look()
    theirs = []

    def work() -> None:
        with lender.scope():
            theirs.append(connections["file"])
            theirs[0].ensure_connection()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert theirs[0] is not connections["file"]
    assert theirs[0].connection is None
    assert connections["file"].connection is not None


@in_production
def test_a_pool_s_thread_keeps_what_it_had() -> None:
    lender = Lender()
    lender.look()
    was_open = []

    def work() -> None:
        own = connections["file"]
        own.ensure_connection()
        with lender.scope():
            assert connections["file"] is own
        was_open.append(own.connection is not None)
        own.close()
        for _ in range(2):  # a closed one stays behind, and is opened again
            with lender.scope():
                connections["file"].ensure_connection()
            was_open.append(connections["file"].connection is not None)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert was_open == [True, False, False]


@in_production
def test_the_reader_s_own_thread_keeps_its_connections(serve: Serve) -> None:
    @token_stream(keep_alive=None)
    def view(request: Any) -> Iterator[str]:
        yield str(Message.objects.using("file").count())

    connections["file"].close()
    assert read_stream(Client().post(serve(view))).read().tokens == ["0"]
    assert connections["file"].connection is not None


@pytest.mark.django_db
def test_a_blocked_source_does_not_keep_the_reader(serve: Serve) -> None:
    source = ScriptedSource("a", WAIT, "b")
    Message.objects.create(text="question")
    read_stream(Client().post(serve(token_stream(lambda request: source))), limit=1).read()
    assert texts() == ["question"]
    source.release()
    assert source.closed.wait(10)
