"""Text must be what `tokenizer.decode` gives for all ids, and come with the token that ends it."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

if not os.environ.get("TOKENSTREAM_REQUIRE_ALL"):
    pytest.importorskip("transformers", reason="needs the transformers extra")

from tokenizers import Tokenizer, decoders, models
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

from tokenstream.sources.detokenize import PENDING_CAP, Vocabulary

from .tiny import TEXT, byte_fallback_tokenizer, byte_level_tokenizer

BYTE_LEVEL = byte_level_tokenizer()
FALLBACK = byte_fallback_tokenizer()
VOCABULARIES = {id(tok): Vocabulary(tok) for tok in (BYTE_LEVEL, FALLBACK)}
MIXED = "naïve 👩‍💻👨‍👩‍👧‍👦 日本語 한국어 עברית 🇯🇵\n\n  indented\tand \u200b\u2028done "


def pieces(tokenizer, ids, prompt=()):
    """What each id brought, and last what the end did."""
    text = Vocabulary(tokenizer).start(prompt)
    return [*map(text.feed, ids), text.end()]


def encode(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def whole(tokenizer, ids):
    return tokenizer.decode(ids, skip_special_tokens=True)


def byte_runs_apart(expected):
    """A pattern for `expected` that takes anything for a run of bytes that is no UTF-8."""
    return ".*".join(re.escape(part) for part in re.split("\ufffd+", expected))


@settings(max_examples=400, deadline=None)
@given(st.lists(st.integers(0, len(BYTE_LEVEL) - 1), max_size=80))
def test_byte_level_ids_of_any_kind_equal_the_whole_decode(ids):
    text = VOCABULARIES[id(BYTE_LEVEL)].start()
    shown = ""
    for count, token_id in enumerate(ids, 1):
        shown += text.feed(token_id)
        # Held is at most what may begin a character: three bytes.
        assert re.fullmatch(re.escape(shown) + "\ufffd{0,3}", whole(BYTE_LEVEL, ids[:count]))
    assert shown + text.end() == whole(BYTE_LEVEL, ids)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.integers(0, len(FALLBACK) - 1), max_size=60))
def test_byte_fallback_ids_equal_the_whole_decode_but_in_broken_runs(ids):
    prompt = encode(FALLBACK, "the")
    text = VOCABULARIES[id(FALLBACK)].start(prompt)
    shown = "".join([*map(text.feed, ids), text.end()])
    expected = whole(FALLBACK, prompt + ids).removeprefix("the")
    assert re.fullmatch(byte_runs_apart(expected), shown, re.DOTALL)
    assert shown.count("\ufffd") <= expected.count("\ufffd")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
@example(MIXED)
@example("\ufffd literal")
@pytest.mark.parametrize("tokenizer", [BYTE_LEVEL, FALLBACK], ids=["byte-level", "fallback"])
def test_valid_text_is_exact_in_both_families(tokenizer, sample):
    ids = encode(tokenizer, sample)
    text = VOCABULARIES[id(tokenizer)].start()
    assert "".join([*map(text.feed, ids), text.end()]) == whole(tokenizer, ids)


@pytest.mark.parametrize("sample", [*TEXT, MIXED])
@pytest.mark.parametrize("tokenizer", [BYTE_LEVEL, FALLBACK], ids=["byte-level", "fallback"])
def test_each_character_comes_with_the_token_that_completes_it(tokenizer, sample):
    ids = encode(tokenizer, sample)
    shown = ""
    for count, piece in enumerate(pieces(tokenizer, ids)[:-1], 1):
        shown += piece
        so_far = whole(tokenizer, ids[:count])
        if not so_far.endswith("\ufffd"):
            assert shown == so_far
    assert shown == whole(tokenizer, ids)


def test_a_cut_emoji_is_not_lost():
    for tokenizer in (BYTE_LEVEL, FALLBACK):
        ids = encode(tokenizer, "a\U0001f9ff")[:-1]
        shown = pieces(tokenizer, ids)
        assert shown[-1] == "\ufffd"
        assert "".join(shown) == "a\ufffd"


def test_special_tokens_are_not_shown_and_added_ones_are():
    ids = encode(BYTE_LEVEL, "a<|end|><plain ü><think>b<|user|>")
    assert len(ids) == 6
    assert "".join(pieces(BYTE_LEVEL, ids)) == "a<plain ü><think>b"


def test_a_special_token_inside_a_character_changes_nothing():
    first, *rest = encode(FALLBACK, "x\U0001f9ff")[-4:]
    assert pieces(FALLBACK, [first, FALLBACK.eos_token_id, *rest])[-2] == "\U0001f9ff"


def test_a_continued_prompt_keeps_the_space_and_an_answer_has_none():
    fox = encode(FALLBACK, "fox")
    assert "".join(pieces(FALLBACK, fox)) == "fox"
    assert "".join(pieces(FALLBACK, fox, prompt=encode(FALLBACK, "brown"))) == " fox"


def test_a_prompt_that_ends_inside_a_character_does_not_leak():
    prompt = encode(FALLBACK, "brown\U0001f9ff")[:-1]
    assert "".join(pieces(FALLBACK, encode(FALLBACK, "fox"), prompt)) == " fox"


def test_endless_invalid_bytes_are_shown_as_they_come():
    invalid = FALLBACK.convert_tokens_to_ids("<0xFF>")
    assert pieces(FALLBACK, [invalid] * 100) == ["\ufffd"] * 100 + [""]


def test_bytes_that_are_ordinary_words_stay_words():
    words = {"<0x41>": 0, "<0x42>": 1, "the": 2, "[UNK]": 3}
    backend = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]")
    assert (
        "".join(pieces(tokenizer, [0, 2, 1])) == whole(tokenizer, [0, 2, 1]) == "<0x41> the <0x42>"
    )


def test_word_pieces_are_joined():
    words = {"un": 0, "##like": 1, "##ly": 2, "is": 3, "[UNK]": 4}
    backend = Tokenizer(models.WordPiece(words, unk_token="[UNK]"))
    backend.decoder = decoders.WordPiece()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]")
    assert pieces(tokenizer, [3, 0, 1, 2, 3]) == ["is", " un", "like", "ly", " is", ""]


def test_a_tokenizer_in_python_is_read_through_the_window():
    tokenizer = ByT5Tokenizer()
    assert not hasattr(tokenizer, "backend_tokenizer")
    ids = encode(tokenizer, "é中👩 x")
    assert pieces(tokenizer, ids) == ["", "é", "", "", "中", "", "", "", "👩", " ", "x", ""]


def test_a_tokenizer_in_python_holds_no_more_than_the_cap():
    tokenizer = ByT5Tokenizer()
    half, letter = encode(tokenizer, "中")[0], encode(tokenizer, "a")[0]
    shown = pieces(tokenizer, [half] * (3 * PENDING_CAP) + [letter])
    assert shown[-2:] == ["a", ""]


def test_clean_up_of_spaces_is_not_applied():
    backend = Tokenizer(models.WordLevel({"do": 0, ".": 1, "[UNK]": 2}, unk_token="[UNK]"))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="[UNK]", clean_up_tokenization_spaces=True
    )
    assert pieces(tokenizer, [0, 1]) == ["do", " .", ""]
