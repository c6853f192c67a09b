"""The thread that runs `model.generate`: how its tokens leave it, and how it is left.

What goes wrong otherwise: an error in `generate` leaves the reader of transformers' own
streamers waiting for ever, and one that leaves lets the model run on.
"""

from __future__ import annotations

import atexit
import contextvars
import itertools
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel

from ..errors import InvalidOption, WarmedBeforeFork
from .detokenize import Detokenizer
from .handover import Handover

__all__ = ["LayerHooks", "TokenPump", "check_fork", "handed_over", "schedule"]

# Seconds that the end of the process waits for models to finish the layer they are in.
EXIT_WAIT = 5.0

_generated_in: list[int] = []
"""The process that generated first: a child inherits this, and not torch's threads."""

_live: dict[threading.Thread, Handover] = {}
_numbers = itertools.count(1)
_running = threading.local()


class TokenPump:
    """What `generate` calls a streamer: it gets the prompt's ids, then each token's."""

    def __init__(self, handover: Handover, text: Detokenizer) -> None:
        self.count = 0
        self.last: int | None = None
        self._handover = handover
        self._text = text
        self._prompt_came = False

    def put(self, ids: torch.Tensor) -> None:
        """Take the prompt's ids at the first call, then a token's (or a few) at each."""
        self._handover.check()
        if self._prompt_came:
            for token_id in ids.reshape(-1).tolist():
                self._token(token_id)
            return
        self._prompt_came = True
        if len(ids) > 1:
            raise InvalidOption(f"generate was told to write {len(ids)} sequences: a stream is one")

    def _token(self, token_id: int) -> None:
        self.count += 1
        self.last = token_id
        self._show(self._text.feed(token_id))

    def end(self) -> None:
        """Show what is left of a character that was cut."""
        self._show(self._text.end())

    def _show(self, piece: str) -> None:
        if piece:
            self._handover.put(piece)


class LayerHooks:
    """Lets a thread leave `generate` between two layers; on the model only while streams run."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._layers = list(_layers(model))
        self._lock = threading.Lock()
        self._streams = 0
        self._handles: list[RemovableHandle] = []

    @contextmanager
    def watching(self, handover: Handover) -> Iterator[None]:
        """Let this thread leave the model when nobody reads `handover` any more."""
        handover.check()
        self._add()
        _running.handover = handover
        try:
            yield
        finally:
            del _running.handover
            self._remove()

    def _add(self) -> None:
        with self._lock:
            self._streams += 1
            if self._streams == 1:
                hooks = [layer.register_forward_pre_hook(_check) for layer in self._layers]
                self._handles = hooks

    def _remove(self) -> None:
        with self._lock:
            self._streams -= 1
            if not self._streams:
                for handle in self._handles:
                    handle.remove()
                self._handles = []


def _check(module: torch.nn.Module, args: Any) -> None:
    # The application may call the model too, in threads of its own.
    handover: Handover | None = getattr(_running, "handover", None)
    if handover is not None:
        handover.check()


def _layers(module: torch.nn.Module) -> Iterator[torch.nn.Module]:
    for child in module.children():
        yield from child if isinstance(child, torch.nn.ModuleList) else _layers(child)


def check_fork() -> None:
    """Raise `WarmedBeforeFork` where torch would wait for ever for threads of the parent's."""
    if not _generated_in:
        _generated_in.append(os.getpid())
    if _generated_in[0] != os.getpid() and torch.get_num_threads() > 1:
        raise WarmedBeforeFork(
            "the model generated before this process forked, and torch's threads stayed in the "
            "parent: generate nothing before the fork (gunicorn --preload may load the model, not "
            "warm it up), or call torch.set_num_threads(1) before it"
        )


def schedule(job: Callable[[Handover], None], handover: Handover) -> None:
    """Run `job` in a thread of its own. A scheduler for many readers has its place here."""
    _at_exit()
    context = contextvars.copy_context()
    name = f"tokenstream-generate-{next(_numbers)}"
    thread = threading.Thread(target=context.run, args=(_tracked, job, handover), name=name)
    thread.daemon = True
    thread.start()


def _tracked(job: Callable[[Handover], None], handover: Handover) -> None:
    thread = threading.current_thread()
    _live[thread] = handover
    try:
        job(handover)
    finally:
        del _live[thread]


@cache
def _at_exit() -> None:
    atexit.register(_stop_all)


def _stop_all() -> None:
    """Leave the model before the interpreter goes: a thread it kills inside torch aborts."""
    live = list(_live.items())
    for _, handover in live:
        handover.drop()
    deadline = time.monotonic() + EXIT_WAIT
    for thread, _ in live:
        thread.join(max(0.0, deadline - time.monotonic()))


def handed_over(error: BaseException) -> BaseException:
    """Free what the frames of `error` hold (the KV cache!), and give it back."""
    if isinstance(error, StopIteration | StopAsyncIteration):
        # From `next` it would look like the end.
        wrapped = RuntimeError(f"generate raised {type(error).__name__}")
        wrapped.__cause__ = error
        error = wrapped
    links: list[BaseException | None] = [error]
    while links:
        link = links.pop()
        if link is not None:
            traceback.clear_frames(link.__traceback__)
            links += {link.__cause__, link.__context__}
    return error
