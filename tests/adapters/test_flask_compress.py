"""Beside Flask-Compress, which leaves event streams alone unless it is told not to."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from tokenstream.testing import WAIT, ScriptedSource, read_stream
from tokenstream_flask import TokenStreamResponse, token_stream

from ..needs import need_module

flask_compress = need_module("flask_compress")

OPTED_IN = {"COMPRESS_MIMETYPES": ["text/html", "text/event-stream"]}


def compressing(config: dict[str, Any], source: Any, decorated: bool) -> Any:
    app = Flask(__name__)
    app.config.update(config)
    flask_compress.Compress(app)
    view: Any = (lambda: source) if decorated else (lambda: TokenStreamResponse(source, "text"))
    app.add_url_rule("/", "view", token_stream("text")(view) if decorated else view)
    app.add_url_rule("/page", "page", lambda: "word " * 1000)
    return app.test_client()


@pytest.mark.parametrize("decorated", [True, False])
@pytest.mark.parametrize(
    "config, encoding",
    [
        ({}, None),
        (OPTED_IN, "identity"),
        (OPTED_IN | {"COMPRESS_MIMETYPES": {"text/html", "text/event-stream"}}, "identity"),
        (OPTED_IN | {"COMPRESS_STREAMS": False}, None),
    ],
)
@pytest.mark.parametrize("accepted", ["gzip", "br", "zstd", "deflate", "br, zstd, deflate, gzip"])
def test_it_streams(
    config: dict[str, Any], encoding: str | None, accepted: str, decorated: bool
) -> None:
    source = ScriptedSource(WAIT, "a", WAIT, "b")
    source.release()
    client = compressing(config, source, decorated)
    response = client.get("/", headers={"Accept-Encoding": accepted})
    assert response.headers.get("Content-Encoding") == encoding
    seen = []
    for event in read_stream(response):
        seen.append(event.data)
        source.release()
    assert seen == ["a", "b", "[DONE]"]
    page = client.get("/page", headers={"Accept-Encoding": accepted})
    assert page.headers["Content-Encoding"] in accepted.split(", ")


def test_an_encoding_of_the_apps_own_stays() -> None:
    app = Flask(__name__)
    app.config.update(OPTED_IN)
    flask_compress.Compress(app)
    headers = {"content-encoding": "gzip"}
    app.add_url_rule("/", "view", lambda: TokenStreamResponse(["a"], headers=headers))
    response = app.test_client().get("/")
    response.close()
    assert response.headers.getlist("Content-Encoding") == ["gzip"]


def test_without_flask_compress_there_is_no_encoding() -> None:
    app = Flask(__name__)
    app.config.update(OPTED_IN)  # read by nobody
    app.add_url_rule("/", "view", lambda: TokenStreamResponse(["a"]))
    response = app.test_client().get("/")
    response.close()
    assert "Content-Encoding" not in response.headers


def test_what_would_happen_without() -> None:
    """The reason for all this: told to compress event streams, it holds them back."""
    app = Flask(__name__)
    app.config.update(OPTED_IN)
    flask_compress.Compress(app)
    app.add_url_rule(
        "/", "view", lambda: app.response_class(iter(["data: a\n\n"]), mimetype="text/event-stream")
    )
    response = app.test_client().get("/", headers={"Accept-Encoding": "br"})
    assert response.headers["Content-Encoding"] == "br"
