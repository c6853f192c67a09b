"""No text makes a reader see an event, a type, an id or an end that the stream does not mean.

On every wire that has a name. Each stream is made twice, of the same parts:
once with harmless words and once with hostile text in their place. What is
read of the second must be what is read of the first, with the words replaced.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from typing import Any, get_args

import httpx
import httpx_sse
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tokenstream import (
    Data,
    Finish,
    Reasoning,
    Source,
    Step,
    ToolCall,
    ToolResult,
    Usage,
    Wire,
    WireName,
    sse,
)
from tokenstream.errors import InvalidOption, UnsupportedPart
from tokenstream.machine import Machine
from tokenstream.wires import find_wire
from tokenstream.wires.base import json_ascii

from ..cases import SourceBroke
from ..wires.strategies import decoded, normal, paired
from ..wires.test_html import Shown
from .strategies import HOSTILE, MANY, pieces

KEEP_ALIVE = object()

# How many texts a part takes, and how it is made of them.
PARTS: dict[str, tuple[int, Callable[..., object]]] = {
    "token": (1, str),
    "reasoning": (2, Reasoning),
    # Arguments that are no object, whatever they say: a wire may wait for one that is whole.
    "tool call": (3, lambda one, two, three: ToolCall(0, one, two, f"[{three}")),
    "another tool call": (3, lambda one, two, three: ToolCall(1, one, two, f"[{three}")),
    "tool result": (3, lambda one, two, three: ToolResult(one, {two: [three]})),
    "source": (2, Source),
    "step": (0, Step),
    "usage": (2, lambda one, two: Usage(1, 2, {one: two})),
    "finish": (0, lambda: Finish("stop")),
    "cut": (0, lambda: Finish("length")),
    "data": (3, lambda one, two, three: Data(one, {two: three})),
    "event": (3, sse.Event),
    "keep-alive": (0, lambda: KEEP_ALIVE),
}
FIELD = str.maketrans({"\r": "", "\n": "", "\0": ""})


def a_field(text: str) -> str:
    """What an event's type or id may hold of it: see `test_requests` for the rest."""
    return text.translate(FIELD) or "x"


@dataclasses.dataclass(frozen=True)
class Script:
    """Parts, and how they end, with numbered words for each text and a text for each word."""

    parts: tuple[tuple[str, tuple[str, ...]], ...]
    options: dict[str, str]
    fails: bool
    run_id: str | None
    texts: dict[str, str]

    def hostile(self, words: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self.texts[word] for word in words)


@st.composite
def scripts(draw: Any) -> Script:
    texts: dict[str, str] = {}

    def word(made: Callable[[str], str] = str) -> str:
        name = f"word{len(texts)}end"
        texts[name] = made(draw(HOSTILE))
        return name

    parts = []
    for kind in draw(st.lists(st.sampled_from(list(PARTS)), max_size=6)):
        if kind == "event":
            # A ready event is the app's own: that its data says [DONE] is meant.
            data = word(lambda text: text.replace("[DONE]", "done"))
            words = (data, word(a_field), word(a_field))
        elif kind.endswith("tool call"):
            # Two ids that are the same would be one call.
            words = (word(lambda text: f"{text}{len(texts)}"), word(), word())
        else:
            words = tuple(word() for _ in range(PARTS[kind][0]))
        parts.append((kind, words))
    options = {"text": word(), "error": word()}
    run_id = draw(st.sampled_from([None, "run"]))
    return Script(tuple(parts), options, draw(st.booleans()), run_id, texts)


def with_options(wire: Wire, text: str) -> Wire:
    """Return the wire with `text` in every option that takes one, and nothing made at random."""
    options: dict[str, Any] = {}
    for option in dataclasses.fields(wire):
        kind = str(option.type)
        options[option.name] = text if "str" in kind else True if "bool" in kind else 1
    return dataclasses.replace(wire, **options)


def frames_of(wire: Wire, script: Script, *, hostile: bool) -> bytes:
    texts = script.hostile if hostile else tuple
    (option,) = texts((script.options["text"],))
    (message,) = texts((script.options["error"],))
    machine = Machine(with_options(wire, option), script.run_id, lambda _: message)
    frames = b""
    for kind, words in script.parts:
        part = PARTS[kind][1](*texts(words))
        try:
            frames += machine.keep_alive() if part is KEEP_ALIVE else machine.part(part)
        except UnsupportedPart:
            continue
        except InvalidOption:
            break
    return frames + ended(machine, script)


def ended(machine: Machine, script: Script) -> bytes:
    try:
        return machine.fail(SourceBroke()) if script.fails else machine.finish()
    except InvalidOption as error:  # a call that is no object at its end
        return machine.fail(error)


def meant(value: Any, texts: dict[str, str]) -> Any:
    """Put the texts where their words are."""
    match value:
        case str() if (inner := inner_json(value)) is not None:
            return json_ascii(meant(inner, texts))
        case str():
            return paired(re.sub("word[0-9]+end", lambda found: texts[found[0]], value))
        case dict():
            return {meant(key, texts): meant(it, texts) for key, it in value.items()}
        case list():
            return [meant(it, texts) for it in value]
    return value


def inner_json(text: str) -> Any:
    """What a tool gave is JSON inside of JSON on most wires."""
    try:
        return json.loads(text) if text[:1] in ("{", "[") else None
    except ValueError:
        return None


def meant_event(event: sse.Event, texts: dict[str, str]) -> tuple[object, ...]:
    return (data_of(event, texts), *(put(it, texts) for it in (event.event, event.id)), event.retry)


def put(field: str | None, texts: dict[str, str]) -> str | None:
    return None if field is None else normal(meant(field, texts))


