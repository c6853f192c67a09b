"""Chat Completions and Completions: the real client's chunks, litellm's, and plain dicts."""

from __future__ import annotations

import logging

import pytest

from tests.needs import need_module
from tokenstream import Finish, Reasoning, Source, Step, ToolCall, Usage
from tokenstream.chunks import Chunks
from tokenstream.errors import UnknownPart, UpstreamError
from tokenstream.wires import acollect, collect

from .reading import aread, check, fails, read
from .scripts import CHAT, COMPLETIONS, ask
from .upstream import Upstream, as_sse

openai = need_module("openai")

DONE = b"data: [DONE]\n\n"
DETAILS = {"cached_tokens": 3, "reasoning_tokens": 2}


def serve(events=CHAT, end=DONE):
    return Upstream([*as_sse(events), end])


def client(upstream, kind=openai.OpenAI):
    return kind(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0, timeout=20)


def create(upstream, kind=openai.OpenAI):
    return lambda: client(upstream, kind).chat.completions.create(
        model="m", messages=ask, stream=True
    )


def helper(upstream, kind=openai.OpenAI):
    return lambda: client(upstream, kind).chat.completions.stream(model="m", messages=ask)


def chat(delta, finish=None, **more):
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


WHOLE = chat({"content": "a"}, "stop")


@pytest.mark.parametrize("make", [create, helper])
def test_the_client(make):
    with serve() as upstream:
        check(read(make(upstream)), details=DETAILS)


@pytest.mark.parametrize("make", [create, helper])
def test_the_async_client(make):
    with serve() as upstream:
        check(aread(make(upstream, openai.AsyncOpenAI)), details=DETAILS)


def test_a_stream_that_is_open_already():
    with serve() as upstream:
        check(read(create(upstream)()), details=DETAILS)


def test_a_context_manager_as_it_is():
    with serve() as upstream:
        check(read(helper(upstream)()), details=DETAILS)


def test_plain_dicts():
    check(read(CHAT), details=DETAILS)


def test_completions():
    with serve(COMPLETIONS) as upstream:
        told = read(
            client(upstream).completions.create(model="m", prompt="hi", stream=True),
        )
    check(told, reasoning="", calls=[], finish="length", usage=None)
    check(read(COMPLETIONS), reasoning="", calls=[], finish="length", usage=None)


def test_litellm():
    litellm = need_module("litellm")
    with serve() as upstream:
        told = read(
            lambda: litellm.completion(
                model="openai/m",
                messages=ask,
                stream=True,
                stream_options={"include_usage": True},
                api_base=f"{upstream.url}/v1",
                api_key="k",
                max_retries=0,
            )
        )
    check(told, details=DETAILS)


def test_litellm_async():
    litellm = need_module("litellm")
    with serve() as upstream:
        told = aread(
            lambda: litellm.acompletion(
                model="openai/m",
                messages=ask,
                stream=True,
                api_base=f"{upstream.url}/v1",
                api_key="k",
                max_retries=0,
            )
        )
    assert told[0].text == "Hello"
    assert told[0].reasoning == "They greet."


def test_the_parts_in_their_order():
    chunks = Chunks()
    assert [part for chunk in CHAT for part in chunks.parts(chunk)] == [
        Reasoning("They "),
        Reasoning("greet."),
        "Hel",
        "lo",
        ToolCall(0, "call_a", "weather"),
        ToolCall(0, arguments='{"city":'),
        ToolCall(0, arguments='"Rome"}'),
        ToolCall(1, "call_b", "time", "{}"),
        Finish("tool_calls"),
        Usage(5, 7, DETAILS),
    ]
    chunks.end()


# Ends and errors.


@pytest.mark.parametrize("make", [create, helper])
@pytest.mark.parametrize("kept", [1, 5])
def test_a_cut_is_no_end(make, kept):
    # The client ends its stream in silence: only the missing reason tells.
    with serve(CHAT[:kept], end=b"") as upstream:
        fails(read(make(upstream)), "cut", text="Hello" if kept == 5 else "")


def test_a_cut_before_the_first_part_is_an_error_of_prime():
    from tokenstream import TokenStream

    with serve(CHAT[:1], end=b"") as upstream, pytest.raises(UpstreamError, match="cut"):
        TokenStream(create(upstream)).prime()


def test_a_cut_of_the_second_reply_is_seen_though_the_first_was_whole():
    fails(read([WHOLE, chat({"content": "b"})]), "cut", text="ab")


def test_a_source_that_stops_on_purpose_says_so():
    told = read([chat({"content": "a"}), Finish("stop")])
    check(told, text="a", reasoning="", calls=[], finish="stop", usage=None)


def test_what_comes_after_the_end_and_says_nothing_begins_no_reply():
    late = chat({"content": ""}, usage={"prompt_tokens": 1, "completion_tokens": 2})
    told = read([WHOLE, late])
    check(told, text="a", reasoning="", calls=[], finish="stop", usage=(1, 2))


