"""The list of models; the endpoints are in tests/adapters/test_chat.py."""

from __future__ import annotations

import json

import pytest

from tokenstream.errors import InvalidOption
from tokenstream.models import Models

MODELS = Models(("a", "b/c"), created=5)


def test_the_list():
    answer = MODELS.answer("GET")
    assert json.loads(answer.body) == {
        "object": "list",
        "data": [
            {"id": name, "object": "model", "created": 5, "owned_by": "tokenstream"}
            for name in ("a", "b/c")
        ],
    }


def test_one():
    assert json.loads(MODELS.answer("GET", "b/c").body)["id"] == "b/c"
    assert MODELS.answer("GET", "b").status == 404


def test_head_has_no_body():
    assert MODELS.answer("HEAD", "a").body == b""
    assert MODELS.answer("HEAD", "none").status == 404


def test_a_name_that_is_none():
    for name in ("", 5, None):
        with pytest.raises(InvalidOption):
            Models((name,))


def test_a_long_name_is_cut():
    assert len(MODELS.answer("GET", "x" * 10_000).body) < 300
