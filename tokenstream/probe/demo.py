"""`tokenstream demo`: a chat page, and one reply typed in the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

from rich.console import Console

from tokenstream.errors import ModelNotLoaded

from . import builtin
from .app import Model, chat_app
from .failure import CommandFailed
from .server import Server, bind
from .terminal import LastResults, numbers, progress, type_reply

__all__ = ["run"]

MAX_NEW_TOKENS = 512
INSTALL = 'pip install "tokenstream-sse[demo,transformers]"'


@dataclass(frozen=True)
class _Answerer:
    """A model, its name, and what the page says of it where it is none."""

    model: Model
    name: str
    note: str = ""


def run(*, source: str | None, host: str, port: int, prompt: str, once: bool) -> int:
    """Serve the page, type the reply to `prompt`, and serve on until Ctrl-C, unless `once`.

    source: "smollm2", "builtin", or None for the first that is installed.
    Returns 0. Raises `CommandFailed` with what is to be done.
    """
    console = Console()
    listening = bind(host, port)  # before the model: a taken port shows at once
    with listening:
        answerer = _choose(console, source)
        results = LastResults()
        app = chat_app(answerer.model, name=answerer.name, note=answerer.note, on_finish=results)
        with Server(app, listening) as server:
            _type_first(console, f"{server.url}/chat", prompt, results)
            if not once:
                _serve_on(console, server)
    return 0


def _choose(console: Console, source: str | None) -> _Answerer:
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if source == "smollm2" and missing:
        raise CommandFailed(
            f"SmolLM2 needs {' and '.join(missing)}, which is not installed: {INSTALL}, "
            "or choose --source builtin"
        )
    if source == "builtin" or missing:
        return _builtin(console, missing)
    return _smollm2(console)


def _builtin(console: Console, missing: list[str]) -> _Answerer:
    why = f" ({' and '.join(missing)} not installed)" if missing else ""
    how = f"{INSTALL}, then: tokenstream demo" if missing else "tokenstream demo --source smollm2"
    note = f"A built-in script answers, not a language model{why}. For the real one: {how}"
    console.print(note, style="yellow", markup=False, highlight=False, soft_wrap=True)
    return _Answerer(builtin.reply, "built-in script", note)


def _smollm2(console: Console) -> _Answerer:
    try:
        with progress(console) as steps:
            from tokenstream.sources import smollm2

            llm = smollm2.load(progress=steps)
    except (ModelNotLoaded, ImportError) as error:
        raise CommandFailed(f"{error}\nWithout a model: --source builtin") from error
    # Not sampled, so that each start says the same; the penalty keeps it out of loops.
    model = partial(
        llm.stream, max_new_tokens=MAX_NEW_TOKENS, do_sample=False, repetition_penalty=1.1
    )
    return _Answerer(model, "SmolLM2-135M-Instruct")


def _type_first(console: Console, url: str, prompt: str, results: LastResults) -> None:
    text = type_reply(console, url, prompt)
    if result := results.of(text):
        console.print(numbers(result), style="dim", highlight=False)


def _serve_on(console: Console, server: Server) -> None:
    console.print(f"\nThe chat page: [bold]{server.url}[/]   (Ctrl-C stops)", highlight=False)
    try:
        server.wait()
    except KeyboardInterrupt:
        console.print("\nStopped.")