CITED = {"type": "url_citation", "url_citation": {"url": "https://a.test/", "title": "A"}}
LATE = {
    "citations": {"choices": [], "citations": ["https://a.test/"]},
    "annotations": chat({"annotations": [CITED]}),
    "annotations with a role": chat({"role": "assistant", "annotations": [CITED]}),
    "citations with a role": chat({"role": "assistant"}, citations=["https://a.test/"]),
}


@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
def test_what_cites_after_the_end_begins_no_reply(late):
    told = read([WHOLE, late, late])
    check(told, text="a", reasoning="", calls=[], finish="stop", usage=None)
    assert b"https://a.test/" in told[1]


@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
def test_but_before_it_a_source_is_a_part_of_the_reply(late):
    fails(read([late]), "cut")


@pytest.mark.parametrize("between", [[], [Step()]], ids=["as it is", "Step"])
def test_a_reply_that_is_cut_after_its_role_is_no_end(between):
    role = chat({"role": "assistant", "content": ""})
    fails(read([WHOLE, *between, role]), "cut", text="a")
    check(
        read([WHOLE, *between, role, WHOLE]),
        text="aa",
        reasoning="",
        calls=[],
        finish="stop",
        usage=None,
    )


def test_an_error_in_the_stream():
    error = {"error": {"message": "secret overload", "type": "server_error", "code": None}}
    told = read([chat({"content": "a"}), error])
    fails(told, "secret overload", text="a")
    assert told[0].error.kind == "server_error"
    fails(read([{"error": "secret words"}]), "secret words")


def test_what_comes_with_an_error_is_sent_before_it():
    error = {"error": {"message": "secret overload", "code": 502}}
    told = read([chat({"content": "a"}, "error", **error)])
    fails(told, "secret overload", text="a")
    assert told[0].error.kind == "502"
    fails(read([chat({"content": "b"}, "error")]), "ended in an error", text="b")


def test_collect_is_in_step():
    body = collect(CHAT)
    assert body["choices"][0]["message"]["content"] == "Hello"
    assert body["choices"][0]["finish_reason"] == "tool_calls"
    with pytest.raises(UpstreamError, match="cut"):
        collect(CHAT[:5])
    with serve() as upstream:
        assert collect(helper(upstream))["usage"]["prompt_tokens"] == 5


async def test_acollect_is_in_step():
    with serve() as upstream:
        body = await acollect(helper(upstream, openai.AsyncOpenAI))
        assert body["choices"][0]["message"]["content"] == "Hello"
    with serve() as upstream:
        assert (await acollect(helper(upstream)))["usage"]["prompt_tokens"] == 5
    with pytest.raises(UpstreamError, match="cut"):
        await acollect(CHAT[:5])


# What else there is in a chunk.


def parts_of(*items):
    chunks = Chunks()
    return [part for item in items for part in chunks.parts(item)]


def test_a_refusal_is_text():
    assert parts_of(chat({"content": None, "refusal": "No."})) == ["No."]


def test_a_second_answer_is_an_error():
    second = {"choices": [{"index": 1, "delta": {"content": "b"}}]}
    with pytest.raises(UnknownPart, match="n=1"):
        parts_of(second)


def test_an_unknown_reason_is_left_out_and_said_once(caplog):
    with caplog.at_level(logging.INFO, "tokenstream"):
        assert parts_of(chat({}, "galactic"), chat({}, "galactic")) == []
    assert [record.getMessage() for record in caplog.records] == [
        "chunks: finish reason 'galactic' has no part: it is left out"
    ]


def test_it_is_an_end_all_the_same():
    told = read([chat({"content": "a"}), chat({}, "galactic")])
    check(told, text="a", reasoning="", calls=[], finish=None, usage=None)


def test_images_are_left_out_and_said_once(caplog):
    image = chat({"images": [{"type": "image_url", "image_url": {"url": "data:"}}]})
    with caplog.at_level(logging.INFO, "tokenstream"):
        assert parts_of(image, image) == []
    assert len(caplog.records) == 1


def test_sources_come_once():
    cited = {"type": "url_citation", "url_citation": {"url": "https://a.test/", "title": "A"}}
    chunk = chat({"annotations": [cited]}, citations=["https://b.test/"])
    assert parts_of(chunk, chunk) == [Source("https://a.test/", "A"), Source("https://b.test/")]


def test_calls_that_come_whole_without_an_index():
    def call(call_id):
        return {"id": call_id, "function": {"name": "f", "arguments": "{}"}}

    chunk = chat({"tool_calls": [call("a"), call("b")]})
    assert [part.index for part in parts_of(chunk)] == [0, 1]


def test_a_running_count_is_not_the_first_part():
    count = {"prompt_tokens": 5, "completion_tokens": 0}
    assert parts_of(chat({"role": "assistant"}, usage=count)) == []
    assert parts_of(chat({"content": "a"}, usage=count)) == ["a", Usage(5, 0)]


def test_a_whole_reply_is_text_too():
    whole = {"choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}]}
    assert parts_of(whole) == ["a", Finish("stop")]


def test_a_signature_of_litellm():
    blocks = [{"type": "thinking", "thinking": "hm", "signature": "sig"}]
    parts = parts_of(chat({"reasoning_content": "hm", "thinking_blocks": blocks}))
    assert parts == [Reasoning("hm"), Reasoning("", "sig")]
