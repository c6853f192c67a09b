"""Why a model stopped, in every protocol's words."""

from __future__ import annotations

from typing import get_args

import pytest

from tokenstream import FinishReason
from tokenstream.reasons import REASONS, reason_from, reason_in

from .needs import need_checkout

PROTOCOL = pytest.mark.parametrize("protocol", REASONS)


# A completion has no calls: its word for them is another reason's.
WRITTEN = [
    (protocol, reason)
    for protocol in REASONS
    for reason in get_args(FinishReason)
    if (protocol, reason) != ("openai-completions", "tool_calls")
]


@pytest.mark.parametrize("protocol, reason", WRITTEN)
def test_a_word_is_read_as_what_it_was_written_for(protocol, reason):
    assert reason_from(reason_in(protocol, reason)) == reason


@PROTOCOL
def test_every_reason_has_a_word(protocol):
    assert set(REASONS[protocol]) == set(get_args(FinishReason))


def test_a_completion_stops_at_what_it_has_no_word_for():
    assert reason_in("openai-completions", "tool_calls") == "stop"
    assert reason_from("stop") == "stop"


@pytest.mark.parametrize(
    "word, reason",
    [
        ("end_turn", "stop"),
        ("MAX_TOKENS", "length"),
        ("tool-calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("STOP", "stop"),
        ("SAFETY", "content_filter"),
        ("refusal", "content_filter"),
        ("max_output_tokens", "length"),
        ("stop_sequence", "stop"),
        ("eos_token", "stop"),
    ],
)
def test_words_of_every_protocol_in_any_case(word, reason):
    assert reason_from(word) == reason


@pytest.mark.parametrize("word", ["", "other", "FINISH_REASON_UNSPECIFIED", "stop "])
def test_a_word_that_nobody_knows(word):
    assert reason_from(word) is None


def test_the_table_is_read_only():
    with pytest.raises(TypeError):
        REASONS["mine"] = {}


def test_the_table_of_the_page_is_this_one():
    page = (need_checkout() / "docs" / "wires.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    head = ["`Finish`", *(f"`{name}`" for name in ("openai-chat", "openai-completions"))]
    (start,) = [number for number, row in enumerate(rows) if row[: len(head)] == head]
    names = [cell.strip("`") for cell in rows[start]]
    for row in rows[start + 1 : start + 5]:
        reason, *words = [cell.strip("`") for cell in row]
        said = dict(zip(names[1:], words, strict=True))
        assert {name: said[name] for name in REASONS} == {
            name: table[reason] for name, table in REASONS.items()
        }
