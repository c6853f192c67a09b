"""What SDKs yield, to parts. Nothing of an SDK is imported: chunks are told by their shape."""

from __future__ import annotations

from collections.abc import Sequence

from ..parts import Data, Finish, Reasoning, Source, Step, ToolCall, ToolResult, Usage, unknown_part
from ..sse import Event

__all__ = ["PARTS", "Chunks"]

PARTS = (str, Reasoning, ToolCall, ToolResult, Source, Step, Usage, Finish, Data, Event)
"""The kinds of part, besides bytes."""


class Chunks:
    """One stream's chunks to parts: a protocol's chunks refer to earlier ones."""

    def parts(self, item: object) -> Sequence[object]:
        """Return the parts of what a source has yielded: of a part, itself.

        Empty for a chunk that says nothing to a reader. Raises `UnknownPart` for what
        is neither a part nor a chunk that is known.
        """
        # By its type: what only says of itself that it is text, as a proxy does, is none.
        if issubclass(type(item), PARTS):
            return (item,)
        raise unknown_part(item)
