"""What a token costs to frame: our wires through the machine, beside the peers' encoders.

In one process, no server: nanoseconds a token on the CPU. Every encoder gets the
same tokens, and what it wrote is decoded and compared before anything is timed.

    python -m benchmarks.framing --quick
"""

from __future__ import annotations

if not __package__:
    import sys
    from pathlib import Path

    # Run as a file: with this folder on the path, django.py would stand for Django.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import functools
import gc
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fastapi.encoders import jsonable_encoder
from fastapi.sse import format_sse_event
from litestar.response.sse import ServerSentEventMessage
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice, ChoiceDelta
from sse_starlette.event import JSONServerSentEvent, ServerSentEvent

from benchmarks.harness import Report, Rounds, Row, cli, interleave
from tokenstream import WireName, sse
from tokenstream.machine import Machine
from tokenstream.wires import find_wire

TEXT = (
    "The cat sat on the mat, and the naïve reader waited for one token after another: "
    "some are a word, some are a sign or two, and 日本語 is three of them. "
)

BATCH = 100
"""Tokens in one join: on `openai-chat` a third of what a stream holds for its reader."""

Frames = Callable[[Sequence[str]], list[bytes]]
"""Tokens to frames, one each. What it makes for a stream is made anew in each call."""


@dataclass(frozen=True)
class Case:
    """An encoder. group: what it writes; the first case of a group is written by hand."""

    group: str
    who: str
    frames: Frames
    token: Callable[[str], str]  # an event's data -> the token that it carries

    @property
    def key(self) -> str:
        """The key of its row."""
        return f"framing.{self.group}.{self.who}"


