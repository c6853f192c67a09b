"""A language model small enough to build in a test: random weights, tokenizers trained in memory.

Its output is full of invalid UTF-8, which is what a detokenizer must be tried with.
"""

from __future__ import annotations

import json

import torch
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TEXT = [
    "def add(a, b):\n    return a + b\n",
    "The quick brown fox jumps over the lazy dog. It's 3.14, isn't it?",
    "こんにちは世界。お元気ですか？",
    "👩‍💻 🎉 🇯🇵 naïve café, Ünïcödé — “quoted”",
]
CONTEXT = 256
TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
ROLES = ["<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]


def byte_level_tokenizer() -> PreTrainedTokenizerFast:
    """Like GPT-2's, with a chat template and four special tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        show_progress=False,
        special_tokens=ROLES,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.add_tokens([AddedToken("<plain ü>"), AddedToken("<think>")])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|end|>",
        pad_token="<|end|>",
        chat_template=TEMPLATE,
    )


def byte_fallback_tokenizer() -> PreTrainedTokenizerFast:
    """Like Llama 2's: spaces as U+2581, unknown characters as `<0xE4>` and so on."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        show_progress=False,
        special_tokens=["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))],
    )
    # Other characters have no token of their own and fall back to bytes.
    tokenizer.train_from_iterator(TEXT[:2], trainer)
    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=_unspecial_bytes(tokenizer), **names)


def model(
    vocabulary: int, *, context: int = CONTEXT, layers: int = 2, seed: int = 0
) -> LlamaForCausalLM:
    """A Llama of some 20,000 parameters that never ends by itself."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=layers,
        num_attention_heads=2,
        max_position_embeddings=context,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config).eval()


def _unspecial_bytes(tokenizer: Tokenizer) -> Tokenizer:
    # The trainer knows no other way to put them into the vocabulary.
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = [t for t in state["added_tokens"] if not t["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(state))
