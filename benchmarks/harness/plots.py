"""Small plots as SVG, with text as text: readable in a diff, and the same twice in a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Plot"]

OURS = "#2563eb"
OTHERS = "#a8b0bd"
INK = "#1f2937"


@dataclass(frozen=True)
class Plot:
    """Horizontal bars. name: of the file. ours: which labels are drawn in our colour.

    unit: of the values, written behind each. log: a logarithmic axis.
    """

    name: str
    title: str
    labels: Sequence[str]
    values: Sequence[float]
    unit: str
    ours: Sequence[str] = ()
    log: bool = False

    def write(self, folder: Path) -> Path:
        """Draw it into `folder`; return the file."""
        # Not at the top: a benchmark that draws nothing needs no matplotlib.
        import matplotlib
        from matplotlib.figure import Figure

        path = folder / f"{self.name}.svg"
        style: Any = {
            "svg.fonttype": "none",
            "svg.hashsalt": self.name,
            "font.family": "sans-serif",
        }
        with matplotlib.rc_context(style):
            figure = Figure(figsize=(7, 0.7 + 0.32 * len(self.labels)), layout="constrained")
            self._draw(figure.add_subplot())
            folder.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        return path

    def _draw(self, axes: Any) -> None:
        colours = [OURS if label in self.ours else OTHERS for label in self.labels]
        bars = axes.barh(list(self.labels), list(self.values), color=colours, height=0.66)
        axes.bar_label(bars, [f" {value:.3g} {self.unit}" for value in self.values], color=INK)
        axes.set_title(self.title, loc="left", fontsize=11, color=INK)
        axes.invert_yaxis()
        axes.margins(x=0.2)
        if self.log:
            axes.set_xscale("log")
        axes.xaxis.set_visible(False)
        axes.spines[:].set_visible(False)
        axes.tick_params(left=False, colors=INK)
