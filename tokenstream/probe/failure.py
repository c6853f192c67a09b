"""What ends a command with a line instead of a traceback."""

from __future__ import annotations

from tokenstream.errors import TokenStreamError

__all__ = ["CommandFailed"]


class CommandFailed(TokenStreamError):
    """Something is not as the command needs it; the message says what to do."""
