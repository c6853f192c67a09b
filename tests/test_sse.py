"""The event stream, both ways: WHATWG's cases, bounds, any text at any split of the bytes."""

from __future__ import annotations

import itertools

import httpx
import httpx_sse
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tokenstream import sse
from tokenstream.errors import EventTooLarge, InvalidOption
from tokenstream.shown import shown
from tokenstream.sse import Decoder, Event, comment, encode

# Any text at all, surrogates included; then text that hunts for framing bugs.
ANY_TEXT = st.text(st.characters())
FRAMING = st.lists(
    st.sampled_from(["\n", "\r", "\r\n", ":", " ", "data: ", "id: 1", "event: error", "[DONE]",
                     "\0", "\ufeff", "\x85", "\u2028", "\ud800", "\udc00", "é", "👩‍💻", "retry: 1"])
).map("".join)  # fmt: skip
TEXTS = ANY_TEXT | FRAMING
FIELDS = (TEXTS.map(lambda text: text.translate({0: None, 10: None, 13: None}))) | st.none()
EVENTS = st.builds(Event, TEXTS, event=FIELDS, id=FIELDS, retry=st.none() | st.integers(0, 10**17))


def normal(text: str) -> str:
    """What an event stream carries of a text."""
    paired = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return paired.replace("\r\n", "\n").replace("\r", "\n")


def arrives(event: Event) -> Event:
    """What must come out of a decoder."""
    return Event(
        normal(event.data),
        # "If the field value is the empty string" there is no type: it is a message.
        normal(event.event) or None if event.event is not None else None,
        normal(event.id) if event.id is not None else None,
        event.retry,
    )


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


def decode(*chunks: bytes) -> list[Event]:
    decoder = Decoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)]


# Both directions.


@given(st.lists(EVENTS, max_size=5), st.lists(st.integers(0, 10**6)))
@example([Event("\r"), Event("\n", id="")], [])
def test_the_decoder_reads_back_what_encode_writes_at_any_split(events, cuts):
    data = b"".join(encode(event) for event in events)
    assert decode(*pieces(data, cuts)) == [arrives(event) for event in events]


@given(st.lists(EVENTS, max_size=5), st.lists(st.integers(0, 10**6), max_size=20))
def test_httpx_sse_reads_back_what_encode_writes_at_any_split(events, cuts):
    data = b"".join(encode(event) for event in events)
    response = httpx.Response(
        200,
        headers={"content-type": "text/event-stream; charset=utf-8"},
        stream=Chunks(pieces(data, cuts)),
    )
    read = list(httpx_sse.EventSource(response).iter_sse())
    last_id, expected = "", []
    for event in map(arrives, events):
        last_id = event.id if event.id is not None else last_id
        expected.append((event.data, event.event or "message", last_id, event.retry))
    assert [(it.data, it.event, it.id, it.retry) for it in read] == expected


class Chunks(httpx.SyncByteStream):
    def __init__(self, chunks):
        self.chunks = chunks

    def __iter__(self):
        yield from self.chunks


@given(EVENTS, TEXTS, EVENTS)
def test_a_comment_is_never_an_event(before, words, after):
    data = encode(before) + comment(words) + encode(after)
    assert decode(data) == [arrives(before), arrives(after)]


@given(st.binary(max_size=200), st.lists(st.integers(0, 1000)))
@example(b"event: a\0b\ndata: x\n\n", [])
@example(b"\xef\xbb\xbfdata: x\r\n\r\n", [1, 2])
@example(b"retry: " + b"9" * 5000 + b"\n\n", [])
def test_any_bytes_decode_to_the_same_at_any_split(data, cuts):
    assert decode(*pieces(data, cuts)) == decode(data)


FRAMES = st.lists(
    st.sampled_from(
        [b"data: x\n\n", b"data: \n\n", b"data: \xe2\x82\n\n", b"event: e\ndata: y\n\n",
         b"event: \ndata: y\n\n", b"event: a\0b\ndata: y\n\n", b"data:z\n\n",
         b"data: a\ndata: b\n\n", b"id: 7\ndata: x\n\n", b"retry: 5\n", b": comment\n\n", b"\n",
         b"data: c\r\n\r\n", b"data: d\rid: 8\n\n", b"event: e\n\n"]
    ),
    max_size=8,
)  # fmt: skip


