"""The demo's side in the terminal: progress, one reply as it comes, and its numbers."""

from __future__ import annotations

import json
import threading
import unicodedata
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from tokenstream import Result
from tokenstream.sse import Decoder, Event

from .failure import CommandFailed

__all__ = ["LastResults", "Steps", "numbers", "progress", "read_reply", "type_reply"]

RESULT_SECONDS = 10.0

STEPS = {
    "import": "Importing torch and transformers",
    "download": "Downloading SmolLM2-135M-Instruct (93 MB, once)",
    "unpack": "Unpacking",
    "convert": "Converting the weights (once)",
    "load": "Loading the model",
}


class Steps:
    """Called with a step and its share from 0 to 1, None where that can't be told: a bar each."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, step: str, done: float | None) -> None:
        """Show it."""
        if step not in self._tasks:
            self._tasks[step] = self._bars.add_task(STEPS.get(step, step), total=None)
        if done is not None:
            self._bars.update(self._tasks[step], total=1.0, completed=done)


@contextmanager
def progress(console: Console) -> Iterator[Steps]:
    """Show the bars of what is done inside."""
    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bars:
        yield Steps(bars)


class LastResults:
    """An `on_finish` that keeps a few results, so that one can be found by its text."""

    def __init__(self) -> None:
        self._seen: deque[Result] = deque(maxlen=16)
        self._changed = threading.Condition()

    def __call__(self, result: Result) -> None:
        """Take a result; from any thread."""
        with self._changed:
            self._seen.append(result)
            self._changed.notify_all()

    def of(self, text: str) -> Result | None:
        """Return the result with that text; it comes a moment after the last token."""
        with self._changed:
            self._changed.wait_for(lambda: self._find(text), RESULT_SECONDS)
            return self._find(text)

    def _find(self, text: str) -> Result | None:
        return next((result for result in self._seen if result.text == text), None)


def type_reply(console: Console, url: str, prompt: str) -> str:
    """Ask the endpoint at `url`, print each token as it comes, and return the whole text."""
    console.out(f"> {_printable(prompt)}", style="bold", highlight=False)
    pieces = []
    try:
        for token in read_reply(url, prompt):
            pieces.append(token)
            _write(console, token)
    finally:
        console.print()
    return "".join(pieces)


def read_reply(url: str, prompt: str) -> Iterator[str]:
    """Yield the tokens of the answer to `prompt`, over HTTP. Raises `CommandFailed`."""
    body = {"messages": [{"role": "user", "content": prompt}]}
    # A proxy in the environment knows nothing of this machine's own ports.
    timeout = httpx.Timeout(10.0, read=None)
    try:
        with (
            httpx.Client(trust_env=False, timeout=timeout) as client,
            client.stream("POST", url, json=body) as response,
        ):
            yield from _tokens(response)
    except httpx.HTTPError as error:
        raise CommandFailed(f"the reply from {url} was cut: {error}") from error


def _tokens(response: httpx.Response) -> Iterator[str]:
    if response.status_code != 200:
        said = response.read().decode("utf-8", "replace").strip()
        raise CommandFailed(f"the endpoint answered {response.status_code}: {said}")
    for event in _events(response):
        if event.data == "[DONE]":
            return
        part = json.loads(event.data)
        if event.event == "error":
            raise CommandFailed(f"the reply failed: {part['error']}")
        if "token" in part:
            yield part["token"]
    raise CommandFailed("the reply was cut: it has no [DONE]")


def _events(response: httpx.Response) -> Iterator[Event]:
    decoder = Decoder()
    for chunk in response.iter_raw():
        yield from decoder.feed(chunk)


def numbers(result: Result) -> str:
    """Return what a result says in numbers, as a line."""
    count = result.usage.output_tokens if result.usage else result.parts
    figures = [f"{count} tokens"]
    if result.ttft is not None:
        figures.insert(0, f"first token after {result.ttft * 1000:.0f} ms")
        if count > 1 and result.duration > result.ttft:
            figures.append(f"{(count - 1) / (result.duration - result.ttft):.1f} tokens/s")
    figures.append(f"{result.bytes_sent} bytes")
    return " · ".join([*figures, result.finish_reason or result.outcome])


def _write(console: Console, token: str) -> None:
    # Not by rich: it would make spaces of a tab, as if each token began a line.
    encoding = console.encoding
    console.file.write(_printable(token).encode(encoding, "replace").decode(encoding))
    console.file.flush()


def _printable(text: str) -> str:
    """Return `text` with nothing in it that steers a terminal."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc")
