"""Ollama: what the real client yields for chat and generate, and the API's own JSON."""

from __future__ import annotations

import pytest

from tests.needs import need_module

from .reading import CALLS, aread, check, fails, read
from .scripts import GENERATE, OLLAMA, ask
from .upstream import Upstream, as_json

ollama = need_module("ollama")

NO_IDS = [(None, name, arguments) for _, name, arguments in CALLS]


def serve(events):
    return Upstream(as_json(events), media="application/x-ndjson")


def test_chat():
    with serve(OLLAMA) as upstream:
        client = ollama.Client(host=upstream.url)
        check(read(lambda: client.chat(model="m", messages=ask, stream=True)), calls=NO_IDS)


def test_chat_async():
    with serve(OLLAMA) as upstream:
        told = aread(
            lambda: ollama.AsyncClient(host=upstream.url).chat(model="m", messages=ask, stream=True)
        )
    check(told, calls=NO_IDS)


def test_generate():
    with serve(GENERATE) as upstream:
        client = ollama.Client(host=upstream.url)
        told = read(lambda: client.generate(model="m", prompt="hi", stream=True))
    check(told, calls=[], finish="stop")


def test_plain_dicts():
    check(read(OLLAMA), calls=NO_IDS)
    check(read(GENERATE), calls=[], finish="stop")


@pytest.mark.parametrize("events", [OLLAMA[:4], GENERATE[:3]])
def test_a_cut_is_no_end(events):
    fails(read(events), "done", text="Hello")


def test_an_error_in_the_stream():
    fails(read([OLLAMA[2], {"error": "secret"}]), "secret", text="Hel")
