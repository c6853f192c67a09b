"""Text that tries to break out of its frame."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from tokenstream import sse

__all__ = ["BATCHES", "TEXTS", "decoded", "ending", "normal"]


def paired(text: str) -> str:
    """Join the halves of surrogate pairs, as every reader does; the lone ones stay."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


BREAKERS = [
    *("\n", "\r", "\r\n", "\n\n", ":", " ", "\0", "\ufeff", "\x85", "\u2028", "\ud800", "\udc00"),
    *("data: [DONE]", "data: x", "id: 1", "event: error", "[DONE]", "é", "👩‍💻"),
    *('"', "\\", "}", "]}"),
]
TEXTS = (
    st.text(st.characters(), max_size=20)
    | st.lists(st.sampled_from(BREAKERS), max_size=8).map("".join)
).map(paired)

# Tokens as a pump gathers them: what means something only in pieces comes in pieces.
PIECES = ["", "[DO", "NE]", "[", "DONE]", "\ud83d", "\ude00", "a", " "]
BATCHES = st.lists(st.lists(TEXTS | st.sampled_from([*BREAKERS, *PIECES]), max_size=5), max_size=5)


def normal(text: str) -> str:
    """What an event stream carries of a text that is not escaped."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\r\n", "\n").replace("\r", "\n")


def decoded(frames: bytes) -> list[sse.Event]:
    """Return the events, and insist that nothing is left over."""
    decoder = sse.Decoder()
    events = decoder.feed(frames)
    # What was cut off would swallow this event's beginning.
    assert decoder.feed(b"data: after\n\n") == [sse.Event("after")]
    return events


def ending(event: sse.Event) -> str | None:
    """Return what a terminal is, whatever it carries: `[DONE]`, or its type."""
    if event.data.startswith("{"):
        kind = json.loads(event.data).get("type", event.event)
        # An ordinary end, too: it says that the model was cut short, not the stream.
        return "response.completed" if kind == "response.incomplete" else kind
    return event.event or event.data
