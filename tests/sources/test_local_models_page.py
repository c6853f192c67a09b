"""The Python blocks of docs/local-models.md, run with the tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ..needs import need_module
from ..snippets import run_page

need_module("transformers")


def test_the_page(llm: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    llm.model.save_pretrained(tmp_path)
    llm.tokenizer.save_pretrained(tmp_path)
    run_page("docs/local-models.md", folder=tmp_path)
    printed = capsys.readouterr().out
    assert "20 written" in printed or "stop" in printed
