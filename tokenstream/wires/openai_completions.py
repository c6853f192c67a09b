"""The wire "openai-completions": OpenAI's Completions, from before there were chats.

Source: the API's reference, and openai-python's types. A prompt is text that is to be
continued: there are no roles, calls or thinking. Chunks and whole replies have one shape.
"""

from __future__ import annotations

from dataclasses import dataclass

from .base import Encoder
from .openai import settings_of
from .openai_chunks import ChunkEncoder, ChunkWire
from .reply import Reply
from .request import ChatRequest, Fields, JsonObject

__all__ = ["OpenAICompletions"]

OBJECT = "text_completion"


@dataclass(frozen=True)
class OpenAICompletions(ChunkWire):
    """The wire "openai-completions". Its options, and what they raise, are those of `OpenAIChat`.

    A request has one prompt, which is text: it becomes the one message, the user's.
    """

    name = "openai-completions"
    id_prefix = "cmpl-"
    whole = OBJECT

    def begin(self) -> Encoder:
        """Return the encoder of one stream."""
        return _CompletionsEncoder(self)

    def read(self, body: Fields) -> ChatRequest:
        """Return what a request's body asks for."""
        return ChatRequest(
            messages=[{"role": "user", "content": _prompt(body)}],
            max_tokens=body.count("max_tokens"),
            **settings_of(body),
        )

    def choice(self, reply: Reply) -> JsonObject:
        """Return the choice with its text."""
        return {"text": reply.text}


def _prompt(body: Fields) -> str:
    prompt = body.need("prompt", body.raw("prompt"))
    if isinstance(prompt, list) and len(prompt) == 1:
        (prompt,) = prompt
    if isinstance(prompt, str):
        return prompt
    raise body.wrong("prompt", "one text: several prompts, and ids of tokens, are not taken")


class _CompletionsEncoder(ChunkEncoder):
    kind = OBJECT
    around_text = ('"text":', ',"logprobs":null')

    def last(self) -> JsonObject:
        return {"text": "", "logprobs": None}