@given(FRAMES.map(b"".join), st.lists(st.integers(0, 1000), max_size=3))
@example(b"data: x\n\n" + b"data: x\n" * 2 + b"\n", [])
@example(b"data: x\n\nretry: 5\ndata: y\n\n", [31])
def test_frames_that_come_together_are_those_that_come_byte_by_byte(frames, cuts):
    frames = b"data: first\n\n" + frames
    assert decode(*pieces(frames, [13, *cuts])) == decode(*(bytes([byte]) for byte in frames))


@given(EVENTS)
def test_a_frame_is_lf_only_and_has_the_space(event):
    data = encode(event)
    assert b"\r" not in data
    assert data.endswith(b"\n\n")
    assert data.count(b"\n\n") == 1  # a blank line only at its end
    assert all(
        line.startswith((b"data: ", b"id: ", b"event: ", b"retry: "))
        for line in data[:-2].split(b"\n")
    )


# Encoding.


@pytest.mark.parametrize(
    "event, frame",
    [
        (Event("x"), b"data: x\n\n"),
        (Event(""), b"data: \n\n"),
        (Event(" x"), b"data:  x\n\n"),
        (Event("a\nb"), b"data: a\ndata: b\n\n"),
        (Event("a\r\nb\rc"), b"data: a\ndata: b\ndata: c\n\n"),
        (Event("x", "e", "1", 5), b"id: 1\nevent: e\nretry: 5\ndata: x\n\n"),
        (Event("x", id=""), b"id: \ndata: x\n\n"),
        (Event("\u2028\x85"), b"data: \xe2\x80\xa8\xc2\x85\n\n"),
    ],
)
def test_encode(event, frame):
    assert encode(event) == frame


@pytest.mark.parametrize(
    "text, data",
    [
        ("\ud83d\ude00", "😀".encode()),
        ("a\ud800b", b"a\xef\xbf\xbdb"),
        ("\udc00", b"\xef\xbf\xbd"),
        ("\ufeffa\ud800", b"\xef\xbb\xbfa\xef\xbf\xbd"),
    ],
)
def test_surrogates(text, data):
    assert sse.utf8(text) == data


@pytest.mark.parametrize("field", ["event", "id"])
@pytest.mark.parametrize("bad", ["a\nb", "\r", "a\0"])
def test_a_field_that_would_end_its_line_is_refused(field, bad):
    with pytest.raises(InvalidOption, match=f"{field} can't hold CR, LF or NUL; remove them"):
        Event("x", **{field: bad})


def test_a_negative_retry_is_refused():
    with pytest.raises(InvalidOption, match="give milliseconds, 0 or more"):
        Event("x", retry=-1)


def test_comment():
    assert comment("hi") == b": hi\n\n"
    assert comment() == b": \n\n"
    assert comment("a\r\nb\n\nc\r") == b": a\n: b\n: \n: c\n: \n\n"


# Decoding: the standard's own rules.


