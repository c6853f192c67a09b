"""The picture of `scale.py`: lines, light, on logarithmic axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Curve", "Curves", "Panel"]

OURS = "#2563eb"
THEIRS = "#8b95a5"
INK = "#1f2937"
GRID = "#e5e7eb"


@dataclass(frozen=True)
class Curve:
    """label: written in the legend. ours: drawn in our colour."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    ours: bool


@dataclass(frozen=True)
class Panel:
    """One pair of axes. title: above it; x: what grows."""

    title: str
    x: str
    curves: Sequence[Curve]


@dataclass(frozen=True)
class Curves:
    """Panels side by side, which share the axis upwards. y: what that is."""

    name: str
    title: str
    y: str
    panels: Sequence[Panel]

    def write(self, folder: Path) -> Path:
        """Draw it into `folder`; return the file."""
        import matplotlib
        from matplotlib.figure import Figure

        path = folder / f"{self.name}.svg"
        style: dict[Any, Any] = {
            "svg.fonttype": "none",
            "svg.hashsalt": self.name,
            "font.family": "sans-serif",
        }
        with matplotlib.rc_context(style):
            figure = Figure(figsize=(1.2 + 3.4 * len(self.panels), 3.2), layout="constrained")
            axes = figure.subplots(1, len(self.panels), sharey=True, squeeze=False)[0]
            for one, panel in zip(axes, self.panels, strict=True):
                _draw(one, panel)
            axes[0].set_ylabel(self.y, color=INK)
            folder.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        return path


def _draw(axes: Any, panel: Panel) -> None:
    for curve in panel.curves:
        colour = OURS if curve.ours else THEIRS
        axes.plot(curve.x, curve.y, "o-", color=colour, label=curve.label, lw=2, ms=4)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(0.1, 200)  # the same in both, and in each run: pictures can be compared
    axes.set_yticks([1, 10, 100], ["1", "10", "100"])
    axes.set_title(panel.title, loc="left", fontsize=10, color=INK)
    axes.set_xlabel(panel.x, color=INK)
    axes.grid(color=GRID)
    axes.minorticks_off()
    axes.tick_params(length=0, colors=INK)
    axes.spines[:].set_visible(False)
    axes.legend(frameon=False, labelcolor=INK, fontsize=8, loc="upper left")
