"""A local model through transformers: text leaves with the token that completes it.

    llm = TransformersSource.from_pretrained("path/to/model")
    for part in llm.stream([{"role": "user", "content": "Hello"}]):
        ...

Each stream runs `model.generate` in a thread of its own, from its first `next` on. It
stops within a layer of the model when its reader leaves, while the prompt is read too.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from ..errors import InvalidOption, ModelNotLoaded, PromptTooLong
from ..parts import Finish, Usage
from .handover import Cancelled, GenerationStream, Handover

try:
    import torch
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        PreTrainedModel,
        PreTrainedTokenizerBase,
    )

    from .detokenize import Vocabulary
    from .generation import LayerHooks, TokenPump, check_fork, handed_over, schedule
except ImportError as error:
    raise ImportError(
        "tokenstream.sources.transformers needs torch and transformers: "
        'pip install "tokenstream-sse[transformers]"'
    ) from error

__all__ = ["Prompt", "TransformersSource"]

Prompt: TypeAlias = str | Sequence[Mapping[str, Any]]


class TransformersSource:
    """A model that streams. One object serves any number of streams at once.

    `model` is anything with `generate` (else `InvalidOption`), `tokenizer` what belongs to
    it; neither is changed.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        if not callable(getattr(model, "generate", None)):
            raise InvalidOption(
                f"{type(model).__name__} has no generate(): load it with AutoModelForCausalLM"
            )
        self.model = model
        self.tokenizer = tokenizer
        self._vocabulary = Vocabulary(tokenizer)
        self._hooks = LayerHooks(model)
        self._encoding = threading.Lock()

    @classmethod
    def from_pretrained(
        cls, path: str | os.PathLike[str], gguf_file: str | None = None, **model_kwargs: Any
    ) -> TransformersSource:
        """Load from a folder that `save_pretrained` wrote, or by a model's name on the Hub.

        `gguf_file` names a GGUF file in that folder (this needs `accelerate` and `gguf`).
        `model_kwargs` go to the model's `from_pretrained` (`dtype`, `device_map`).
        Raises `ModelNotLoaded`.
        """
        _check_path(path, gguf_file)
        try:
            tokenizer = AutoTokenizer.from_pretrained(path, gguf_file=gguf_file)
            model = AutoModelForCausalLM.from_pretrained(path, gguf_file=gguf_file, **model_kwargs)
        except Exception as error:
            raise _not_loaded(path, str(error)) from error
        return cls(model, tokenizer)

    def stream(
        self, prompt: Prompt, max_new_tokens: int | None = 256, **generate_kwargs: Any
    ) -> GenerationStream:
        """Return the answer to `prompt` as a stream: text, then `Usage` and `Finish`.

        A str is continued as it is. Messages (dicts with `role` and `content`) go through the
        tokenizer's chat template. `max_new_tokens` (None: 256) is cut to what the model's
        context leaves. `generate_kwargs` go to `model.generate`; one sequence a stream.

        Nothing happens here, so nothing is raised here: the first `next` raises
        `PromptTooLong`, `InvalidOption` for a prompt that is none or an option that can't
        be, `WarmedBeforeFork` in a child of a process that has generated, and what
        `generate` itself raises.
        """
        limit = 256 if max_new_tokens is None else max_new_tokens
        job = partial(self._run, prompt, limit, generate_kwargs)
        return GenerationStream(partial(schedule, job))

    def _run(
        self, prompt: Prompt, limit: int, generate_kwargs: dict[str, Any], handover: Handover
    ) -> None:
        """Generate in this thread. Whatever happens, the reader is told."""
        try:
            check_fork()
            with self._hooks.watching(handover):
                self._generate(prompt, limit, generate_kwargs, handover)
            handover.end()
        except Cancelled:
            handover.end()
        except BaseException as error:
            handover.end(handed_over(error))

    def _generate(
        self, prompt: Prompt, limit: int, generate_kwargs: dict[str, Any], handover: Handover
    ) -> None:
        inputs = self._inputs(prompt)
        ids = inputs["input_ids"][0].tolist()
        limit = self._limit(len(ids), limit)
        # A chat's answer is a text of its own; a str is continued, its last space included.
        text = self._vocabulary.start(ids if isinstance(prompt, str) else ())
        pump = TokenPump(handover, text)
        options = self._options(generate_kwargs)
        generate: Any = self.model.generate  # typed as what nn.Module's attributes are
        generate(**inputs, **options, max_new_tokens=limit, streamer=pump)
        handover.put(Usage(len(ids), pump.count))
        stopped = pump.count < limit or pump.last in _end_ids(self.model, generate_kwargs)
        handover.put(Finish("stop" if stopped else "length"))

    def _inputs(self, prompt: Prompt) -> dict[str, torch.Tensor]:
        _check_prompt(prompt, self.tokenizer)
        encoded: Any  # both are typed as one of many shapes
        # Fast tokenizers refuse two threads at once ("Already borrowed").
        with self._encoding:
            if isinstance(prompt, str):
                encoded = self.tokenizer(prompt, return_tensors="pt")
            else:
                encoded = self.tokenizer.apply_chat_template(
                    [dict(message) for message in prompt],
                    add_generation_prompt=True,
                    return_dict=True,
                    return_tensors="pt",
                )
        if not encoded["input_ids"].numel():
            raise InvalidOption("the prompt is empty: its text has no tokens")
        # Others, such as token_type_ids, are refused by most models.
        names = ("input_ids", "attention_mask")
        return {name: encoded[name].to(self.model.device) for name in names if name in encoded}

    def _limit(self, had: int, wanted: int) -> int:
        if wanted < 1:
            raise InvalidOption(f"max_new_tokens={wanted}: it must be at least 1")
        context = _context(self.model)
        if context is None:
            return wanted
        if had >= context:
            raise PromptTooLong(
                f"the prompt has {had} tokens; the model's context takes {context}, the answer "
                f"included: shorten the prompt to {context - 1} tokens or fewer"
            )
        return min(wanted, context - had)

    def _options(self, generate_kwargs: dict[str, Any]) -> dict[str, Any]:
        options = dict(generate_kwargs)
        if "streamer" in options:
            raise InvalidOption("streamer: a stream has its own; leave it out")
        if "stop_strings" in options:
            options.setdefault("tokenizer", self.tokenizer)
        if "pad_token_id" not in options and self.model.generation_config.pad_token_id is None:
            # Only batches are padded; without an id `generate` warns at each call.
            options["pad_token_id"] = self.tokenizer.pad_token_id or self.tokenizer.eos_token_id
        return options


