"""What passes as it came, and what does not."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.needs import need_module
from tokenstream import Anthropic, Finish, OpenAIChat, TokenStream, Usage
from tokenstream.errors import UpstreamError

from ...pairings import aread_all, read_all, result_of
from .upstream import HEAD, Upstream, anthropic, chunk, frames

need_module("httpx")

from tokenstream.sources.remote import stream_chat
from tokenstream.sources.remote.reply import reply_of
from tokenstream.sources.remote.secrets import Secrets

HELLO = [{"role": "user", "content": "Hello"}]
ROLE = chunk(None, choices=[{"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}])
TEXT = chunk("Hel", system_fingerprint="fp_1", logprobs=[1])
COUNTS = chunk(None, choices=[], usage={"prompt_tokens": 3, "completion_tokens": 1})
CHUNKS = [ROLE, TEXT, chunk(finish="length"), COUNTS]
DONE = b"data: [DONE]\n\n"

readers = pytest.mark.parametrize("reads_async", [False, True], ids=["for", "async for"])


def relayed(
    body: bytes, wire: Any = "openai-chat", *, reads_async: bool = False, wrap: bool = False
) -> tuple[bytes, Any]:
    """Return what a reader gets of an upstream that sends `body`, and the result."""

    def source() -> object:
        told = stream_chat(upstream.url, HELLO, model="m")
        return (part for part in told) if wrap else told

    with Upstream(lambda visit: visit.send(HEAD + body)) as upstream:
        stream = TokenStream(source, wire)
        sent = asyncio.run(aread_all(stream)) if reads_async else read_all(stream)
    return sent, result_of(stream)


@readers
def test_chunks_pass_as_they_came(reads_async):
    sent, result = relayed(frames(*CHUNKS, "[DONE]"), reads_async=reads_async)
    assert sent == frames(*CHUNKS[:3]) + DONE  # nobody asked for the counts
    assert (result.outcome, result.text, result.parts) == ("completed", "Hel", 3)
    assert (result.finish_reason, result.usage) == ("length", Usage(3, 1))


def test_the_counts_are_for_who_asks_for_them():
    sent, _ = relayed(frames(*CHUNKS, "[DONE]"), OpenAIChat(include_usage=True))
    assert sent == frames(*CHUNKS) + DONE


def test_a_finish_that_is_missing_is_one_of_the_upstreams_chunks():
    fragment = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
    call = chunk(None, choices=[{"index": 0, "delta": {"tool_calls": [fragment]}}])
    call |= {"id": "up", "model": "theirs", "created": 5}
    sent, _ = relayed(frames(call, "[DONE]"))
    assert sent.startswith(frames(call))
    [added] = [json.loads(it[6:]) for it in sent.removeprefix(frames(call)).split(b"\n\n")[:-2]]
    assert added == {
        "id": "up",
        "object": "chat.completion.chunk",
        "created": 5,
        "model": "theirs",
        "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}],
    }


def test_a_finish_that_is_missing_where_the_chunks_have_no_head():
    bare = {"choices": [{"index": 0, "delta": {"content": "a"}}]}
    sent, _ = relayed(frames(bare, "[DONE]"))
    added = json.loads(sent.split(b"\n\n")[1][6:])
    assert added["choices"][0]["finish_reason"] == "stop"
    assert added["model"] == "tokenstream"
    assert added["id"].startswith("chatcmpl-")


def test_comments_pings_and_ids_do_not_pass():
    body = b": hi\n\nid: 7\nretry: 5\n" + frames(TEXT) + b"event: ping\ndata: {}\n\n"
    sent, _ = relayed(body + frames(chunk(finish="stop")))
    assert sent == frames(TEXT, chunk(finish="stop")) + DONE


WIRES = {
    "another protocol": "json",
    "a model": OpenAIChat(model="mine"),
    "an id": OpenAIChat(id="x"),
    "told not to": OpenAIChat(relay=False),
}


@pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)
def test_what_is_encoded_anew(wire):
    sent, result = relayed(frames(*CHUNKS, "[DONE]"), wire)
    assert b"fp_1" not in sent
    assert (result.text, result.usage) == ("Hel", Usage(3, 1))


def test_a_source_that_user_code_wraps_is_encoded_anew():
    sent, _ = relayed(frames(*CHUNKS, "[DONE]"), wrap=True)
    assert b"fp_1" not in sent
    assert b"Hel" in sent


class Proxy:
    """Gives the attributes of what it wraps."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __iter__(self) -> Any:
        yield from self.inner


