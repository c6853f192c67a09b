"""A real model, random and tiny. Nothing is timed: tests wait for what must happen."""

from __future__ import annotations

import os

import pytest

if not os.environ.get("TOKENSTREAM_REQUIRE_ALL"):
    pytest.importorskip("transformers", reason="needs the transformers extra")

import torch

from tokenstream.errors import InvalidOption, ModelNotLoaded, PromptTooLong
from tokenstream.parts import Finish, Usage
from tokenstream.sources.transformers import TransformersSource

from .steps import LockStep, Steps, WriteAt, error_of, run_python, settle, text_of, written
from .tiny import CONTEXT, byte_level_tokenizer

MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize("sample", [False, True])
@pytest.mark.parametrize("prompt", ["def add(a", "こんに", "👩‍💻 🎉", "The quick brown"])
def test_text_is_what_generate_writes(llm, prompt, sample):
    ids = written(llm, prompt, do_sample=sample, max_new_tokens=60)
    torch.manual_seed(1)
    parts = list(llm.stream(prompt, do_sample=sample, max_new_tokens=60))
    assert text_of(parts) == llm.tokenizer.decode(ids, skip_special_tokens=True)
    assert parts[-2:] == [Usage(len(llm.tokenizer(prompt)["input_ids"]), 60), Finish("length")]
    assert all(isinstance(part, str) and part for part in parts[:-2])


async def test_async_reading_gives_the_same(llm):
    expected = list(llm.stream("def", max_new_tokens=30))
    parts = [part async for part in llm.stream("def", max_new_tokens=30)]
    assert text_of(parts) == text_of(expected)
    assert parts[-2:] == expected[-2:]


@pytest.mark.parametrize("prompt", ["def add(a", "こんに", "👩‍💻 🎉"])
def test_text_comes_with_the_token_that_completes_it(llm, prompt):
    ids = written(llm, prompt, do_sample=False, max_new_tokens=40)
    step = LockStep(llm.tokenizer, ids)
    for part in llm.stream(prompt, do_sample=False, max_new_tokens=40, logits_processor=[step]):
        step.got(part)
    assert step.read == llm.tokenizer.decode(ids, skip_special_tokens=True)


async def test_text_comes_with_its_token_to_an_async_reader_too(llm):
    ids = written(llm, "def", do_sample=False, max_new_tokens=40)
    step = LockStep(llm.tokenizer, ids)
    options = {"do_sample": False, "max_new_tokens": 40, "logits_processor": [step]}
    async for part in llm.stream("def", **options):
        step.got(part)
    assert step.read == llm.tokenizer.decode(ids, skip_special_tokens=True)


def test_an_end_token_ends_it_unseen(llm):
    end = llm.tokenizer.convert_tokens_to_ids("<|end|>")
    options = {"eos_token_id": end, "logits_processor": [WriteAt(5, end)]}
    parts = list(llm.stream("def", max_new_tokens=5, **options))
    assert parts[-2:] == [Usage(len(llm.tokenizer("def")["input_ids"]), 5), Finish("stop")]
    assert "<|end|>" not in text_of(parts)


def test_a_stop_string_ends_it(llm):
    said = text_of(llm.stream("def", max_new_tokens=20))
    parts = list(llm.stream("def", max_new_tokens=20, stop_strings=[said[4]]))
    assert parts[-1] == Finish("stop")
    assert parts[-2].output_tokens < 20


def test_no_max_new_tokens_means_the_default(llm):
    assert list(llm.stream("d" * 200, max_new_tokens=None))[-1] == Finish("length")


def test_messages_go_through_the_chat_template(llm):
    seen = []

    class See(Steps):
        def __call__(self, input_ids, scores):
            seen.append(input_ids[0].tolist())
            return scores

    parts = list(llm.stream(MESSAGES, max_new_tokens=1, logits_processor=[See()]))
    assert llm.tokenizer.decode(seen[0]) == "<|user|>hi<|end|><|assistant|>"
    assert parts[-2] == Usage(len(seen[0]), 1)


