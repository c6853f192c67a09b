"""scale.py to its end, and its arithmetic."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from .test_scripts import run  # first: it skips where a package is missing

from benchmarks import scale  # isort: skip
from benchmarks.apps.scale_plot import Curve, Curves, Panel  # isort: skip


def test_from_one_end_to_the_other(tmp_path: Path):
    file = tmp_path / "scale.json"
    run("-m", "benchmarks.scale", "--tiny", "--rounds", "1", "--json", str(file))
    result = json.loads(file.read_text())
    keys = [row["key"] for row in result["rows"]]
    assert len(keys) == len(set(keys))
    for axis in ("tokens", "streams", "hot-streams"):
        assert f"scale.{axis}.slope.tokenstream" in keys
    assert all(figures[0]["rate"] > 0 for figures in result["raw"].values())


@pytest.mark.parametrize("power", [-1.0, 0.0, 0.5, 2.0])
def test_the_slope_is_the_power(power: float):
    amounts = [1, 10, 100, 1000]
    assert scale.slope(amounts, [7 * amount**power for amount in amounts]) == pytest.approx(power)


def test_small_points_are_repeated():
    point = scale.Point("hot", streams=10, tokens=100, at_least=20_000)
    wants = point.wants("tokenstream")
    assert sum(want.streams for want in wants) == point.total == 200
    assert len(wants) == 10
    assert all(want.one_by_one for want in wants)
    large = scale.Point("hot", streams=1000, tokens=100, at_least=20_000)
    assert [want.streams for want in large.wants("tokenstream")] == [large.total] == [1000]


def test_the_picture(tmp_path: Path):
    curve = Curve("tokenstream, slope +0.01", [1, 10], [2.0, 2.1], ours=True)
    plot = Curves("scale", "title", "µs", [Panel("growing", "streams", [curve])])
    text = plot.write(tmp_path).read_text()
    ElementTree.fromstring(text)
    assert "tokenstream, slope +0.01" in text
    assert plot.write(tmp_path).read_text() == text