def tokens(count: int) -> list[str]:
    """Return tokens as models make them: with their leading space, without line ends."""
    words = [" " + word for word in TEXT.split()]
    return (words * (count // len(words) + 1))[:count]


def cpu_ns(case: Case, given: Sequence[str]) -> float:
    """Return the nanoseconds of CPU that one token took."""
    gc.collect()  # none pays for what another has left
    since = time.process_time_ns()
    case.frames(given)
    return (time.process_time_ns() - since) / len(given)


def check(case: Case, given: Sequence[str]) -> None:
    """Raise `ValueError` where an encoder does not say what it was given."""
    events = sse.Decoder().feed(b"".join(case.frames(given)))
    got = [case.token(event.data) for event in events]
    # The machine's first call carries the wire's opening.
    if [token for token in got if token] != list(given):
        raise ValueError(f"{case.key} framed {got[:3]}... where {list(given[:3])}... was given")


def through_machine(wire: WireName) -> Frames:
    """Return the way of a token inside of tokenstream, the note for `Result` included."""

    def frames(given: Sequence[str]) -> list[bytes]:
        part = Machine(find_wire(wire)).part
        return [part(token) for token in given]

    return frames


def wire_alone(wire: WireName) -> Frames:
    """Return what of that is the wire's: no order to keep, no note."""

    def frames(given: Sequence[str]) -> list[bytes]:
        text = find_wire(wire).begin().text
        return [text(token) for token in given]

    return frames


def together(wire: WireName) -> Frames:
    """Return the way of tokens that a source gives before it waits, `BATCH` in one join."""

    def frames(given: Sequence[str]) -> list[bytes]:
        machine = Machine(find_wire(wire))
        opening = machine.part("")
        batches = range(0, len(given), BATCH)
        return [opening, *(machine.texts(list(given[at : at + BATCH])) for at in batches)]

    return frames


def each(encode: Callable[[str], bytes]) -> Frames:
    """Return the frames of an encoder that knows of no stream."""
    return lambda given: [encode(token) for token in given]


def chunk(token: str) -> str:
    """Return a chunk of OpenAI's Chat Completions as one writes it by hand."""
    return json.dumps(
        {
            "id": "chatcmpl-0123456789abcdef",
            "object": "chat.completion.chunk",
            "created": 1700000000,
            "model": "tokenstream",
            "choices": [{"index": 0, "delta": {"content": token}, "finish_reason": None}],
        }
    )


def model(token: str) -> bytes:
    """Do what servers do that are built of OpenAI's own models."""
    delta = ChoiceDelta(content=token)
    made = ChatCompletionChunk(
        id="chatcmpl-0123456789abcdef",
        object="chat.completion.chunk",
        created=1700000000,
        model="tokenstream",
        choices=[Choice(index=0, delta=delta, finish_reason=None)],
    )
    return b"data: " + made.model_dump_json().encode() + b"\n\n"


def fastapi_json(token: str) -> bytes:
    """Do what FastAPI's routes do with an item that they are yielded."""
    return format_sse_event(data_str=json.dumps(jsonable_encoder({"token": token})))


def of_json(data: str) -> str:
    """Return the token of `{"token": ...}`."""
    token: str = json.loads(data)["token"]
    return token


def of_chunk(data: str) -> str:
    """Return the token of a chunk."""
    content: str = json.loads(data)["choices"][0]["delta"]["content"]
    return content


CASES = [
    Case("text", "by hand", each(lambda token: b"data: " + token.encode() + b"\n\n"), str),
    Case("text", "tokenstream", through_machine("text"), str),
    Case("text", "tokenstream, many at once", together("text"), str),
    Case("text", "tokenstream sse.encode", each(lambda t: sse.encode(sse.Event(t))), str),
    Case("text", "sse-starlette", each(lambda token: ServerSentEvent(token).encode()), str),
    Case("text", "FastAPI", each(lambda token: format_sse_event(data_str=token)), str),
    Case("text", "Litestar", each(lambda token: ServerSentEventMessage(token).encode()), str),
    Case(
        "json",
        "by hand",
        each(lambda token: f"data: {json.dumps({'token': token})}\n\n".encode()),
        of_json,
    ),
    Case("json", "tokenstream", through_machine("json"), of_json),
    Case("json", "tokenstream, many at once", together("json"), of_json),
    Case(
        "json",
        "sse-starlette",
        each(lambda token: JSONServerSentEvent({"token": token}).encode()),
        of_json,
    ),
    Case("json", "FastAPI", each(fastapi_json), of_json),
    Case(
        "openai-chat",
        "by hand",
        each(lambda token: f"data: {chunk(token)}\n\n".encode()),
        of_chunk,
    ),
    Case("openai-chat", "tokenstream", through_machine("openai-chat"), of_chunk),
    Case("openai-chat", "tokenstream, the wire alone", wire_alone("openai-chat"), of_chunk),
    Case("openai-chat", "tokenstream, many at once", together("openai-chat"), of_chunk),
    Case("openai-chat", "openai's models", each(model), of_chunk),
    Case(
        "openai-chat",
        "sse-starlette",
        each(lambda token: ServerSentEvent(chunk(token)).encode()),
        of_chunk,
    ),
    Case(
        "openai-chat",
        "FastAPI",
        each(lambda token: format_sse_event(data_str=chunk(token))),
        of_chunk,
    ),
]

# Who is compared with whom, beside what is written by hand: the key of the row, ours, theirs.
AGAINST = [
    ("framing.text.bare", "text: tokenstream", "text: by hand"),
    ("framing.openai-chat.bare", "openai-chat: tokenstream, the wire alone", "text: by hand"),
    ("framing.openai-chat.machine", "openai-chat: tokenstream", "text: by hand"),
    ("framing.openai-chat.together", "openai-chat: tokenstream, many at once", "text: by hand"),
    ("framing.openai-chat.models", "openai-chat: tokenstream", "openai-chat: openai's models"),
]


def run(cases: Sequence[Case], count: int, rounds: int) -> Rounds:
    """Check every encoder, then measure all of them in turn with so many tokens."""
    given = tokens(count)
    for case in cases:
        check(case, given)
    running = {case.key: functools.partial(_figures, case, given) for case in cases}
    return interleave(running, rounds, progress=cli.progress)


def _figures(case: Case, given: Sequence[str]) -> dict[str, float]:
    return {"ns": cpu_ns(case, given)}


def rows(measured: Rounds, cases: Sequence[Case]) -> list[Row]:
    """Return nanoseconds a token, each over what is written by hand, and `AGAINST`."""
    keys = {f"{case.group}: {case.who}": case.key for case in cases}
    by_hand = {case.group: case.key for case in reversed(cases)}
    return (
        [
            Row(
                case.key,
                "a token framed",
                f"{case.group}: {case.who}",
                measured.of(case.key, "ns"),
                "ns",
            )
            for case in cases
        ]
        + [
            Row(
                f"{case.key}.by-hand",
                "the same / by hand",
                f"{case.group}: {case.who}",
                measured.ratio(case.key, by_hand[case.group], "ns"),
            )
            for case in cases
            if case.key != by_hand[case.group]
        ]
        + [
            Row(key, "one over another", f"{ours} / {theirs}", ratio)
            for key, ours, theirs in AGAINST
            if ours in keys and theirs in keys
            for ratio in [measured.ratio(keys[ours], keys[theirs], "ns")]
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    options = cli.parse("framing", __doc__, arguments)
    cases = [case for case in CASES if options.only in case.group]
    count = 100 if options.tiny else 20_000 if options.quick else 100_000
    measured = run(cases, count, options.rounds)
    report = Report("framing", rows(measured, cases), measured.raw(), options.quick, options.rounds)
    cli.finish(report, options)


if __name__ == "__main__":
    main()