@pytest.mark.parametrize(
    "prompt, options, kind, says",
    [
        ("", {}, InvalidOption, "empty"),
        ([], {}, InvalidOption, "empty"),
        (5, {}, InvalidOption, "int"),
        (["hi"], {}, InvalidOption, "role"),
        ("hi", {"max_new_tokens": 0}, InvalidOption, "max_new_tokens=0"),
        ("hi", {"streamer": None}, InvalidOption, "streamer"),
        ("hi", {"num_return_sequences": 2, "do_sample": True}, InvalidOption, "2 sequences"),
        ("hi", {"num_beams": 2}, ValueError, "beam"),
        ("hi", {"temperature": -1.0, "do_sample": True}, ValueError, "temperature"),
        ("hi", {"temprature": 1.0}, ValueError, "temprature"),
    ],
)
def test_bad_arguments_come_from_the_first_next(llm, prompt, options, kind, says):
    error = error_of(llm.stream(prompt, **options))
    assert isinstance(error, kind)
    assert says in str(error)


def test_a_prompt_that_does_not_fit_says_how_long_it_is(llm):
    error = error_of(llm.stream("\x00" * CONTEXT))
    assert isinstance(error, PromptTooLong)
    assert f"{CONTEXT} tokens" in str(error)
    assert f"takes {CONTEXT}" in str(error)
    assert f"to {CONTEXT - 1} tokens" in str(error)


def test_an_answer_that_does_not_fit_is_cut(llm):
    parts = list(llm.stream("\x00" * (CONTEXT - 6), max_new_tokens=100))
    assert parts[-2:] == [Usage(CONTEXT - 6, 6), Finish("length")]
    parts = list(llm.stream("\x00" * (CONTEXT - 1), max_new_tokens=100))
    assert parts[-2:] == [Usage(CONTEXT - 1, 1), Finish("length")]


def test_messages_without_a_template_are_told_so(tiny_source):
    tokenizer = byte_level_tokenizer()
    tokenizer.chat_template = None
    error = error_of(TransformersSource(tiny_source.model, tokenizer).stream(MESSAGES))
    assert isinstance(error, InvalidOption)
    assert "chat template" in str(error)
    settle()


def test_a_model_that_can_not_generate_is_refused(tiny_source):
    with pytest.raises(InvalidOption, match=r"LlamaModel has no generate"):
        TransformersSource(tiny_source.model.model, tiny_source.tokenizer)


def test_a_saved_model_is_loaded(llm, tmp_path):
    llm.model.save_pretrained(tmp_path)
    llm.tokenizer.save_pretrained(tmp_path)
    loaded = TransformersSource.from_pretrained(tmp_path)
    options = {"max_new_tokens": 12, "do_sample": False}
    assert text_of(loaded.stream("def", **options)) == text_of(llm.stream("def", **options))


@pytest.mark.parametrize("path", ["/no/such/folder", "./none", ".", "models/none"])
def test_a_path_that_can_not_be_loaded_is_named(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    with pytest.raises(ModelNotLoaded) as caught:
        TransformersSource.from_pretrained(path)
    assert repr(path) in str(caught.value)
    assert "save_pretrained" in str(caught.value)


def test_a_missing_gguf_file_is_named(tmp_path):
    with pytest.raises(ModelNotLoaded, match=r"no file q4\.gguf"):
        TransformersSource.from_pretrained(tmp_path, gguf_file="q4.gguf")


@pytest.mark.parametrize("missing", ["torch", "transformers"])
def test_a_missing_library_names_the_extra(missing):
    code = f"import sys; sys.modules[{missing!r}] = None; import tokenstream.sources.transformers"
    status, _, stderr = run_python(code)
    assert status == 1
    assert 'pip install "tokenstream-sse[transformers]"' in stderr
