"""The openai client of PyPI reads the wire "openai-completions", over a real server."""

from __future__ import annotations

import asyncio

import pytest

from tests.needs import need_module

from .cutting import Cutter
from .scenarios import SCENARIOS, SECRET
from .serving import ChatServer
from .told import COMPLETED, Completed

openai = need_module("openai")

ASK = {"model": "m", "prompt": "Once upon"}
USAGE = {"stream_options": {"include_usage": True}}


@pytest.fixture(scope="module")
def server():
    with ChatServer("openai-completions") as server:
        yield server


def options(url, scenario):
    return {"base_url": f"{url}/{scenario}/v1", "api_key": "k", "max_retries": 0, "timeout": 20}


def counts(usage):
    return usage and (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)


class Joined:
    def __init__(self):
        self.texts, self.reason, self.usage = [], None, None

    def add(self, chunk):
        assert (chunk.object, chunk.model) == ("text_completion", "m")
        if not chunk.choices:
            self.usage = chunk.usage
            return
        (choice,) = chunk.choices
        assert (choice.index, self.reason) == (0, None)
        self.texts.append(choice.text)
        self.reason = choice.finish_reason

    def told(self):
        return Completed("".join(self.texts), self.reason, counts(self.usage))


def raw(url, scenario, joined=None):
    joined = joined or Joined()
    # Not strict: it says that a reason is never null, which OpenAI's own is until the end.
    with openai.OpenAI(**options(url, scenario)) as client:
        for chunk in client.completions.create(**ASK, **USAGE, stream=True):
            joined.add(chunk)
    return joined.told()


def async_raw(url, scenario):
    async def read():
        joined = Joined()
        async with openai.AsyncOpenAI(**options(url, scenario)) as client:
            async for chunk in await client.completions.create(**ASK, **USAGE, stream=True):
                joined.add(chunk)
        return joined.told()

    return asyncio.run(read())


def whole(url, scenario):
    with openai.OpenAI(**options(url, scenario), _strict_response_validation=True) as client:
        completion = client.completions.create(**ASK)
    (choice,) = completion.choices
    return Completed(choice.text, choice.finish_reason, counts(completion.usage))


READERS = [raw, async_raw, whole]

FAILS = {
    "calls": (openai.APIError, openai.InternalServerError, "generation failed"),
    # Its first part is a call: the app's own error, before the stream, is the server's to tell.
    "steps": (openai.InternalServerError, openai.InternalServerError, "Error code: 500"),
    "fails-before": (openai.RateLimitError, openai.RateLimitError, "the model is overloaded"),
    "fails-after": (openai.APIError, openai.InternalServerError, "generation failed"),
}


def test_no_scenario_is_left_out():
    assert {*COMPLETED, *FAILS} == {*SCENARIOS}


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("scenario", COMPLETED)
def test_what_is_told(server, scenario, read):
    assert read(server.url, scenario) == COMPLETED[scenario]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("scenario", FAILS)
def test_what_fails(server, scenario, read):
    streamed, in_one_piece, message = FAILS[scenario]
    with pytest.raises(openai.APIError, match=message) as raised:
        read(server.url, scenario)
    assert type(raised.value) is (in_one_piece if read is whole else streamed)
    assert SECRET not in str(raised.value.body)


@pytest.mark.parametrize("cut", [False, True], ids=["failed", "cut"])
def test_the_tokens_before_an_end_too_early_are_read(server, cut):
    joined = Joined()
    with Cutter(server.url, b'"Hel"') as cutter, pytest.raises(openai.APIError) as raised:
        raw(cutter.url if cut else server.url, "fails-after", joined)
    assert (joined.texts, joined.reason) == (["Hel"], None)
    assert isinstance(raised.value, openai.APIConnectionError) is cut


def test_a_cut_connection_is_an_error_for_the_async_client(server):
    with Cutter(server.url, b'"Hel"') as cutter, pytest.raises(openai.APIConnectionError):
        async_raw(cutter.url, "text")


def test_what_is_asked_arrives(server):
    with openai.OpenAI(**options(server.url, "text")) as client:
        client.completions.create(
            **ASK, max_tokens=9, temperature=0.5, stop="x", suffix="!", echo=True, best_of=1
        )
    ask = server.asked[-1]
    assert ask.messages == [{"role": "user", "content": "Once upon"}]
    assert (ask.model, ask.max_tokens, ask.temperature, ask.stop) == ("m", 9, 0.5, ["x"])
    assert (ask.stream, ask.params) == (False, {"suffix": "!", "echo": True, "best_of": 1})


@pytest.mark.parametrize("prompt", [["a", "b"], [1, 2], [[1, 2]], []], ids=str)
def test_what_is_no_single_text_is_refused(server, prompt):
    with (
        openai.OpenAI(**options(server.url, "text")) as client,
        pytest.raises(openai.BadRequestError, match="give one text") as raised,
    ):
        client.completions.create(**{**ASK, "prompt": prompt}, stream=True)
    assert raised.value.param == "prompt"
