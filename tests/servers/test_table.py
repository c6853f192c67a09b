"""The writer of the table in docs/deployment.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from .sites import ALL
from .table import at_most, table, write_block

Records = dict[tuple[str, str, str], list[float | str]]


def row(server: str, records: Records) -> dict[str, str]:
    lines = [line.strip("| ").split(" | ") for line in table(records)[0].splitlines()]
    (cells,) = [line for line in lines if line[0] == server]
    return dict(zip(lines[0], cells, strict=True))


def test_a_row_tells_the_median_of_the_slowest_app() -> None:
    records: Records = {
        ("hypercorn", "asgi", "silent"): [1.0, 2.0, 100.0],
        ("hypercorn", "django", "silent"): [7.0, 8.0, 9.0],
        ("hypercorn", "django", "direct"): ["yes", "yes"],
    }
    cells = row("hypercorn", records)
    assert cells["silent"] == "8"
    assert cells["token by token"] == "yes"
    assert cells["talking"] == "not run"
    assert table(records)[1] == []


def test_what_is_above_its_bound_is_marked_and_named() -> None:
    records: Records = {
        ("hypercorn", "asgi", "silent"): [60.0],
        ("hypercorn", "django", "silent"): [8.0],
    }
    assert row("hypercorn", records)["silent"] == "**60**"
    assert table(records)[1] == ["hypercorn, asgi, silent: 60 ms, at most 50"]


@pytest.mark.parametrize(
    "site, expected",
    [("uvicorn-h11-asgi", 50), ("gunicorn-gthread-flask", 250), ("cheroot-django", 300)],
)
def test_what_is_promised(site: str, expected: float) -> None:
    (found,) = [it for it in ALL if str(it) == site]
    assert at_most(found, "silent") == pytest.approx(expected)


def test_the_block_is_written_again_and_again(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- matrix -->\n<!-- /matrix -->\nb\n")
    for text in ("one\n", "two\n"):
        write_block(page, text)
    assert page.read_text() == "a\n<!-- matrix -->\ntwo\n<!-- /matrix -->\nb\n"
    page.write_text("no markers")
    with pytest.raises(ValueError, match="0 blocks"):
        write_block(page, "text")