def test_a_proxy_of_user_code_is_given_parts():
    with Upstream(lambda visit: visit.send(HEAD + frames(*CHUNKS, "[DONE]"))) as upstream:
        stream = TokenStream(Proxy(stream_chat(upstream.url, HELLO, model="m")), "openai-chat")
        assert b"fp_1" not in read_all(stream)
    assert result_of(stream).text == "Hel"


class Relaying:
    """An app's source with a method of its own by that name."""

    def relay(self) -> None:
        raise AssertionError

    def __iter__(self) -> Any:
        return iter(["a"])


def test_a_method_of_an_apps_own_is_not_called():
    stream = TokenStream(Relaying(), "openai-chat")
    read_all(stream)
    assert result_of(stream).outcome == "completed"


def test_told_to_relay_though_there_is_a_model():
    sent, _ = relayed(frames(*CHUNKS, "[DONE]"), OpenAIChat(model="mine", relay=True))
    assert sent.startswith(frames(ROLE))


def test_the_model_that_a_request_names_changes_nothing():
    wire = OpenAIChat()
    from tokenstream.wires import read_request

    ask = read_request(wire, {"messages": HELLO, "model": "theirs"})
    assert wire.answering(ask).begin().relays == "openai-chat"
    assert OpenAIChat(model="mine").answering(ask).begin().relays is None


def data_of(*bodies: bytes) -> list[str]:
    reply = reply_of("openai-chat", Secrets(None))
    return [data for body in bodies for item in reply.relay(body) for data, _ in item.events]


HOSTILE = [
    'data: {"choices": [],\ndata: "x": "a", "choices": [{"delta": {"content": "b"}}]}\n\n',
    'data: {"choices": [{"delta": {"content": "\u2028\x85 é"}}]}\n\n',
    'data: {"error": null, "choices": [{"delta": {"content": "b"}}]}\n\n',
    'data: {"choices": [{"delta": {"content": "b"}, "logprobs": -Infinity}]}\n\n',
    'data: {"choices": [{"delta": {"content": "\\ud83d"}}], "é": NaN}\n\n',
    'data: {"choices": [{"delta": {"content": "é"}, "logprobs": -1e999}]}\n\n',
]


@pytest.mark.parametrize("body", HOSTILE)
def test_what_would_trouble_a_client_is_written_anew(body):
    [data] = data_of(body.encode())
    told = json.loads(data, parse_constant=pytest.fail)
    assert told["choices"]
    assert data.isascii()
    assert not {"\n", "\r"} & set(data)
    assert "error" not in told


def test_what_has_no_part_waits_for_one_that_has():
    reply = reply_of("openai-chat", Secrets(None))
    assert list(reply.relay(frames(ROLE))) == []
    [item] = reply.relay(frames(TEXT))
    assert [parts for _, parts in item.events] == [(), ("Hel",)]
    [item] = reply.relay(frames(chunk(finish="stop")))
    assert item.events[0][1] == (Finish("stop"),)


def test_an_error_before_the_first_part_is_an_http_error():
    with Upstream(lambda visit: visit.send(HEAD + frames(ROLE, {"error": "no"}))) as upstream:
        stream = TokenStream(stream_chat(upstream.url, HELLO, model="m"), "openai-chat")
        with pytest.raises(UpstreamError, match="no"):
            stream.prime()


@readers
@pytest.mark.parametrize("end", [b"", frames({"error": "secret-9"}), frames("{")])
def test_a_relayed_stream_that_breaks(reads_async, end):
    sent, result = relayed(frames(ROLE, TEXT) + end, reads_async=reads_async)
    begin, _, rest = sent.partition(frames(ROLE, TEXT))
    assert (begin, rest.count(b"data: ")) == (b"", 2)
    assert b"generation failed" in rest
    assert b"secret-9" not in sent
    assert result.outcome == "failed"