@pytest.mark.parametrize(
    "data, events",
    [
        # The standard's examples.
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [Event("YHOO\n+2\n10")]),
        (
            b": test stream\n\ndata: first event\nid: 1\n\n"
            b"data:second event\nid\n\ndata:  third event\n",
            [Event("first event", id="1"), Event("second event", id="")],
        ),
        (b"data\n\ndata\ndata\n\ndata:", [Event(""), Event("\n")]),
        (b"data:test\n\ndata: test\n\n", [Event("test"), Event("test")]),
        # Line ends.
        (b"data: a\r\n\r\n", [Event("a")]),
        (b"data: a\r\r", [Event("a")]),
        (b"data: a\n\r\n", [Event("a")]),
        (b"data: a\r\n\n", [Event("a")]),
        (b"data: a\rdata: b\r\ndata: c\n\n", [Event("a\nb\nc")]),
        # What Python takes for a line end, and the standard does not.
        ("data: a\x0b\x0c\x1c\x85\u2028b\n\n".encode(), [Event("a\x0b\x0c\x1c\x85\u2028b")]),
        # One byte order mark, at the very start.
        (b"\xef\xbb\xbfdata: a\n\n", [Event("a")]),
        (b"\xef\xbb\xbf\n\ndata: a\n\n", [Event("a")]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", []),
        (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [Event("a")]),
        # Comments and unknown fields.
        (b": a\n:\n:data: no\ndata: a\n\n", [Event("a")]),
        (b"foo: bar\n data: no\nDATA: no\ndata : no\ndata: a\n\n", [Event("a")]),
        (b"foo\nfoo:\n\n", []),
        # Only one space goes.
        (b"data:  a \n\n", [Event(" a ")]),
        (b"data:\ta\n\n", [Event("\ta")]),
        (b"data: a: b\n\n", [Event("a: b")]),
        # Types.
        (b"event: e\ndata: a\n\ndata: b\n\n", [Event("a", "e"), Event("b")]),
        (b"event: e\nevent:\ndata: a\n\n", [Event("a")]),
        (b"event: e\nevent: f\ndata: a\n\n", [Event("a", "f")]),
        (b"event: e\n\ndata: a\n\n", [Event("a")]),
        (b"event: a\0b\ndata: x\n\n", [Event("x", "a\ufffdb")]),
        # Ids.
        (b"id: 1\0\ndata: a\n\n", [Event("a")]),
        (b"id: 1\nid: 2\0\ndata: a\n\n", [Event("a", id="1")]),
        # Reconnection times: ASCII digits, and nothing else.
        (b"retry: 10\ndata: a\n\n", [Event("a", retry=10)]),
        (b"retry: 1x\nretry: -1\nretry: 1.5\nretry:\nretry: +1\ndata: a\n\n", [Event("a")]),
        ("retry: ١\nretry: ²\ndata: a\n\n".encode(), [Event("a")]),
        (b"retry: " + b"9" * 5000 + b"\ndata: a\n\n", [Event("a")]),
        # Bytes that are no UTF-8.
        (b"data: \xff\xe2\x82\n\n", [Event("\ufffd\ufffd")]),
        # "Once the end of the file is reached, any pending data must be discarded."
        (b"data: a\n", []),
        (b"data: a\n\ndata: b", [Event("a")]),
        (b"", []),
        (b"\n\n\r\r\n", []),
    ],
)
def test_the_standard(data, events):
    assert decode(data) == events
    assert decode(*(bytes([byte]) for byte in data)) == events
    assert decode(*pieces(data, list(range(0, 400, 3)))) == events


@pytest.mark.parametrize("empty", [[], [b""], [b"", b""]])
def test_a_crlf_over_two_chunks_is_one_line_end(empty):
    assert decode(b"data: a\r", *empty, b"\ndata: b\r", *empty, b"\n\r", b"\n") == [Event("a\nb")]


def test_last_event_id():
    decoder = Decoder()
    assert decoder.last_event_id == ""
    seen = []
    for data in (b"id: 1\ndata: a\n\n", b"data: b\n\n", b"id: 3\n\n", b"id: 4\0\n\n", b"id\n\n"):
        decoder.feed(data)
        seen.append(decoder.last_event_id)
    assert seen == ["1", "1", "3", "3", ""]


def test_the_id_of_an_event_that_was_cut_is_not_the_last():
    # Else a reader that resumes would miss the rest of event 2 for ever.
    decoder = Decoder()
    decoder.feed(b"id: 1\ndata: a\n\nid: 2\ndata: ha")
    assert decoder.last_event_id == "1"
    decoder.feed(b"lf\n\n")
    assert decoder.last_event_id == "2"


def test_retry_is_kept():
    decoder = Decoder()
    assert decoder.retry is None
    decoder.feed(b"retry: 1500\n")
    assert decoder.retry == 1500
    decoder.feed(b"retry: x\n\n")
    assert decoder.retry == 1500


# Bounds.


def overflows(data: bytes, max_bytes: int, cuts: list[int]) -> bool:
    decoder = Decoder(max_bytes)
    for chunk in pieces(data, cuts):
        try:
            decoder.feed(chunk)
        except EventTooLarge:
            return True
    return False


STREAM_LINES = st.lists(
    st.sampled_from(
        [b"data: 0123456789\n", b"data:0123456789\r\n", b"data\n", b"\n", b": comment\r",
         b"event: e\n", b"\xef\xbb\xbf", b"id: 0123456789\n", b"data: "]
    ),
    max_size=12,
)  # fmt: skip


