"""Leaving a model and failing in one: counted in steps and layers, never timed."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import weakref

import pytest

if not os.environ.get("TOKENSTREAM_REQUIRE_ALL"):
    pytest.importorskip("transformers", reason="needs the transformers extra")

from .steps import WATCHDOG, FailAt, Gate, Steps, error_of, run_python, settle, text_of, written


@pytest.mark.parametrize("leave", ["close", "interrupt", "aclose", "drop"])
def test_leaving_stops_the_model_within_the_step(llm, leave):
    gate = Gate(3)
    stream = llm.stream("def", max_new_tokens=200, logits_processor=[gate])
    next(stream)
    assert gate.reached.wait(WATCHDOG)
    if leave == "drop":
        del stream
    elif leave == "aclose":
        asyncio.run(stream.aclose())
    else:
        getattr(stream, leave)()
    gate.opened.set()
    settle()
    assert gate.count == 3


def test_leaving_stops_the_model_between_two_layers_of_the_prompt(llm):
    stream = llm.stream("def", max_new_tokens=5)
    layers = llm.model.model.layers
    seen = []
    first = layers[0].register_forward_hook(lambda *_: stream.close())
    last = layers[-1].register_forward_hook(lambda *_: seen.append("last"))
    assert list(stream) == []
    settle()
    first.remove()
    last.remove()
    assert seen == []


def test_a_model_whose_layers_are_not_found_stops_within_the_step_too(llm, monkeypatch):
    # The layers of each model at hand are found: so they are taken away from a real one.
    monkeypatch.setattr(llm._hooks, "_layers", [])
    gate = Gate(3)
    stream = llm.stream("def", max_new_tokens=200, logits_processor=[gate])
    next(stream)
    assert gate.reached.wait(WATCHDOG)
    stream.close()
    gate.opened.set()
    settle()
    assert gate.count == 3


def test_a_stream_dropped_in_a_cycle_stops_the_model(llm):
    gate = Gate(2)
    holder = [llm.stream("def", max_new_tokens=200, logits_processor=[gate])]
    holder.append(holder)
    next(holder[0])
    assert gate.reached.wait(WATCHDOG)
    del holder
    gc.collect()
    gate.opened.set()
    settle()
    assert gate.count == 2


def test_streams_at_once_do_not_mix(llm):
    prompts = ["def", "The", "quick", "こん"]
    alone = [text_of(llm.stream(prompt, max_new_tokens=25)) for prompt in prompts]
    streams = [llm.stream(prompt, max_new_tokens=25) for prompt in prompts]
    firsts = [next(stream) for stream in streams]
    together = [first + text_of(rest) for first, rest in zip(firsts, streams, strict=True)]
    assert together == alone


def test_a_stream_that_leaves_leaves_the_others(llm):
    alone = text_of(llm.stream("def", max_new_tokens=25))
    gates = Gate(2), Gate(2)
    stays, leaves = (llm.stream("def", max_new_tokens=25, logits_processor=[g]) for g in gates)
    first = next(stays)
    next(leaves)
    leaves.close()
    for gate in gates:
        gate.opened.set()
    assert first + text_of(stays) == alone


def test_the_application_may_call_the_model_meanwhile(llm):
    gate = Gate(2)
    stream = llm.stream("def", logits_processor=[gate])
    next(stream)
    stream.close()
    assert len(written(llm, "def", max_new_tokens=3)) == 3
    gate.opened.set()


def test_a_model_that_raises_at_once_reaches_the_reader(llm):
    error = error_of(llm.stream("def", logits_processor=[FailAt(1)]))
    assert (type(error), str(error)) == (RuntimeError, "failed at 1")


def test_a_model_that_raises_at_step_40_ends_after_39_tokens_of_text(llm):
    expected = text_of(llm.stream("def", max_new_tokens=39))
    stream = llm.stream("def", max_new_tokens=100, logits_processor=[FailAt(40)])
    got = ""
    with pytest.raises(RuntimeError, match="failed at 40"):
        for part in stream:
            got += part
    # A character that was cut shows only where the answer ends by itself.
    assert re.fullmatch(re.escape(got) + "\ufffd{0,3}", expected)
    assert list(stream) == []


async def test_errors_reach_an_async_reader(llm):
    stream = llm.stream("def", logits_processor=[FailAt(1)])
    with pytest.raises(RuntimeError, match="failed at 1"):
        await anext(stream)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


def test_stop_iteration_in_the_model_is_an_error_and_no_end(llm):
    class Exhausted(Steps):
        def at(self, step):
            next(iter(()))

    error = error_of(llm.stream("def", logits_processor=[Exhausted()]))
    assert isinstance(error, RuntimeError)
    assert isinstance(error.__cause__, StopIteration)


def test_a_kept_error_does_not_keep_the_cache(llm):
    caches = []

    def see(module, args, kwargs):
        caches.append(weakref.ref(kwargs["past_key_values"]))

    hook = llm.model.model.register_forward_pre_hook(see, with_kwargs=True)
    error = error_of(llm.stream("def", logits_processor=[FailAt(1)]))
    settle()
    hook.remove()
    assert error.__traceback__ is not None
    assert [cache() for cache in caches] == [None]


def test_a_process_ends_quietly_while_a_model_writes(llm, tmp_path):
    llm.model.save_pretrained(tmp_path)
    llm.tokenizer.save_pretrained(tmp_path)
    code = f"""
        from tokenstream.sources.transformers import TransformersSource
        llm = TransformersSource.from_pretrained({str(tmp_path)!r})
        stream = llm.stream("def", max_new_tokens=250)
        next(stream)
        print("read one")
    """
    status, stdout, stderr = run_python(code)
    assert (status, stdout) == (0, "read one\n"), stderr
    assert "Traceback" not in stderr
    assert "Fatal" not in stderr


@pytest.mark.parametrize(
    "threads, warm, child",
    [
        (2, True, "WarmedBeforeFork"),
        (2, False, "completed"),  # loaded, but it has not generated
        (1, True, "completed"),
    ],
)
def test_a_model_that_generated_before_a_fork(llm, tmp_path, threads, warm, child):
    llm.model.save_pretrained(tmp_path)
    llm.tokenizer.save_pretrained(tmp_path)
    code = f"""
        import os, torch
        from tokenstream.sources.transformers import TransformersSource
        torch.set_num_threads({threads})
        llm = TransformersSource.from_pretrained({str(tmp_path)!r})
        if {warm}:
            list(llm.stream("def", max_new_tokens=4))
        if child := os.fork():
            os.waitpid(child, 0)
        else:
            try:
                list(llm.stream("def", max_new_tokens=4))
                print("completed", flush=True)
            except RuntimeError as error:
                print(type(error).__name__, flush=True)
            os._exit(0)
    """
    status, stdout, stderr = run_python(code)
    assert (status, stdout) == (0, f"{child}\n"), stderr
