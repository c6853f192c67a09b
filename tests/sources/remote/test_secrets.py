"""What is hidden, and what is not."""

from __future__ import annotations

import pytest

from tests.needs import need_module

need_module("httpx")

from tokenstream.sources.remote.secrets import Secrets, secret_values

KEY = "sk-proj-abcdefgh12345678"


@pytest.mark.parametrize(
    "said, told",
    [
        (f"key {KEY}!", "key [redacted]"),
        (f'"{KEY}"', '"[redacted]"'),
        ("key sk-proj-****5678. See", "key [redacted] See"),
        ("key sk-pro... is wrong", "key [redacted] is wrong"),
        ("key sk-pr****5678", "key [redacted]"),
        ("key abcdefgh12345678", "key [redacted]"),
        ("key sk-proj-abcdefgh", "key [redacted]"),
        ("a key begins with sk-proj-", "a key begins with sk-proj-"),
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


@pytest.mark.parametrize(
    "key, said",
    [
        ("token-abc123", "the maximum context length is 4096 tokens"),
        ("token-abc123", "a token-based limit"),
        ("EMPTY", "messages must not be empty"),
        ("test-key", "the tests failed for testing-model"),
        ("ollama", "model 'ollama/qwen' not found"),
        ("none", "none of the tools"),
        ("key-1", "no key-10, no my-key-1"),
    ],
)
def test_ordinary_words_stay(key, said):
    assert Secrets(key).hide(said) == said


@pytest.mark.parametrize("key", ["token-abc123", "test-key", "key-1", "x" * 30, "a b c d e f"])
def test_a_key_is_never_told(key):
    assert Secrets(key).hide(f"key '{key}' is wrong") == "key '[redacted]' is wrong"


def test_words_of_a_header():
    hide = Secrets(None, ["Basic dXNlcjpwYXNz==", "id=abc; session=0123456789ab"]).hide
    assert hide("got dXNlcjpwYXNz") == "got [redacted]"
    assert hide("no 0123456789ab in session") == "no [redacted] in session"
    assert hide("Basic is unknown") == "Basic is unknown"


def test_headers_that_are_secret():
    secret = ["Authorization", "x-api-key", "api-key", "Cookie", "X-Auth-Token", "client-secret"]
    told = ["x-title", "HTTP-Referer", "user-agent", "openai-organization", "anthropic-beta"]
    assert secret_values({name: name for name in secret + told}) == secret