def event(**fields: Any) -> bytes:
    return f"event: {fields['type']}\ndata: {json.dumps(fields)}\n\n".encode()


def relayed_by_anthropic(body: bytes, wire: Any = "anthropic") -> tuple[bytes, Any]:
    """Return what a reader gets of an upstream that speaks as Anthropic does, and the result."""
    with Upstream(lambda visit: visit.send(HEAD + body)) as upstream:
        source = stream_chat(upstream.url, HELLO, model="m", api="anthropic")
        stream = TokenStream(source, wire)
        sent = read_all(stream)
    return sent, result_of(stream)


PING = event(type="ping")
CALL = [
    event(type="message_start", message={"id": "msg_up", "content": [], "usage": {}}),
    event(
        type="content_block_start",
        index=0,
        content_block={"type": "tool_use", "id": "c", "name": "f", "input": {}},
    ),
    event(
        type="content_block_delta",
        index=0,
        delta={"type": "input_json_delta", "partial_json": '{"a":'},
    ),
    event(type="content_block_stop", index=0),
]
STOP = event(type="message_stop", metrics={"tokens": 1})


def test_anthropics_events_pass_as_they_came():
    body = anthropic("Hel", "lo")
    later = event(type="content_block_delta", index=0, delta={"type": "new_delta", "x": 1})
    begin, _, end = body.partition(b"event: content_block_stop")
    body = begin + later + b"event: content_block_stop" + end
    sent, result = relayed_by_anthropic(body)
    assert sent == body.replace(PING, b"")
    assert (result.outcome, result.text) == ("completed", "Hello")
    assert (result.finish_reason, result.usage) == ("stop", Usage(5, 2))


def test_the_end_of_anthropics_message_is_its_own():
    body = anthropic("Hi", stop=False)
    sent, _ = relayed_by_anthropic(body + STOP)
    assert sent == body.replace(PING, b"") + STOP


def test_a_reason_that_an_anthropic_upstream_leaves_out_is_added():
    sent, _ = relayed_by_anthropic(b"".join(CALL).replace(rb"{\"a\":", b"{}") + STOP)
    assert sent.count(b"event: message_delta") == 1
    assert b'"stop_reason":"tool_use"' in sent
    assert sent.endswith(STOP)


def test_a_relayed_call_that_was_cut_is_no_whole_message():
    sent, result = relayed_by_anthropic(b"".join(CALL) + STOP)
    assert result.outcome == "failed"
    assert b"event: message_stop" not in sent
    assert b"event: error" in sent


@pytest.mark.parametrize("end", [b"", event(type="error", error={"message": "secret-9"})])
def test_a_relayed_message_that_breaks(end):
    begin = anthropic("Hi", reason=None, stop=False)
    sent, result = relayed_by_anthropic(begin + end)
    assert result.outcome == "failed"
    assert sent.startswith(begin.replace(PING, b""))
    assert sent.count(b"event: error") == 1
    assert not {b"event: message_stop", b"secret-9"} & set(sent.splitlines())


@pytest.mark.parametrize("kind", ["x\ndata: evil", "x\r", "\u00e9", "", 5, None])
def test_no_type_of_an_upstream_breaks_out_of_its_line(kind):
    data = json.dumps({"type": kind})
    assert Anthropic().begin().relay([(data, ())]) == b""


@pytest.mark.parametrize(
    "wire", [Anthropic(model="mine"), Anthropic(id="x"), Anthropic(relay=False)], ids=str
)
def test_what_of_anthropics_is_encoded_anew(wire):
    sent, result = relayed_by_anthropic(anthropic("Hi"), wire)
    assert b"msg_up" not in sent
    assert result.text == "Hi"


def test_a_chat_of_openais_does_not_relay_anthropics_events():
    sent, result = relayed_by_anthropic(anthropic("Hi"), "openai-chat")
    assert b"msg_up" not in sent
    assert result.text == "Hi"


def test_the_model_that_a_request_to_anthropics_wire_names_changes_nothing():
    from tokenstream.wires import read_request

    ask = read_request("anthropic", {"messages": HELLO, "model": "theirs", "max_tokens": 9})
    assert Anthropic().answering(ask).begin().relays == "anthropic"
    assert Anthropic(model="mine").answering(ask).begin().relays is None
