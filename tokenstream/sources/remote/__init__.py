"""Any API that streams OpenAI's chat or Anthropic's messages, as a source. Needs httpx."""

from __future__ import annotations

from .stream import AsyncRemote, Remote, SyncRemote, stream_chat

__all__ = ["AsyncRemote", "Remote", "SyncRemote", "stream_chat"]
