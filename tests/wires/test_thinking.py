"""Thinking goes where servers look for it, after what a message has of it."""

from __future__ import annotations

from tokenstream import Reasoning
from tokenstream.wires.thinking import think


def test_what_is_signed_is_in_its_blocks_too():
    message = {"role": "assistant"}
    think(message, [Reasoning("a"), Reasoning("b", "s")])
    think(message, [Reasoning("", "t"), Reasoning("c")])
    assert message == {
        "role": "assistant",
        "reasoning_content": "abc",
        "thinking_blocks": [
            {"type": "thinking", "thinking": "b", "signature": "s"},
            {"type": "thinking", "thinking": "", "signature": "t"},
        ],
    }


def test_nothing_adds_nothing():
    message = {"role": "assistant"}
    think(message, [Reasoning("")])
    assert message == {"role": "assistant"}
