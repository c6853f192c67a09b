"""The places where a source runs."""

from __future__ import annotations

from ..opening import runs_on_loop
from ..pump import Driver, Pump
from .loop import LoopDriver
from .sync import InlineDriver, ThreadDriver

__all__ = ["InlineDriver", "LoopDriver", "ThreadDriver", "inline", "place"]


def place(source: object, pump: Pump) -> Driver:
    """Return the driver for a source, as far as its kind shows."""
    if runs_on_loop(source, wants_async=pump.wants_async):
        return LoopDriver(pump)
    return ThreadDriver(pump)


def inline(source: object, pump: Pump) -> Driver:
    """Return the driver for the reader's own thread, or one for a loop if the source needs that."""
    return LoopDriver(pump) if runs_on_loop(source, wants_async=False) else InlineDriver(pump)
