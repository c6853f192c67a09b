"""A real remote: `transformers serve` with SmolLM2 behind a Django endpoint for the AI SDK."""

from __future__ import annotations

import json

import pytest

from tests.needs import missing, need_module

need_module("transformers")
need_module("uvicorn")
httpx = need_module("httpx")

from tokenstream.errors import ModelNotLoaded
from tokenstream.sources import smollm2
from tokenstream.sse import Decoder

from ...servers.serving import Server, python

pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]

SITE = """
import json, os

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import path

settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="x", ALLOWED_HOSTS=["*"])
django.setup()

from tokenstream.sources.remote import stream_chat
from tokenstream_django import TokenStreamResponse


def chat(request):
    asked = json.loads(request.body)
    source = lambda: stream_chat(
        os.environ["UPSTREAM"] + "/v1",
        asked["messages"],
        model=os.environ["MODEL"],
        max_tokens=asked["max_tokens"],
    )
    return TokenStreamResponse(source, asked["wire"], request=request)


urlpatterns = [path("chat", chat)]
application = get_asgi_application()
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    try:
        model = str(smollm2.prepare())
    except ModelNotLoaded as error:
        missing(str(error))
    folders = [tmp_path_factory.mktemp(name) for name in ("upstream", "site")]
    serve = python("-m", "transformers.cli.transformers", "serve", model, "--port", "{port}")
    upstream = Server((*serve, "--device", "cpu"), folders[0], env={"HF_HUB_OFFLINE": "1"})
    command = python("-m", "uvicorn", "site_of_ours:application", "--port", "{port}")
    env = {"UPSTREAM": upstream.url, "MODEL": model}
    server = Server(command, folders[1], env=env, files={"site_of_ours.py": SITE})
    yield server
    server.stop()
    upstream.stop()


def events(site, wire):
    asked = {
        "wire": wire,
        "max_tokens": 12,
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
    }
    answer = httpx.post(f"{site.url}/chat", json=asked, timeout=300, trust_env=False)
    assert answer.status_code == 200, answer.text
    return [event.data for event in Decoder().feed(answer.content)]


def test_the_ai_sdk_reads_transformers_serve(site):
    *told, done = events(site, "ai-sdk")
    chunks = [json.loads(data) for data in told]
    assert done == "[DONE]"
    assert "Paris" in "".join(it["delta"] for it in chunks if it["type"] == "text-delta")
    assert chunks[0]["type"] == "start"
    assert chunks[-1]["type"] == "finish"
    assert chunks[-1]["finishReason"] in ("length", "stop")
    assert not [it for it in chunks if it["type"] == "error"]


def test_its_own_chunks_are_relayed(site):
    *told, done = events(site, "openai-chat")
    chunks = [json.loads(data) for data in told]
    assert done == "[DONE]"  # which it does not send itself
    assert "Paris" in "".join(it["choices"][0]["delta"].get("content") or "" for it in chunks)
    assert chunks[-1]["choices"][0]["finish_reason"] in ("length", "stop")
    assert chunks[-1]["usage"]["completion_tokens"] > 0