@given(STREAM_LINES.map(b"".join), st.integers(1, 60), st.lists(st.integers(0, 200)))
@example(b"data:0123456789\ndata:0123456789\n\n", 20, list(range(40)))
@example(b"\xef\xbb\xbfdata: x\n\n", 8, list(range(12)))
def test_whether_an_event_is_too_large_does_not_depend_on_the_split(data, bound, cuts):
    assert overflows(data, bound, cuts) == overflows(data, bound, [])


@pytest.mark.parametrize(
    "data",
    [b"data: " + b"x" * 100, b"data: " + b"x" * 100 + b"\n\n", b"data: x\n" * 100, b"data\n" * 200],
    ids=["a line without its end", "a line", "lines", "lines of nothing"],
)
def test_an_event_over_the_bound(data):
    decoder = Decoder(max_bytes=64)
    with pytest.raises(EventTooLarge, match=r"more than 64 bytes: raise Decoder\(max_bytes="):
        decoder.feed(data)
    with pytest.raises(EventTooLarge):  # and ever after
        decoder.feed(b"\n\ndata: ok\n\n")


def test_the_events_before_one_that_is_too_large_are_with_the_error():
    # In chunks of their own they had been returned: no split loses an event.
    with pytest.raises(EventTooLarge) as raised:
        Decoder(max_bytes=64).feed(b"data: a\n\ndata: b\n\ndata: " + b"x" * 100)
    assert raised.value.events == (Event("a"), Event("b"))
    assert EventTooLarge("x").events == ()


@pytest.mark.parametrize("field", [b"event", b"id"])
def test_the_fields_of_an_event_are_in_its_bound(field):
    decoder = Decoder(max_bytes=64)
    decoder.feed(field + b": " + b"x" * 40 + b"\n")
    with pytest.raises(EventTooLarge):
        decoder.feed(b"data: " + b"x" * 40)


def test_a_field_that_comes_again_takes_the_place_of_the_first():
    decoder = Decoder(max_bytes=64)
    for _ in range(100):
        assert decoder.feed(b"event: 0123456789\nid: 0123456789\n") == []
    assert decoder.feed(b"data: x\n\n") == [Event("x", "0123456789", "0123456789")]


@pytest.mark.parametrize("max_bytes", [0, -1, 1.5, None, "9"])
def test_a_bound_that_means_nothing(max_bytes):
    with pytest.raises(InvalidOption, match=r"max_bytes=.*give a number of bytes above 0"):
        Decoder(max_bytes)


def test_many_events_are_no_large_one():
    decoder = Decoder(max_bytes=64)
    assert len(decoder.feed(b"data: " + b"x" * 50 + b"\n\n")) == 1
    assert len(decoder.feed((b"data: " + b"x" * 50 + b"\n\n") * 100)) == 100
    assert decoder.feed(b": " + b"x" * 60 + b"\n") == []


def test_media_type():
    assert sse.MEDIA_TYPE == "text/event-stream"


@pytest.mark.parametrize(
    "fields", [{"data": 5}, {"data": "a", "event": 5}, {"data": "a", "id": 5}], ids=str
)
def test_fields_that_are_no_text_are_named(fields):
    with pytest.raises(InvalidOption, match="must be a str"):
        Event(**fields)


class Loud(str):
    def __str__(self):
        return "a\n\nevent: b"

    __format__ = __radd__ = replace = lambda self, *_: str(self)
    __contains__ = lambda self, _: False  # noqa: E731


def test_of_a_field_the_text_is_sent_and_not_what_it_prints_as():
    event = Event(Loud("x\ny"), Loud("e"), Loud("1"))
    assert encode(event) == b"id: 1\nevent: e\ndata: x\ndata: y\n\n"
    with pytest.raises(InvalidOption, match="event can't hold CR"):
        Event("x", Loud("\n"))


@pytest.mark.parametrize("retry", [1.5, True, "x", -1, 10**18, 10**5000], ids=shown)
def test_a_retry_that_no_browser_takes(retry):
    with pytest.raises(InvalidOption, match="give milliseconds"):
        Event("a", retry=retry)
