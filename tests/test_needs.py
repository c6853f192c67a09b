"""The helper that skips, and that fails where everything is required."""

from __future__ import annotations

import pathlib
import sys

import pytest

from tests.needs import missing, need_module, need_program

Skipped = pytest.skip.Exception
Failed = pytest.fail.Exception


@pytest.fixture(autouse=True)
def optional(monkeypatch):
    monkeypatch.delenv("TOKENSTREAM_REQUIRE_ALL", raising=False)


@pytest.fixture
def required(monkeypatch):
    monkeypatch.setenv("TOKENSTREAM_REQUIRE_ALL", "1")


def test_what_is_there_is_returned():
    assert pathlib.Path(need_program("sh")).is_file()
    assert need_module("json.decoder") is sys.modules["json.decoder"]


def test_a_missing_program_skips_with_the_reason():
    with pytest.raises(Skipped, match="the program tokenstream-none"):
        need_program("tokenstream-none")


def test_a_missing_module_skips_with_the_reason():
    with pytest.raises(Skipped, match="the module tokenstream_none"):
        need_module("tokenstream_none.inner")


@pytest.mark.usefixtures("required")
def test_where_everything_is_required_a_skip_is_a_failure():
    for need in (need_program, need_module, missing):
        with pytest.raises(Failed, match=r"tokenstream_none.*TOKENSTREAM_REQUIRE_ALL"):
            need("tokenstream_none")


def test_a_module_that_is_there_but_broken_is_no_reason_to_skip(tmp_path, monkeypatch):
    (tmp_path / "broken_by_a_test.py").write_text("import tokenstream_none")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError):
        need_module("broken_by_a_test")
