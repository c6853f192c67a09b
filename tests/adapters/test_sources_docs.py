"""What docs/sources.md says, run as it stands, against a real upstream."""

from __future__ import annotations

import pytest

from tests.needs import need_checkout, need_module

from ..chunks.scripts import ANTHROPIC
from ..chunks.upstream import Upstream, as_sse, as_sse_with_events
from ..snippets import run_page

need_checkout()
need_module("openai")
need_module("anthropic")
need_module("httpx")

CHAT = [
    {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}
    for text, finish in [("Hel", None), ("lo", None), (None, "stop")]
]


def test_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        Upstream([*as_sse(CHAT), b"data: [DONE]\n\n"]) as openai,
        Upstream(as_sse_with_events(ANTHROPIC)) as anthropic,
    ):
        run_page("docs/sources.md", OPENAI_URL=f"{openai.url}/v1", ANTHROPIC_URL=anthropic.url)
    printed = capsys.readouterr().out
    assert "data: Hel\n\ndata: lo\n\ndata: [DONE]\n\nHello stop" in printed
    assert '{"reasoning":"They "}' in printed
    assert printed.endswith("They greet. Hello\ndata: Hel\n\ndata: lo\n\ndata: [DONE]\n\n")
