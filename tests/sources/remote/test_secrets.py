"""What is hidden, and what is not."""

from __future__ import annotations

import pytest

from tests.needs import need_module

need_module("httpx")

from tokenstream.sources.remote.secrets import Secrets

KEY = "sk-proj-abcdefgh12345678"


@pytest.mark.parametrize(
    "said, told",
    [
        (f"key {KEY}!", "key [redacted]"),
        (f'"{KEY}"', '"[redacted]"'),
        ("key sk-proj-****5678. See", "key [redacted] See"),
        ("key sk-pro... is wrong", "key [redacted] is wrong"),
        ("Bearer token-of-mine", "[redacted]"),
        ("TOKEN-OF-MINE", "[redacted]"),
        ("nothing of it", "nothing of it"),
    ],
)
def test_what_is_hidden(said, told):
    assert Secrets(KEY, ["Bearer token-of-mine", "a"]).hide(said) == told


def test_without_secrets():
    assert Secrets(None).hide("a k") == "a k"
    assert Secrets("k", ["a"]).hide("a k") == "a k"  # no secret is as short
