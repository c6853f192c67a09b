"""What docs/flask.md says, run as it stands."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tokenstream.testing import read_stream
from tokenstream_flask.config import OPTIONS

from ..needs import need_checkout

PAGE = (need_checkout() / "docs" / "flask.md").read_text(encoding="utf-8")


class Model:
    def stream(self, question: str) -> Iterator[str]:
        yield "hello"
        yield " there" if question == "hi" else f" {question}"

    async def create(self, question: str) -> AsyncIterator[str]:
        async def tokens() -> AsyncIterator[str]:
            for token in self.stream(question):
                yield token

        return tokens()


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    names: dict[str, Any] = {"llm": Model(), "__name__": "page"}
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        exec(compile(block, "docs/flask.md", "exec"), names)
    return names


@pytest.mark.parametrize("path", ["/chat", "/returns", "/async", "/checks", "/response", "/keep"])
def test_each_view_streams(page: dict[str, Any], path: str) -> None:
    reply = read_stream(page["app"].test_client().post(path, json={"q": "you"})).read()
    assert reply.text == "hello you"
    assert reply.done


def test_what_passes_through(page: dict[str, Any]) -> None:
    response = page["app"].test_client().post("/checks", json={"q": ""})
    assert response.status_code == 400
    assert response.json == {"error": "ask something"}


def test_every_option_is_shown(page: dict[str, Any]) -> None:
    shown = [key for key in page["app"].config if key.startswith("TOKENSTREAM_")]
    assert sorted(shown) == sorted(f"TOKENSTREAM_{name.upper()}" for name in OPTIONS)
