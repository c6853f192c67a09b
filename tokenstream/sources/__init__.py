"""Things that yield parts. What needs more than the standard library is imported by its module."""

from __future__ import annotations

from .channel import ChannelSource, Sender, channel

__all__ = ["ChannelSource", "Sender", "channel"]
