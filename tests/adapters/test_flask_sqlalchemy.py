"""Flask-SQLAlchemy: one session from the view to `on_finish`, removed once, at the end."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tokenstream import Result
from tokenstream.testing import read_stream
from tokenstream_flask import TokenStreamResponse, token_stream

from ..needs import need_module

flask_sqlalchemy = need_module("flask_sqlalchemy")
sqlalchemy = need_module("sqlalchemy")

SECONDS = 20.0


class Shop:
    """An app with a table, whose sessions tell when they are closed."""

    def __init__(self, url: str) -> None:
        self.closed: list[int] = []
        self.app = Flask(__name__)
        self.app.testing = True
        self.app.config["SQLALCHEMY_DATABASE_URI"] = url
        self.db = db = flask_sqlalchemy.SQLAlchemy(
            self.app, session_options={"class_": self._session_class()}
        )

        class Word(db.Model):
            id = db.Column(db.Integer, primary_key=True)
            text = db.Column(db.String)

        self.Word = Word
        with self.app.app_context():
            db.create_all()
            db.session.add_all([Word(text="a"), Word(text="b"), Word(text="c")])
            db.session.commit()
        self.closed.clear()

    def _session_class(self) -> Any:
        closed = self.closed

        class Telling(flask_sqlalchemy.session.Session):
            def close(self) -> None:
                closed.append(id(self))
                super().close()

        return Telling

    def texts(self) -> list[str]:
        with self.app.app_context():
            return list(self.db.session.scalars(sqlalchemy.select(self.Word.text)))

    def words(self) -> Iterator[str]:
        for word in self.db.session.scalars(sqlalchemy.select(self.Word)):
            assert not self.closed
            yield word.text
        self.sessions.append(id(self.db.session()))

    async def awords(self) -> AsyncIterator[str]:
        for word in self.words():
            yield word

    def view(self, source: Any, **options: Any) -> Any:
        self.sessions: list[int] = []
        self.finished = threading.Event()

        def on_finish(result: Result) -> None:
            assert not self.closed
            self.sessions.append(id(self.db.session()))
            self.db.session.add(self.Word(text=result.outcome))
            self.db.session.commit()
            self.finished.set()

        def view() -> Any:
            assert self.db.session.get(self.Word, 1).text == "a"
            self.sessions.append(id(self.db.session()))
            return TokenStreamResponse(source, "text", on_finish=on_finish, **options)

        return view


@pytest.fixture(params=["memory", "file"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    shop = Shop("sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path}/db.sqlite")
    yield shop
    with shop.app.app_context():
        pool = shop.db.engine.pool
        shop.db.engine.dispose()
    if request.param == "file":
        assert pool.checkedout() == 0


@pytest.mark.parametrize("kind", ["words", "awords"])
@pytest.mark.parametrize("keep_alive", [15, None])
@pytest.mark.parametrize("decorated", [True, False])
def test_one_session_removed_once(
    shop: Shop, kind: str, keep_alive: float | None, decorated: bool
) -> None:
    view = shop.view(getattr(shop, kind), keep_alive=keep_alive)
    shop.app.add_url_rule("/", "view", token_stream(view) if decorated else view)
    response = shop.app.test_client().get("/")
    assert shop.closed == []
    assert read_stream(response).read().tokens == ["a", "b", "c"]
    assert len(shop.sessions) == 3
    assert shop.closed == [shop.sessions[0]]
    assert set(shop.sessions) == {shop.sessions[0]}
    assert shop.texts() == ["a", "b", "c", "completed"]


@pytest.mark.parametrize("keep_alive", [15, None])
def test_a_generator_view(shop: Shop, keep_alive: float | None) -> None:
    def view() -> Iterator[str]:
        yield from shop.words()

    shop.view(None)
    shop.app.add_url_rule("/", "view", token_stream("text", keep_alive=keep_alive)(view))
    response = shop.app.test_client().get("/")
    assert shop.closed == []
    assert read_stream(response).read().tokens == ["a", "b", "c"]
    assert shop.closed == shop.sessions


@pytest.mark.parametrize("kind", ["words", "awords"])
def test_a_reader_that_left(shop: Shop, kind: str) -> None:
    def endless() -> Iterator[str]:
        while True:
            yield from shop.words()

    async def aendless() -> AsyncIterator[str]:
        for word in endless():
            yield word

    source = endless if kind == "words" else aendless
    shop.app.add_url_rule("/", "view", shop.view(source))
    torn_down = threading.Event()
    shop.app.teardown_request(lambda _: torn_down.set())
    read_stream(shop.app.test_client().get("/"), limit=2).read()
    assert shop.finished.wait(SECONDS)
    assert torn_down.wait(SECONDS)
    assert shop.closed == [shop.sessions[0]]
    assert shop.texts()[-1] == "disconnected"


def test_streams_side_by_side_have_sessions_of_their_own(shop: Shop) -> None:
    def session() -> str:
        return str(id(shop.db.session()))

    def view() -> Any:
        opened.append(session())
        return TokenStreamResponse(lambda: iter([session()]), "text")

    opened: list[str] = []
    shop.app.add_url_rule("/", "view", view)
    client = shop.app.test_client()
    first, second = client.get("/"), client.get("/")
    read = [read_stream(response).read().text for response in (first, second)]
    assert len(set(read)) == 2
    assert read == opened
    assert list(map(str, shop.closed)) == read
