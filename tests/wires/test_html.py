"""The wire "html": no text is ever markup, none of it is lost, and the end is a named event."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tokenstream import Html, Reasoning, ToolCall, sse
from tokenstream.errors import InvalidOption, UnsupportedPart
from tokenstream.machine import Machine

from .strategies import BATCHES, TEXTS, decoded, normal

MARKUP = ["<", ">", "&", "&lt;", "lt;", "<script>", "</", "<!--", '" onx="', "'", "<br>", "&#60;"]
TOKENS = st.lists(TEXTS | st.lists(st.sampled_from(MARKUP), max_size=4).map("".join), max_size=8)
BOTH = pytest.mark.parametrize("breaks", [True, False])


class Shown(HTMLParser):
    """What a page shows: text, and the elements that this wire writes."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.feed(html)
        self.close()

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list) -> None:
        assert tag in ("br", "span")
        assert attrs == []
        self.text += "\n" if tag == "br" else ""

    def handle_endtag(self, tag: str) -> None:
        assert tag == "span"

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    handle_decl = unknown_decl = handle_pi = handle_comment


def shown(text: str) -> str:
    return normal(text).replace("\0", "\ufffd")


@BOTH
@given(TOKENS)
@example(["\r", "\n"])
@example(["a\r", "", "\nb"])
@example(["[DONE]", "\n[DONE]"])
@example(["<scr", "ipt>alert(1)</script>"])
@example(["&", "lt;", "&am", "p;"])
@example([" ", "\n", "\ufeff", " \n "])
def test_the_page_shows_the_text_at_any_split_into_tokens(breaks, tokens):
    encoder = Html(breaks=breaks).begin()
    frames = b"".join(encoder.text(token) for token in tokens if token)
    events = decoded(frames)
    assert all(event == sse.Event(event.data) for event in events)
    # Swapped one by one, or all together: an element is whole in its event.
    assert "".join(Shown(event.data).text for event in events) == shown("".join(tokens))
    assert Shown("".join(event.data for event in events)).text == shown("".join(tokens))
    assert b"data: [DONE]" not in frames.split(b"\n")


@BOTH
@given(st.sampled_from([" ", "\n", "\t ", "\ufeff", "\xa0", "\u2028"]))
def test_what_is_only_space_is_an_element(breaks, text):
    # htmx 4 swaps no text that is blank when trimmed.
    [event] = decoded(Html(breaks=breaks).begin().text(text))
    assert event.data.startswith("<span>")
    assert Shown(event.data).text == text


def test_line_ends_are_breaks_or_stay():
    assert decoded(Html().begin().text("a\r\nb")) == [sse.Event("a<br>b")]
    assert decoded(Html(breaks=False).begin().text("a\r\nb")) == [sse.Event("a\nb")]


@pytest.mark.parametrize("value", [None, "<br>", 1])
def test_an_option_of_another_type_is_named(value):
    with pytest.raises(InvalidOption, match=r"Html\(breaks=.*\): breaks must be a bool"):
        Html(breaks=value)


@given(TEXTS)
def test_an_error_is_escaped_and_then_it_closes(message):
    error, close = decoded(Html().begin().error(message))
    assert (error.event, Shown(error.data).text) == ("error", shown(message))
    assert close == sse.Event("closed", event="close")


def test_success_is_the_data_of_the_close_event_that_no_page_swaps():
    assert Html().begin().done() == b"event: close\ndata: [DONE]\n\n"


def test_an_event_is_the_apps_own_html():
    assert Html().begin().part(sse.Event("<b>x</b>")) == b"data: <b>x</b>\n\n"


def test_what_has_no_place():
    encoder = Html().begin()
    assert encoder.part(Reasoning("<b>")) == b""
    with pytest.raises(UnsupportedPart, match="wire 'html' has no place for ToolCall"):
        encoder.part(ToolCall(0))


def test_a_cr_is_remembered_for_its_stream_only():
    wire = Html()
    one, two = wire.begin(), wire.begin()
    one.text("a\r")
    assert two.text("\nb") == b"data: <br>b\n\n"
    assert one.text("\nb") == b"data: b\n\n"


@BOTH
@given(BATCHES)
@example([["a", " ", "b"], ["a", "<b"], ["a", "\ufeff"]])
@example([["a\r"], ["\nb", "c"], ["a", "\ud800"]])
def test_many_tokens_are_framed_as_each_is(breaks, batches):
    one, many = Html(breaks=breaks).begin(), Html(breaks=breaks).begin()
    for batch in batches:
        if tokens := [token for token in batch if token]:
            assert many.texts(tokens) == b"".join(map(one.text, tokens))


def test_only_where_a_reader_may_come_back_is_an_early_failure_told_in_the_stream():
    assert Machine(Html(), "run").in_band
    assert not Machine(Html()).in_band
