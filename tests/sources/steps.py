"""Reaching into a generation from a test: counting its steps, holding it at one, failing at one."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading

import pytest
import torch
from transformers import LogitsProcessor

WATCHDOG = 60.0


def generation_threads():
    return [t for t in threading.enumerate() if t.name.startswith("tokenstream-generate")]


def settle():
    """Wait until no generation runs."""
    for thread in generation_threads():
        thread.join(WATCHDOG)
        assert not thread.is_alive()


def hooks(source):
    return sum(len(m._forward_pre_hooks) for m in source.model.modules())


class Steps(LogitsProcessor):
    """Counts the model's steps; subclasses do something at them."""

    count = 0

    def __call__(self, input_ids, scores):
        self.count += 1
        self.at(self.count)
        return scores

    def at(self, step): ...


class Gate(Steps):
    """Holds the model at one step until it is opened."""

    def __init__(self, step):
        self.step = step
        self.reached = threading.Event()
        self.opened = threading.Event()

    def at(self, step):
        if step == self.step:
            self.reached.set()
            assert self.opened.wait(WATCHDOG), "nobody opened the gate"


class FailAt(Steps):
    def __init__(self, step):
        self.step = step

    def at(self, step):
        if step == self.step:
            raise RuntimeError(f"failed at {step}")


class WriteAt(Steps):
    """Makes the model write one given token at one step."""

    def __init__(self, step, token_id):
        self.step = step
        self.token_id = token_id

    def __call__(self, input_ids, scores):
        self.count += 1
        if self.count == self.step:
            scores[:, self.token_id] = 1e9
        return scores


def text_of(parts):
    return "".join(part for part in parts if isinstance(part, str))


def written(source, prompt, **kwargs):
    """The ids that `generate` writes without any streamer."""
    inputs = source.tokenizer(prompt, return_tensors="pt")
    torch.manual_seed(1)
    ids = source.model.generate(**inputs, **kwargs)
    return ids[0, inputs["input_ids"].shape[1] :].tolist()


class LockStep(Steps):
    """Lets step n+1 begin only when all finished text of n tokens has been read."""

    def __init__(self, tokenizer, ids):
        self.due = [tokenizer.decode(ids[:n], skip_special_tokens=True) for n in range(len(ids))]
        self.read = ""
        self.changed = threading.Condition()

    def at(self, step):
        due = self.due[step - 1].rstrip("\ufffd")
        with self.changed:
            come = self.changed.wait_for(lambda: len(self.read) >= len(due), WATCHDOG)
        assert come, f"after {step - 1} tokens {self.read!r} was read of {due!r}"

    def got(self, part):
        if isinstance(part, str):
            with self.changed:
                self.read += part
                self.changed.notify_all()


def error_of(stream):
    with pytest.raises(Exception) as caught:
        next(stream)
    assert list(stream) == []
    return caught.value


def run_python(code):
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=WATCHDOG,
    )
    return ran.returncode, ran.stdout, ran.stderr