def _check_prompt(prompt: Prompt, tokenizer: PreTrainedTokenizerBase) -> None:
    if isinstance(prompt, str):
        if not prompt:
            raise InvalidOption("the prompt is empty: give some text, or messages")
        return
    if not isinstance(prompt, Sequence) or not all(isinstance(m, Mapping) for m in prompt):
        raise InvalidOption(
            f"the prompt is a {type(prompt).__name__}: give a str, or a list of messages "
            'such as {"role": "user", "content": "Hello"}'
        )
    if not prompt:
        raise InvalidOption("the list of messages is empty: give at least one")
    if getattr(tokenizer, "chat_template", None) is None:
        raise InvalidOption(
            "this tokenizer has no chat template, so it can't take messages: give the prompt as "
            "a str, or set tokenizer.chat_template"
        )


def _context(model: PreTrainedModel) -> int | None:
    config = model.config.get_text_config()
    # An encoder's input does not share its context with the answer.
    if getattr(config, "is_encoder_decoder", False):
        return None
    size = getattr(config, "max_position_embeddings", None)
    return size if isinstance(size, int) and size > 0 else None


def _end_ids(model: PreTrainedModel, generate_kwargs: Mapping[str, Any]) -> frozenset[int]:
    config = generate_kwargs.get("generation_config") or model.generation_config
    ids = generate_kwargs.get("eos_token_id", config.eos_token_id)
    if ids is None:
        return frozenset()
    return frozenset([ids] if isinstance(ids, int) else ids)


def _check_path(path: str | os.PathLike[str], gguf_file: str | None) -> None:
    # transformers takes a missing folder for a model's name and asks the Hub, for a minute.
    folder = Path(path)
    if _is_no_name(path) and not folder.is_dir():
        raise _not_loaded(path, "there is no such folder")
    if gguf_file and folder.is_dir() and not (folder / gguf_file).is_file():
        raise _not_loaded(path, f"it has no file {gguf_file}")


def _is_no_name(path: str | os.PathLike[str]) -> bool:
    """A name on the Hub is `model` or `owner/model`."""
    folder = Path(path)
    if not isinstance(path, str) or path.startswith((".", "~")) or folder.is_absolute():
        return True
    return len(folder.parts) > 2 or (len(folder.parts) == 2 and folder.parent.is_dir())


def _not_loaded(path: str | os.PathLike[str], reason: str) -> ModelNotLoaded:
    return ModelNotLoaded(
        f"no model could be loaded from {os.fspath(path)!r}: {reason}\nGive the folder that "
        "save_pretrained wrote, with the tokenizer's files in it, or a model's name on the Hub"
    )
