"""Token ids to text, one id at a time: a finished character is never held, nothing is lost.

`Vocabulary(tokenizer)` is made once; `start()` gives each stream a detokenizer:

- byte-level BPE (GPT-2, Llama 3, Qwen, SmolLM): a table of each token's bytes and an
  incremental UTF-8 decoder. What it gives, joined, is `tokenizer.decode` of all ids,
  invalid bytes included.
- anything else: each token decoded behind the one before it (`SentencePiece` drops the
  space of a text's first token). Byte-fallback tokens go through the UTF-8 decoder too,
  so one invalid byte costs one U+FFFD, where `tokenizer.decode` gives up the whole run.

Special tokens are not shown. `clean_up_tokenization_spaces`, which changes text that was
already sent, is not applied.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol, TypeAlias

from tokenizers import Tokenizer, decoders

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Detokenizer", "Vocabulary"]

# How many tokens that end in no whole character are held before they are shown as they are.
PENDING_CAP = 16
# How much of the prompt is looked at: only the last token that shows text matters.
PRIME_TAIL = 32

Decode: TypeAlias = Callable[[list[int]], str]
TokenOf: TypeAlias = Callable[[int], str | None]


class Detokenizer(Protocol):
    """The state of one stream."""

    def feed(self, token_id: int) -> str:
        """Return the text that this token completes; empty while a character is unfinished."""
        ...

    def end(self) -> str:
        """Return what is left of a character that was cut: U+FFFD, or the empty string."""
        ...


class Vocabulary:
    """What a tokenizer knows of its tokens, looked up once and shared by all streams."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if isinstance(backend, Tokenizer):
            self._special = _special_ids(backend)
            self._decode: Decode = lambda ids: str(backend.decode(ids, skip_special_tokens=True))
            self._token_of: TokenOf = backend.id_to_token
        else:
            self._special = frozenset(tokenizer.all_special_ids)
            self._decode = lambda ids: _slow_decode(tokenizer, ids)
            self._token_of = lambda token_id: _slow_token(tokenizer, token_id)
        byte_level = isinstance(backend, Tokenizer) and isinstance(
            backend.decoder, decoders.ByteLevel
        )
        self._table = _ByteTable(self._token_of, self._special) if byte_level else None
        self._fallback = {} if byte_level else self._fallback_bytes(tokenizer)

    def start(self, prompt: Iterable[int] = ()) -> Detokenizer:
        """Return a fresh detokenizer.

        `prompt` is what the text continues, if it does: its last token keeps the space
        between the two. A chat's answer continues nothing.
        """
        if self._table is not None:
            return _ByteLevel(self._table)
        return _Window(self._decode, self._special, self._fallback, list(prompt)[-PRIME_TAIL:])

    def _fallback_bytes(self, tokenizer: PreTrainedTokenizerBase) -> dict[int, int]:
        found: dict[int, int] = {}
        for byte in range(256):
            name = f"<0x{byte:02X}>"
            token_id = tokenizer.convert_tokens_to_ids(name)
            if isinstance(token_id, int) and self._token_of(token_id) == name:
                found[token_id] = byte
        # A vocabulary may hold such names as ordinary text.
        letter = next((token_id for token_id, byte in found.items() if byte == ord("A")), None)
        return found if letter is not None and self._decode([letter]) == "A" else {}


class _ByteTable(dict[int, bytes]):
    """The bytes of each token, filled as tokens come up."""

    def __init__(self, token_of: TokenOf, special: frozenset[int]) -> None:
        self._token_of = token_of
        self._special = special

    def __missing__(self, token_id: int) -> bytes:
        token = None if token_id in self._special else self._token_of(token_id)
        self[token_id] = value = b"" if token is None else _token_bytes(token)
        return value


class _ByteLevel:
    def __init__(self, table: _ByteTable) -> None:
        self._table = table
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token_id: int) -> str:
        return self._utf8.decode(self._table[token_id])

    def end(self) -> str:
        return self._utf8.decode(b"", True)


class _Window:
    def __init__(
        self,
        decode: Decode,
        special: frozenset[int],
        fallback: dict[int, int],
        prompt: list[int],
    ) -> None:
        self._decode = decode
        self._special = special
        self._fallback = fallback
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        # The token that the next one is decoded behind.
        self._before = [i for i in prompt if i not in special and i not in fallback][-1:]
        self._held: list[int] = []
        self._bytes_came = False

    def feed(self, token_id: int) -> str:
        if token_id in self._special:
            return ""
        byte = self._fallback.get(token_id)
        if byte is None:
            return self._cut_character() + self._token(token_id)
        text = self._show_held()
        self._bytes_came = True
        return text + self._utf8.decode(bytes([byte]))

    def end(self) -> str:
        return self._cut_character() + self._show_held()

    def _cut_character(self) -> str:
        text = self._utf8.decode(b"", True)
        self._utf8.reset()
        return text

    def _token(self, token_id: int) -> str:
        self._held.append(token_id)
        text = self._text_of_held()
        unfinished = not text or text.endswith("\ufffd")
        if unfinished and len(self._held) < PENDING_CAP:
            return ""
        return self._shown_as(text)

    def _show_held(self) -> str:
        return self._shown_as(self._text_of_held()) if self._held else ""

    def _shown_as(self, text: str) -> str:
        self._before, self._held = self._held[-1:], []
        return text

    def _text_of_held(self) -> str:
        before = self._before
        if not before and self._bytes_came:
            # Only bytes came so far: any token in front says that this one is not the first.
            before = self._held[:1]
        return self._decode(before + self._held)[len(self._decode(before)) :]


def _special_ids(backend: Tokenizer) -> frozenset[int]:
    added = backend.get_added_tokens_decoder()
    return frozenset(token_id for token_id, token in added.items() if token.special)


def _slow_decode(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    text = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text if isinstance(text, str) else "".join(text)


def _slow_token(tokenizer: PreTrainedTokenizerBase, token_id: int) -> str | None:
    token = tokenizer.convert_ids_to_tokens(token_id)
    return token if isinstance(token, str) else None


def _token_bytes(token: str) -> bytes:
    """Undo byte-level BPE's alphabet; a token with a letter outside of it is plain text."""
    try:
        return bytes(_BYTE_OF[letter] for letter in token)
    except KeyError:
        return token.encode("utf-8")


def _byte_level_alphabet() -> dict[str, int]:
    """GPT-2's: printable Latin-1 stands for itself, the other bytes for U+0100 and on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (byte for byte in range(256) if byte not in printable)
    shifted = {chr(0x100 + nth): byte for nth, byte in enumerate(others)}
    return {chr(byte): byte for byte in printable} | shifted


_BYTE_OF = _byte_level_alphabet()
