"""What the adapters' chat endpoints share; the endpoints are in tests/adapters/test_chat.py."""

from __future__ import annotations

import io
import json

import pytest

from tokenstream import TokenStream
from tokenstream.chat import BODY_LIMIT, Chat, chat_of, check_size, read_limited, whole_options
from tokenstream.errors import BadRequest, BodyTooLarge, InvalidOption, UpstreamError
from tokenstream.wires import OpenAIChat
from tokenstream.wires.whole import Whole

BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":%s}'


def chat(answer=lambda ask: [], **options):
    return Chat(OpenAIChat(), answer, **options)


def test_a_request_is_answered_by_its_own_model():
    endpoint, request = chat(lambda ask: ask), object()
    source, wire = endpoint.read(BODY % b"true", request)
    assert wire == OpenAIChat(model="m", relay=True)
    ask = source()
    assert (ask.model, ask.request, ask.stream) == ("m", request, True)
    assert endpoint.read(BODY % b"false", request)[1] == Whole(wire)


def test_no_request():
    with pytest.raises(BadRequest, match="messages"):
        chat().read(b"{}", None)


def read(source, endpoint, **options):
    stream = TokenStream(source, Whole(endpoint.wire), **whole_options(options))
    body = b"".join(stream)
    return endpoint.whole(stream.result, body)


def test_a_whole_reply():
    answer = read(["Hel", "lo"], chat(headers={"X-Own": "1"}))
    assert answer.status == 200
    assert json.loads(answer.body)["choices"][0]["message"]["content"] == "Hello"
    assert answer.headers["X-Own"] == "1"


def test_a_reader_that_left_gets_nothing_that_looks_whole():
    endpoint = chat()
    stream = TokenStream(iter(["Hel", "lo"]), Whole(endpoint.wire))
    stream.leave()
    body = b"".join(stream)
    answer = endpoint.whole(stream.result, body)
    assert (answer.status, answer.body) == (499, b"")
    assert endpoint.whole(None, b"").status == 499


def fails(error):
    yield "Hel"
    raise error


def test_a_failure_in_the_middle_has_its_status(caplog):
    assert read(fails(UpstreamError("no", status=503)), chat()).status == 503
    assert len(caplog.records) == 1  # by the stream


LATE = {
    "told": [{"choices": [{"delta": {"content": "x"}}]}, {"error": {"message": "key sk-abc"}}],
    "cut": [{"choices": [{"delta": {"content": "x"}}]}],
}


@pytest.mark.parametrize("chunks", LATE.values(), ids=LATE)
@pytest.mark.parametrize("words", ["generation failed", "sorry"])
def test_an_sdks_words_in_the_middle_are_for_the_log(chunks, words):
    on_error = (lambda error: words) if words == "sorry" else None
    answer = read(iter(chunks), chat(on_error=on_error))
    assert answer.status == 502
    assert json.loads(answer.body)["error"]["message"] == words


def test_what_the_framework_tells_comes_after_what_the_package_does():
    endpoint = chat(told=lambda error: (418, "short", {"X-Pot": "1"}))
    assert endpoint.refused(LookupError("secret")).status == 418
    assert endpoint.refused(LookupError("secret")).headers["X-Pot"] == "1"
    assert endpoint.refused(UpstreamError("no", status=503)).status == 503


def test_what_nobody_knows_is_500_and_logged_with_its_traceback(caplog):
    answer = chat().refused(LookupError("secret"))
    assert (answer.status, b"secret" in answer.body) == (500, False)
    [record] = caplog.records
    assert record.exc_info
    assert record.getMessage() == "the chat endpoint failed: LookupError"


def test_on_error_has_the_words_of_a_500():
    endpoint = chat(on_error=lambda error: f"sorry: {type(error).__name__}")
    assert b"sorry: LookupError" in endpoint.refused(LookupError()).body
    assert b"sorry: UpstreamError" in endpoint.refused(UpstreamError("no")).body
    assert b"sorry" not in endpoint.refused(UpstreamError("no", public="busy")).body


@pytest.mark.parametrize("wire", ["json", "text"])
def test_a_wire_that_has_no_request(wire):
    with pytest.raises(InvalidOption, match="read the body yourself"):
        chat_of(wire, lambda ask: [], {})


def test_headers_are_checked_where_they_are_written():
    with pytest.raises(InvalidOption):
        chat_of("openai-chat", lambda ask: [], {"headers": {"X": "a\r\nb"}})


def test_the_limit_of_a_body():
    check_size(None)
    check_size(BODY_LIMIT)
    with pytest.raises(BodyTooLarge, match=str(BODY_LIMIT)):
        check_size(BODY_LIMIT + 1)


def test_a_body_is_read_to_its_end_and_no_further_than_the_limit():
    assert read_limited(io.BytesIO(b"x" * 100_000).read) == b"x" * 100_000
    endless = io.BytesIO(b"x" * (BODY_LIMIT + (1 << 20)))
    with pytest.raises(BodyTooLarge):
        read_limited(endless.read)
    assert endless.tell() <= BODY_LIMIT + (1 << 16)


def test_options_of_a_whole_reply():
    options = {"status": 201, "headers": {}, "on_reconnect": "rerun", "prime": 3, "keep_alive": 5}
    assert whole_options(options) == {"prime": None, "keep_alive": 5}
