"""A reader that leaves gunicorn's threads while the upstream is silent ends its request."""

from __future__ import annotations

import pytest

from tests.needs import need_module

httpx = need_module("httpx")
need_module("gunicorn")
need_module("flask")

from ...servers.serving import Server, python
from .upstream import HEAD, Upstream, chunk, frames

SITE = """
import os

from flask import Flask
from tokenstream_flask import TokenStreamResponse

from tokenstream.sources.remote import stream_chat

app = Flask(__name__)


@app.post("/chat")
def chat():
    source = stream_chat(os.environ["UPSTREAM"], [{"role": "user", "content": "hi"}], model="m")
    return TokenStreamResponse(source, keep_alive=0.1)
"""


def silent(visit):
    visit.wait_gone()


def begins(visit):
    visit.send(HEAD + frames(chunk("Hel")))
    visit.wait_gone()


@pytest.mark.parametrize("answer", [silent, begins])
def test_under_gthread(answer, tmp_path):
    options = ("-k", "gthread", "--threads", "4", "-b", "127.0.0.1:{port}")
    with Upstream(answer) as upstream:
        env = {"UPSTREAM": upstream.url}
        command = python("-m", "gunicorn", *options, "ours:app")
        server = Server(command, tmp_path, env=env, files={"ours.py": SITE})
        try:
            with (
                httpx.Client(trust_env=False, timeout=30) as client,
                client.stream("POST", f"{server.url}/chat") as response,
            ):
                assert response.status_code == 200
                sent = response.iter_raw()  # which ends the connection when it is dropped
                assert b"error" not in next(sent), server.output()
                visit = upstream.visit()
            assert visit.gone.wait(20)
        finally:
            server.stop()