def data_of(event: sse.Event, texts: dict[str, str]) -> object:
    try:
        return meant(json.loads(event.data), texts)
    except ValueError:
        return normal(meant(event.data, texts))


def is_escaped(wire: Wire) -> bool:
    """Whether a token is JSON on it, so that an event is an event and its text any text."""
    *_, event = decoded(wire.begin().text("word"))
    return event.data.startswith("{")


def check_escaped(read: list[sse.Event], harmless: list[sse.Event], texts: dict[str, str]) -> None:
    assert len(read) == len(harmless)
    for event, twin in zip(read, harmless, strict=True):
        expected = meant_event(twin, texts)
        is_json = not isinstance(expected[0], str)
        data = json.loads(event.data) if is_json else event.data
        assert (data, event.event, event.id, event.retry) == expected


def check_plain(read: list[sse.Event], harmless: list[sse.Event], texts: dict[str, str]) -> None:
    # A token may be two events here, or none: "[DONE]", and the LF of a CRLF. The text
    # of all, and all else, is exactly what was meant.
    *read, end = read
    *harmless, meant_end = harmless
    assert (end.data, end.event, end.id, end.retry) == meant_event(meant_end, texts)
    assert "[DONE]" not in [event.data for event in read if event.event is None]
    told = "".join(event.data for event in read if event.event is None)
    tokens = [meant(twin.data, texts) for twin in harmless if twin.event is None]
    # The halves of a pair are joined in one token; in two, each is lone. A CRLF is one line end.
    assert told == normal("".join(sse.utf8(token).decode() for token in tokens))
    others = [event for event in read if event.event is not None]
    twins = [twin for twin in harmless if twin.event is not None]
    check_escaped(others, twins, texts)
    ids = [event.id for event in read if event.event is None and event.id is not None]
    assert ids in ([], ["run"])
    assert all(event.retry is None for event in read)


def check_html(read: list[sse.Event], harmless: list[sse.Event], texts: dict[str, str]) -> None:
    """What a page shows is the text; the app's own events are its own HTML, as they are."""
    own = {"error": shown, "close": str, None: shown}
    for events in (read, harmless):
        assert events[-1].event == "close"
        assert [it.data for it in events if it.event == "close"] == [events[-1].data]
    told = [it.data for it in read if it.event is None]
    tokens = [meant(shown(it.data), texts) for it in harmless if it.event is None]
    assert "[DONE]" not in told
    # As in `check_plain`: the halves of a pair in two tokens are lone.
    assert shown("".join(told)) == in_a_page("".join(sse.utf8(it).decode() for it in tokens))
    others = [it for it in read if it.event is not None]
    twins = [it for it in harmless if it.event is not None]
    assert len(others) == len(twins)
    for event, twin in zip(others, twins, strict=True):
        as_read = own.get(twin.event, normal)
        assert as_read(event.data) == in_a_page(meant(as_read(twin.data), texts), as_read is shown)
        assert (event.event, event.id) == (put(twin.event, texts), put(twin.id, texts))
    assert [it.id for it in read if it.event is None and it.id is not None] in ([], ["run"])


def shown(html: str) -> str:
    return Shown(html).text


def in_a_page(text: str, is_shown: bool = True) -> str:
    return normal(text).replace("\0", "\ufffd") if is_shown else normal(text)


def seen_by_httpx_sse(chunks: list[bytes]) -> list[tuple[object, ...]]:
    class Chunks(httpx.SyncByteStream):
        def __iter__(self):
            yield from chunks

    headers = {"content-type": "text/event-stream; charset=utf-8"}
    source = httpx_sse.EventSource(httpx.Response(200, headers=headers, stream=Chunks()))
    return [(it.data, it.event, it.id, it.retry) for it in source.iter_sse()]


def as_httpx_sse_says_it(events: list[sse.Event]) -> list[tuple[object, ...]]:
    last_id, said = "", []
    for event in events:
        last_id = event.id if event.id is not None else last_id
        said.append((event.data, event.event or "message", last_id, event.retry))
    return said


def script(*parts: tuple[str, tuple[str, ...]], error: str = "x", fails: bool = False) -> Script:
    """Write an example: its texts are numbered in their order."""
    texts: dict[str, str] = {}

    def word(text: str) -> str:
        texts[f"word{len(texts)}end"] = text
        return f"word{len(texts) - 1}end"

    made = tuple((kind, tuple(map(word, given))) for kind, given in parts)
    return Script(made, {"text": word("\n\n"), "error": word(error)}, fails, "run", texts)


CHECKS = {"html": check_html}


@pytest.mark.parametrize("name", get_args(WireName))
@MANY
@given(scripts(), st.lists(st.integers(0, 10**6), max_size=10))
@example(script(("token", ("\n\nevent: error\ndata: x\n\n",))), [])
@example(script(("token", ("\r",)), ("event", ("a", "b", "c")), ("token", ("\n",))), [])
@example(script(("token", ("\ud800",)), ("token", ("\udc00",))), [])
@example(script(("token", ("[DONE]",)), ("keep-alive", ()), ("token", ("a\n[DONE]",))), [])
@example(script(error="\r\n\r\ndata: [DONE]\r\n\r\n", fails=True), [])
def test_what_is_read_is_what_was_meant(name, script, cuts):
    wire = find_wire(name)
    frames = frames_of(wire, script, hostile=True)
    read = decoded(frames)
    harmless = decoded(frames_of(wire, script, hostile=False))
    check = CHECKS.get(name) or (check_escaped if is_escaped(wire) else check_plain)
    check(read, harmless, script.texts)
    assert seen_by_httpx_sse(pieces(frames, cuts)) == as_httpx_sse_says_it(read)
    assert b"\r" not in frames
    assert b"\0" not in frames or not is_escaped(wire) or any(k == "event" for k, _ in script.parts)
