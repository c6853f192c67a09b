"""Any JSON, in any of the shapes that chunks have: parts, or an error with a name."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tokenstream.chunks import PARTS, Chunks
from tokenstream.errors import UnknownPart, UnsupportedPart, UpstreamError
from tokenstream.machine import Machine
from tokenstream.wires import find_wire

from ..chunks.scripts import ANTHROPIC, CHAT, COMPLETIONS, GENERATE, GOOGLE, OLLAMA, RESPONSES
from .strategies import HOSTILE, MANY

SCRIPTS = [CHAT, COMPLETIONS, RESPONSES, ANTHROPIC, GOOGLE, OLLAMA, GENERATE]
CHUNKS = [chunk for script in SCRIPTS for chunk in script]
OTHERS: list[dict[str, Any]] = [
    {"event_kind": "part_start", "index": 0, "part": {"part_kind": "text", "content": "a"}},
    {"event_kind": "function_tool_result", "part": {"tool_call_id": "a", "content": "b"}},
    {"event_kind": "agent_run_result", "result": {}},
    {"type": "AIMessageChunk", "content": [{"type": "text", "text": "a"}], "response_metadata": {},
     "tool_call_chunks": [{"index": 0, "id": "a", "name": "f", "args": ""}],
     "usage_metadata": {"input_tokens": 1, "output_tokens": 2}},
    {"type": "error", "error": {"type": "x", "message": "y"}},
    {"type": "error", "code": "x", "message": "y"},
    {"error": "x"},
]  # fmt: skip

SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | HOSTILE
ANY = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(HOSTILE, inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to each value in a chunk."""
    found = [path] if path else []
    inside = enumerate(value) if isinstance(value, list) else getattr(value, "items", tuple)()
    for key, held in inside:
        found += places(held, (*path, key))
    return found


@st.composite
def mutated(draw: Any) -> dict[str, Any]:
    """A real chunk, with something else at some of its places."""
    chunk = copy.deepcopy(draw(st.sampled_from(CHUNKS + OTHERS)))
    for _ in range(draw(st.integers(0, 3))):
        if not (ways := places(chunk)):
            break
        *way, last = draw(st.sampled_from(ways))
        held: Any = chunk
        for key in way:
            held = held[key]
        held[last] = draw(ANY)
    return chunk


@MANY
@given(st.lists(mutated() | st.dictionaries(HOSTILE, ANY, max_size=3), min_size=1, max_size=6))
def test_any_json_is_parts_or_an_error_with_a_name(items):
    chunks = Chunks()
    for item in items:
        try:
            found = list(chunks.parts(item))
        except (UnknownPart, UpstreamError):
            continue
        assert all(isinstance(part, PARTS) for part in found)
        assert "" not in found


@MANY
@given(st.lists(mutated(), min_size=1, max_size=6))
def test_its_parts_are_framed_or_fail_by_a_name(items):
    machine = Machine(find_wire("openai-chat"))
    try:
        for item in items:
            machine.part(item)
        frames = machine.finish()
    except (UnknownPart, UpstreamError, UnsupportedPart) as error:
        frames = machine.fail(error)
    assert frames.endswith(b"data: [DONE]\n\n")
