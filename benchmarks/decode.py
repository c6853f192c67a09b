"""What reading costs: our decoder, httpx-sse and the openai SDK's, over the same bytes.

In one process, no server: megabytes a second and microseconds an event of CPU,
for small and large events, in pieces of 1 byte, 64 bytes, 4 KiB and whole.
httpx-sse is read as its users read it, through an httpx response: the text
decoder that it stands on is in its figure. Every decoder must find every event.

    python -m benchmarks.decode --quick
"""

from __future__ import annotations

if not __package__:
    import sys
    from pathlib import Path

    # Run as a file: with this folder on the path, django.py would stand for Django.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import functools
import gc
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import httpx
from httpx_sse import EventSource

from benchmarks.harness import Report, Rounds, Row, cli, interleave
from tokenstream import sse

Decode = Callable[[Sequence[bytes]], list[str]]
"""Pieces of a stream to the data of its events."""

WHOLE = 1 << 30
PIECES = {"1 B": 1, "64 B": 64, "4 KiB": 4096, "whole": WHOLE}
BYTES = {"1 B": 1 << 16, "64 B": 1 << 19, "4 KiB": 1 << 21, "whole": 1 << 21}
"""Bytes that one run decodes: fewer where the pieces are many."""

DATA = {
    "small": '{"token": " cat"}',
    "large": '{"token": "' + "all work and no play " * 780 + '"}',
}


@dataclass(frozen=True)
class Stream:
    """The bytes that all decoders get. name: `small 64 B`, for the row's key."""

    name: str
    pieces: list[bytes]
    data: str
    events: int

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(map(len, self.pieces))


def streams(share: float, only: str = "") -> Iterator[Stream]:
    """Return the streams with `only` in their name. share: of the bytes of a full run."""
    for kind, data in DATA.items():
        frame = f"data: {data}\n\n".encode()
        for name, size in PIECES.items():
            if only not in f"{kind} {name}":
                continue
            events = max(2, int(BYTES[name] * share) // len(frame))
            yield Stream(f"{kind} {name}", list(cut(frame * events, size)), data, events)


def cut(whole: bytes, size: int) -> Iterator[bytes]:
    """Return `whole` in pieces."""
    return (whole[start : start + size] for start in range(0, len(whole), size))


def ours(pieces: Sequence[bytes]) -> list[str]:
    """Decode with `tokenstream.sse.Decoder`."""
    feed = sse.Decoder().feed
    return [event.data for piece in pieces for event in feed(piece)]


def httpx_sse(pieces: Sequence[bytes]) -> list[str]:
    """Decode with httpx-sse."""
    headers = {"content-type": "text/event-stream; charset=utf-8"}
    response = httpx.Response(200, headers=headers, content=iter(pieces))
    return [event.data for event in EventSource(response).iter_sse()]


def openai_sdk(pieces: Sequence[bytes]) -> list[str]:
    """Decode with the openai SDK's decoder.

    Its module is private: read in public, through a client, it also parses the
    JSON and builds models, which is no decoder's cost.
    """
    from openai._streaming import SSEDecoder

    return [event.data for event in SSEDecoder().iter_bytes(iter(pieces))]


DECODERS: dict[str, Decode] = {"tokenstream": ours, "httpx-sse": httpx_sse, "openai": openai_sdk}


def decoders() -> dict[str, Decode]:
    """Return the decoders there are: without the SDK, or its decoder, those that are left."""
    found = dict(DECODERS)
    try:
        openai_sdk([])
    except ImportError as error:
        print(f"the openai SDK's decoder is left out: {error}", file=sys.stderr)
        del found["openai"]
    return found


def cpu_seconds(decode: Decode, stream: Stream) -> float:
    """Return the CPU that one run took; raise `ValueError` for events that are missing or wrong."""
    gc.collect()  # none pays for what another has left
    since = time.process_time()
    got = decode(stream.pieces)
    spent = time.process_time() - since
    check(got, stream)
    return spent


def check(got: Iterable[str], stream: Stream) -> None:
    """Raise `ValueError` unless these are the stream's events."""
    events = list(got)
    if events != [stream.data] * stream.events:
        raise ValueError(f"{stream.name}: {len(events)} events, not {stream.events}, or other data")


def run(share: float, rounds: int, only: str) -> Rounds:
    """Measure all decoders in turn, on every stream."""
    known = decoders()
    cases = {
        key(stream.name, who): functools.partial(_figures, decode, stream)
        for stream in streams(share, only)
        for who, decode in known.items()
    }
    return interleave(cases, rounds, progress=cli.progress)


def key(stream: str, who: str) -> str:
    """Return the key of a row, such as `decode.small-64-B.tokenstream`."""
    return f"decode.{stream.replace(' ', '-')}.{who}"


def _figures(decode: Decode, stream: Stream) -> dict[str, float]:
    seconds = cpu_seconds(decode, stream)
    return {
        "seconds": seconds,
        "MB/s": stream.size / seconds / 1e6,
        "us an event": seconds / stream.events * 1e6,
    }


def rows(measured: Rounds, only: str) -> list[Row]:
    """Return a table of speeds, one of times, and one of ours over each of the others'."""
    every = [f"{kind} {size}" for kind in DATA for size in PIECES]
    names = [name for name in every if only in name]
    who = [who for who in DECODERS if key(names[0], who) in measured.figures]
    return [
        *_absolute(measured, names, who, "MB/s", "MB/s", "megabytes in a second of CPU"),
        *_absolute(measured, names, who, "us an event", "µs", "CPU an event"),
        *_ratios(measured, names, who[1:]),
    ]


def _absolute(
    measured: Rounds, names: Sequence[str], who: Sequence[str], figure: str, unit: str, group: str
) -> Iterator[Row]:
    for name in names:
        for decoder in who:
            case = key(name, decoder)
            what = f"{name}: {decoder}"
            suffix = "" if unit == "MB/s" else ".event"
            yield Row(case + suffix, group, what, measured.of(case, figure), unit)


def _ratios(measured: Rounds, names: Sequence[str], others: Sequence[str]) -> Iterator[Row]:
    for name in names:
        for other in others:
            ratio = measured.ratio(key(name, "tokenstream"), key(name, other), "seconds")
            what = f"{name}: tokenstream / {other}"
            yield Row(f"{key(name, 'tokenstream')}.{other}", "CPU of ours / theirs", what, ratio)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    options = cli.parse("decode", __doc__, arguments)
    measured = run(
        0.001 if options.tiny else 0.25 if options.quick else 1, options.rounds, options.only
    )
    report = Report(
        "decode", rows(measured, options.only), measured.raw(), options.quick, options.rounds
    )
    cli.finish(report, options)


if __name__ == "__main__":
    main()
