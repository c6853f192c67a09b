"""What answers. Each is a function from messages to tokens, named in the settings."""

import functools
import re
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

SECONDS_A_WORD = 0.04

ANSWER = """\
You said: “{question}”. No model is at work here, only a script, and this is answer {turn} of \
our talk. But each word is on your screen before the next is there, and when I am done, or you \
press Stop, this is stored in the database. DJANGO_CHAT_MODEL=smollm2 gives you a real model."""

_lock = threading.Lock()


def script(messages: list[dict[str, str]]) -> Iterator[str]:
    turn = sum(message["role"] == "user" for message in messages)
    text = ANSWER.format(question=messages[-1]["content"], turn=turn)
    for word in re.findall(r"\s*\S+", text):
        yield word
        time.sleep(SECONDS_A_WORD)


def smollm2(messages: list[dict[str, str]]) -> Iterable[object]:
    return _loaded().stream(messages, max_new_tokens=256)


def _loaded() -> Any:
    with _lock:  # two readers, one model
        return _load()


@functools.cache
def _load() -> Any:
    from tokenstream.sources import smollm2

    return smollm2.load()
