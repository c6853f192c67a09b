"""stream_chat against real upstreams: what is sent, what comes, how it breaks, how it is left."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import socket
import threading
import traceback
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

import pytest

from tests.clients.scenarios import SCENARIOS
from tests.clients.serving import ChatServer
from tests.needs import need_module
from tokenstream import Finish, OpenAIChat, TokenStream, Usage
from tokenstream.errors import AlreadyRead, InvalidOption, UpstreamError
from tokenstream.parts import Interruptible
from tokenstream.refusal import refusal as refusal_of
from tokenstream.testing import FakeClock

from ...pairings import aread_all, read_all, result_of, until
from .upstream import HEAD, Upstream, Visit, anthropic, chunk, frames, refusal

httpx = need_module("httpx")

from tokenstream.sources.remote import AsyncRemote, Remote, SyncRemote, stream_chat

HELLO = [{"role": "user", "content": "Hello"}]
KEY = "sk-test-1234567890abcdef"
WHOLE = frames(chunk("Hel"), chunk("lo"), chunk(finish="stop"), "[DONE]")


def ask(url: str, **options: Any) -> Any:
    return stream_chat(url, HELLO, **{"model": "m", "api_key": KEY, **options})


def read(source: object, *, with_async: bool) -> list[object]:
    """Read a source to its end, by itself."""

    async def gather() -> list[object]:
        return [part async for part in source]  # type: ignore[attr-defined]

    return asyncio.run(gather()) if with_async else list(source)  # type: ignore[call-overload]


def error_of(source: object, *, with_async: bool = False) -> UpstreamError:
    with pytest.raises(UpstreamError) as raised:
        read(source, with_async=with_async)
    return raised.value


def sends(*pieces: bytes) -> Callable[[Visit], None]:
    return lambda visit: visit.send(*pieces)


either_way = pytest.mark.parametrize("with_async", [False, True], ids=["for", "async for"])


# What is sent, and when.


@either_way
def test_the_request(with_async):
    with Upstream(sends(HEAD + WHOLE)) as upstream:
        source = ask(upstream.url + "/v1/", temperature=0.5, tools=[], stop=None, seed=1)
        assert upstream.visits == []
        assert read(source, with_async=with_async) == ["Hel", "lo", Finish("stop")]
    [visit] = upstream.visits
    assert (visit.method, visit.path) == ("POST", "/v1/chat/completions")
    assert visit.headers["authorization"] == f"Bearer {KEY}"
    assert visit.headers["accept"] == "text/event-stream"
    assert visit.body == {
        "model": "m",
        "messages": HELLO,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.5,
        "seed": 1,
    }


@either_way
@pytest.mark.parametrize("base", ["", "/", "/v1", "/v1/"])
def test_the_request_to_anthropic(with_async, base):
    with Upstream(sends(HEAD + anthropic("Hel", "lo"))) as upstream:
        source = ask(upstream.url + base, api="anthropic")
        parts = read(source, with_async=with_async)
    assert parts[:2] == ["Hel", "lo"]
    assert {type(part): part for part in parts[2:]} == {Finish: Finish("stop"), Usage: Usage(5, 2)}
    [visit] = upstream.visits
    assert visit.path == "/v1/messages"
    assert visit.headers["x-api-key"] == KEY
    assert visit.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in visit.headers
    assert visit.body["max_tokens"] == 4096


def test_headers_of_the_callers_win():
    with Upstream(sends(HEAD + WHOLE)) as upstream:
        read(
            ask(upstream.url, headers={"Authorization": "Basic x", "X-Org": "o"}), with_async=False
        )
    headers = upstream.visits[0].headers
    assert (headers["authorization"], headers["x-org"]) == ("Basic x", "o")


@either_way
def test_it_is_read_once(with_async):
    with Upstream(sends(HEAD + WHOLE)) as upstream:
        source = ask(upstream.url)
        read(source, with_async=with_async)
        assert read(source, with_async=with_async) == []
        with pytest.raises(AlreadyRead):
            read(source, with_async=not with_async)
    assert len(upstream.visits) == 1


def test_what_was_closed_is_not_read():
    source = ask("http://127.0.0.1:9")
    source.close()
    with pytest.raises(AlreadyRead):
        next(source)
    source = ask("http://127.0.0.1:9")
    asyncio.run(source.aclose())
    with pytest.raises(AlreadyRead):
        next(source)


def test_what_it_is():
    client, aclient = httpx.Client(), httpx.AsyncClient()
    assert type(ask("http://h")) is Remote
    assert type(ask("http://h", client=client)) is SyncRemote
    assert type(ask("http://h", client=aclient)) is AsyncRemote
    assert isinstance(ask("http://h"), Interruptible)
    assert repr(ask("http://h/v1")) == "<stream_chat from h>"


@pytest.mark.parametrize(
    "options",
    [
        {"connect_timeout": 0},
        {"idle_timeout": -1},
        {"idle_timeout": float("nan")},
        {"connect_timeout": "5"},
        {"retries": -1},
        {"retries": 1.5},
        {"client": "httpx"},
    ],
    ids=str,
)
def test_options_that_mean_nothing(options):
    with pytest.raises(InvalidOption, match=next(iter(options))):
        ask("http://h", **options)


# A right upstream, in all pairings.


@pytest.mark.parametrize("kind", ["either", "sync", "async"])
@pytest.mark.parametrize("reads_async", [False, True], ids=["for", "async for"])
@pytest.mark.parametrize("scenario", ["text", "reasoning", "calls", "usage", "silent", "hostile"])
def test_every_pairing(kind, reads_async, scenario):
    def source() -> object:
        client = {"either": None, "sync": httpx.Client, "async": httpx.AsyncClient}[kind]
        return ask(f"{server.url}/{scenario}", client=client and client())

    def result(source: object) -> object:
        stream = TokenStream(source, "openai-chat")
        asyncio.run(aread_all(stream)) if reads_async else read_all(stream)
        return result_of(stream)

    with ChatServer("openai-chat") as server:
        got = result(source)
        want = result(SCENARIOS[scenario]())
    assert (got.outcome, got.error) == ("completed", None)
    assert (got.text, got.reasoning) == (want.text, want.reasoning)
    assert (got.tool_calls, got.usage) == (want.tool_calls, want.usage)
    assert got.finish_reason == (want.finish_reason or "stop")
    assert server.asked[0].messages == HELLO


# Refusals.

REFUSALS = [
    (b'{"error": {"message": "no credit", "type": "quota", "param": null}}', "no credit", "quota"),
    (b'{"type": "error", "error": {"type": "k", "message": "no"}}', "no", "k"),
    (b'{"error": "bad model"}', "bad model", None),
    (b'{"object": "error", "message": "too long", "type": "B", "code": 4}', "too long", "B"),
    (b'{"detail": "Not Found"}', "Not Found", None),
    (b'{"detail": [{"loc": ["body"], "msg": "field required"}]}', "field required", None),
    (
        b'[{"error": {"code": 429, "message": "quota", "status": "EXHAUSTED"}}]',
        "quota",
        "EXHAUSTED",
    ),
    (b'{"error": {"message": 5}}', None, None),
    (b"[]", None, None),
    (b"", None, None),
    (b"\xff{", None, None),
    (b"[" * 60000, None, None),
]


@either_way
@pytest.mark.parametrize("body, message, kind", REFUSALS, ids=[str(it[1]) for it in REFUSALS])
@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "500 Oops"])
def test_a_refusal_keeps_its_status_and_message(with_async, body, message, kind, status):
    with Upstream(sends(refusal(status, body))) as upstream:
        error = error_of(ask(upstream.url), with_async=with_async)
    assert error.status == int(status[:3])
    assert error.kind == kind
    assert str(error) == (message or str(error))
    assert message or str(error).startswith(f"the upstream answered {status[:3]}")
    assert len(upstream.visits) == 1


def test_a_refusal_in_text_and_in_html():
    with Upstream(sends(refusal("400 Bad", b"too\n many tokens", "text/plain"))) as upstream:
        assert str(error_of(ask(upstream.url))) == "too many tokens"
    with Upstream(sends(refusal("502 Bad", b"<html>nginx", "text/html"))) as upstream:
        assert str(error_of(ask(upstream.url))) == "the upstream answered 502 Bad Gateway"


@either_way
def test_a_refusal_without_end_is_bounded(with_async):
    head = b"HTTP/1.1 400 Bad\r\nContent-Type: text/plain\r\n\r\n"

    def answer(visit: Visit) -> None:
        visit.send(head)
        while True:
            visit.send(b"x" * 65536)

    with Upstream(answer) as upstream:
        error = error_of(ask(upstream.url), with_async=with_async)
    assert str(error) == "x" * 997 + "..."


def test_what_is_no_retry_after_is_not_passed_on():
    answer = refusal("429 No", b"", "text/plain", f"Retry-After: {KEY}")
    with Upstream(sends(answer)) as upstream:
        assert error_of(ask(upstream.url, retries=0)).retry_after is None


def test_a_reader_gets_the_upstreams_status():
    body = b'{"error": {"message": "slow down"}}'
    answer = refusal("429 Too Many", body, "application/json", "Retry-After: 77")
    with Upstream(sends(answer)) as upstream:
        stream = TokenStream(ask(upstream.url), "openai-chat")
        with pytest.raises(UpstreamError) as raised:
            stream.prime()
    answer = refusal_of(raised.value, OpenAIChat())
    assert answer is not None
    assert (answer.status, answer.headers["Retry-After"]) == (429, "77")
    assert json.loads(answer.body)["error"]["message"] == "slow down"
    assert len(upstream.visits) == 1  # 77 s are not waited


ANSWERS = [
    ("a redirect", b"HTTP/1.1 307 T\r\nLocation: /v2\r\nContent-Length: 0\r\n\r\n"),
    ("JSON", refusal("200 OK", b'{"choices": []}')),
    ("nothing", b"HTTP/1.1 204 No\r\n\r\n"),
    ("gzip", HEAD.replace(b"Connection", b"Content-Encoding: gzip\r\nConnection") + WHOLE),
    ("no HTTP", b"hello there\r\n\r\n"),
    ("no answer", b""),
    ("an empty stream", HEAD),
]


@either_way
@pytest.mark.parametrize("answer", [it[1] for it in ANSWERS], ids=[it[0] for it in ANSWERS])
def test_what_is_no_stream_is_502(with_async, answer):
    with Upstream(sends(answer)) as upstream:
        error = error_of(ask(upstream.url), with_async=with_async)
    assert error.status == 502
    assert ("compressed" in str(error)) is (b"gzip" in answer)
    assert len(upstream.visits) == 1


def test_a_clients_redirects_are_not_followed():
    with Upstream(sends(ANSWERS[0][1])) as upstream:
        client = httpx.Client(follow_redirects=True)
        assert error_of(ask(upstream.url, client=client)).status == 502
    assert len(upstream.visits) == 1


def test_a_clients_own_mounts_are_used():
    # In process, where there is no socket to cut.
    def answer(request: Any) -> Any:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=WHOLE)

    client = httpx.Client(transport=httpx.MockTransport(answer))
    assert read(ask("http://h", client=client), with_async=False)[:2] == ["Hel", "lo"]
    assert not client.is_closed


# No answer.


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@either_way
@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}", "http://no-such-host.invalid"])
def test_what_cannot_be_reached_is_502(with_async, url):
    error = error_of(ask(url.format(port=free_port()), retries=0), with_async=with_async)
    assert (error.status, str(error)) == (502, "the upstream could not be reached")
    assert error.__notes__
    assert error.__cause__ is error.__context__ is None  # which would know the request


@either_way
def test_a_silent_upstream_is_504(with_async):
    with Upstream(Visit.wait_gone) as upstream:
        error = error_of(ask(upstream.url, idle_timeout=0.05), with_async=with_async)
        assert upstream.visit().gone.wait(20)
    assert error.status == 504
    assert len(upstream.visits) == 1


@either_way
def test_silence_after_the_head_is_504(with_async):
    def answer(visit: Visit) -> None:
        visit.send(HEAD)
        visit.wait_gone()

    with Upstream(answer) as upstream:
        error = error_of(ask(upstream.url, idle_timeout=0.05), with_async=with_async)
    assert error.status == 504


@either_way
def test_a_listener_that_accepts_nobody_is_504(with_async):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        # They fill its queue: Linux then leaves the next one's SYN unanswered.
        waiting = [socket.socket() for _ in range(4)]
        for it in waiting:
            it.setblocking(False)
            it.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        error = error_of(ask(url, connect_timeout=0.2), with_async=with_async)
        for it in waiting:
            it.close()
    assert (error.status, str(error)) == (504, "the upstream could not be reached in time")


# Another try.


def busy(times: int, status: str = "503 Busy", after: str = "0") -> Callable[[Visit], None]:
    seen = []

    def answer(visit: Visit) -> None:
        seen.append(visit)
        if len(seen) <= times:
            body = b'{"error": {"message": "busy"}}'
            visit.send(refusal(status, body, "application/json", f"Retry-After: {after}"))
        else:
            visit.send(HEAD + WHOLE)

    return answer


@either_way
@pytest.mark.parametrize("status", ["429 Too Many", "503 Busy", "529 Overloaded"])
def test_a_busy_upstream_is_asked_again(with_async, status):
    with Upstream(busy(2, status)) as upstream:
        assert read(ask(upstream.url), with_async=with_async)[:2] == ["Hel", "lo"]
    assert len(upstream.visits) == 3
    assert upstream.visits[0].body == upstream.visits[2].body


@either_way
def test_not_for_ever(with_async):
    with Upstream(busy(9)) as upstream:
        assert error_of(ask(upstream.url), with_async=with_async).status == 503
        assert len(upstream.visits) == 3
        assert error_of(ask(upstream.url, retries=0), with_async=with_async).status == 503
    assert len(upstream.visits) == 4


def test_a_wait_that_the_upstream_does_not_name():
    with FakeClock() as clock, Upstream(busy(1, after="soon")) as upstream:
        parts: list[object] = []
        source = ask(upstream.url)

        thread = threading.Thread(target=copy_context().run, args=(lambda: parts.extend(source),))
        thread.start()
        upstream.visit()
        until(lambda: clock._alarms)
        assert len(upstream.visits) == 1
        clock.advance(0.5)
        thread.join(20)
    assert parts[:2] == ["Hel", "lo"]


@either_way
def test_no_other_try_once_the_answer_has_begun(with_async):
    with Upstream(sends(HEAD + frames(chunk("Hel")))) as upstream:
        error_of(ask(upstream.url), with_async=with_async)
    assert len(upstream.visits) == 1


def test_what_can_not_be_reached_is_asked_again():
    with FakeClock() as clock:
        source = ask(f"http://127.0.0.1:{free_port()}")
        errors: list[UpstreamError] = []
        thread = threading.Thread(
            target=copy_context().run, args=(lambda: errors.append(error_of(source)),)
        )
        thread.start()
        for _ in range(2):
            until(lambda: clock._alarms)
            clock.advance(8)
        thread.join(20)
    assert errors[0].status == 502


# A stream that breaks.

HELD = frames(chunk("Hel"))

BROKEN = {
    "it ends": HEAD + HELD,
    "it ends in an event": HEAD + HELD + b'data: {"cho',
    "bad JSON": HEAD + HELD + frames("{'a': 1}", "[DONE]"),
    "no object": HEAD + HELD + frames("[1]", "[DONE]"),
    "a number without end": HEAD + HELD + frames('{"a": ' + "9" * 9999 + "}", "[DONE]"),
    "deep": HEAD + HELD + frames('{"a":' * 50000, "[DONE]"),
    "choices of another type": HEAD + HELD + frames({"choices": 5}, "[DONE]"),
    "a choice of another type": HEAD + HELD + frames({"choices": [5]}, "[DONE]"),
    "a delta of another type": HEAD + HELD + frames({"choices": [{"delta": "x"}]}, "[DONE]"),
    "text of another type": HEAD + HELD + frames(chunk(5), "[DONE]"),
    "a reason of another type": HEAD + HELD + frames(chunk(finish={1: 2}), "[DONE]"),
    "no chunk": HEAD + HELD + frames({"hello": "you"}, "[DONE]"),
    "an error": HEAD + HELD + frames({"error": {"message": f"secret {KEY}"}}, "[DONE]"),
    "an error of text": HEAD + HELD + frames({"error": "secret"}),
    "an error event": HEAD + HELD + b'event: error\ndata: {"message": "secret"}\n\n',
    "too large": HEAD + HELD + b"data: " + b"x" * (9 << 20),
    "a false length": HEAD.replace(b"Connection", b"Content-Length: 999\r\nConnection") + HELD,
    "a cut chunk": HEAD.replace(b"Connection", b"Transfer-Encoding: chunked\r\nConnection")
    + b"%x\r\n%s\r\n" % (len(HELD), HELD)
    + b"fff\r\ndata: ",
}  # fmt: skip


@pytest.mark.parametrize("reads_async", [False, True], ids=["for", "async for"])
@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_a_stream_that_breaks_ends_in_an_error_frame(answer, reads_async):
    with Upstream(sends(answer)) as upstream:
        stream = TokenStream(lambda: ask(upstream.url), "json")
        frames = asyncio.run(aread_all(stream)) if reads_async else read_all(stream)
    assert (
        frames == b'data: {"token":"Hel"}\n\nevent: error\ndata: {"error":"generation failed"}\n\n'
    )
    result = result_of(stream)
    assert (result.outcome, result.text) == ("failed", "Hel")
    assert isinstance(result.error, UpstreamError)
    assert result.error.status is None
    assert KEY not in str(result.error)


def test_a_reset_ends_in_an_error_frame():
    def answer(visit: Visit) -> None:
        visit.send(HEAD + HELD)
        passed.wait(20)
        visit.reset()

    passed = threading.Event()
    with Upstream(answer) as upstream:
        stream = TokenStream(ask(upstream.url), "json")
        assert next(stream) == b'data: {"token":"Hel"}\n\n'
        passed.set()
        assert b"event: error" in read_all(stream)
    assert str(result_of(stream).error) == "the connection to the upstream was lost"


@either_way
def test_silence_within_a_stream(with_async):
    def answer(visit: Visit) -> None:
        visit.send(HEAD + HELD)
        visit.wait_gone()

    with Upstream(answer) as upstream:
        error = error_of(ask(upstream.url, idle_timeout=0.05), with_async=with_async)
        assert upstream.visit().gone.wait(20)
    assert (error.status, str(error)) == (None, "the upstream fell silent")


@pytest.mark.parametrize(
    "answer",
    [
        anthropic("Hel", stop=False),
        anthropic("Hel", reason=None, stop=False),
        anthropic("Hel", stop=False) + b"data: 5\n\n",
        anthropic("Hel", stop=False)
        + b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error"}}\n\n',
    ],
)
def test_a_reply_of_anthropics_that_breaks(answer):
    with Upstream(sends(HEAD + answer)) as upstream:
        stream = TokenStream(ask(upstream.url, api="anthropic"), "json")
        sent = read_all(stream)
    assert b"event: error" in sent
    assert b"[DONE]" not in sent
    assert result_of(stream).text == "Hel"


def test_an_error_event_before_the_first_part_is_an_http_error():
    document = {"error": {"message": f"bad {KEY}", "type": "server_error"}}
    with Upstream(sends(HEAD + frames(document))) as upstream:
        error = error_of(ask(upstream.url))
    assert (error.status, error.kind, str(error)) == (502, "server_error", "bad [redacted]")


# What ends a reply.

ENDINGS = {
    "a finish reason, and no [DONE]": frames(chunk("a"), chunk(finish="stop")),
    "usage with the finish reason": frames(
        chunk("a"), chunk(finish="stop", usage={"prompt_tokens": 1, "completion_tokens": 2})
    ),
    "[DONE], and no finish reason": frames(chunk("a"), "[DONE]"),
    "comments and pings": b": hi\n\n"
    + frames(chunk("a"))
    + b": hi\n\nevent: ping\ndata: x\n\n"
    + frames(chunk(finish="stop"), "[DONE]"),
    "CRLF": frames(chunk("a"), chunk(finish="stop"), "[DONE]").replace(b"\n", b"\r\n"),
}


@either_way
@pytest.mark.parametrize("body", ENDINGS.values(), ids=ENDINGS)
def test_a_whole_reply(with_async, body):
    with Upstream(sends(HEAD + body)) as upstream:
        assert read(ask(upstream.url), with_async=with_async)[0] == "a"


@either_way
def test_what_follows_the_terminal_is_not_waited_for(with_async):
    def answer(visit: Visit) -> None:
        visit.send(HEAD + WHOLE)
        visit.wait_gone()

    with Upstream(answer) as upstream:
        assert read(ask(upstream.url), with_async=with_async)[:2] == ["Hel", "lo"]
        assert upstream.visit().gone.wait(20)


# Leaving.


def begins(visit: Visit) -> None:
    visit.send(HEAD + HELD)
    visit.wait_gone()


@pytest.mark.parametrize("answer", [Visit.wait_gone, begins], ids=["before the head", "within"])
def test_a_thread_that_reads_a_silent_upstream_is_interrupted(answer):
    with Upstream(answer) as upstream:
        source = ask(upstream.url)
        parts: list[object] = []
        thread = threading.Thread(target=lambda: parts.extend(source))
        thread.start()
        visit = upstream.visit()
        if answer is begins:
            until(lambda: parts or source._reply.begun)
        source.interrupt()
        assert visit.gone.wait(20)
        thread.join(20)
        assert not thread.is_alive()
    assert parts == (["Hel"] if answer is begins else [])
    assert source._line._socket is None


@pytest.mark.parametrize("reads_async", [False, True], ids=["for", "async for"])
@pytest.mark.parametrize("kind", ["either", "sync", "async"])
@pytest.mark.parametrize("answer", [Visit.wait_gone, begins], ids=["before the head", "within"])
def test_a_reader_that_leaves_ends_the_request(reads_async, kind, answer):
    client = {"either": None, "sync": httpx.Client, "async": httpx.AsyncClient}[kind]

    async def leave() -> None:
        stream = TokenStream(lambda: ask(upstream.url, client=client and client()), prime=0)
        if answer is begins:
            assert await anext(stream)
        else:
            reading = asyncio.ensure_future(anext(stream))
            await asyncio.to_thread(upstream.visit)
            reading.cancel()
        visit = upstream.visits[0]
        await stream.aclose()
        assert await asyncio.to_thread(visit.gone.wait, 20)

    with Upstream(answer) as upstream:
        if reads_async:
            asyncio.run(leave())
            return
        stream = TokenStream(lambda: ask(upstream.url, client=client and client()), keep_alive=0.01)
        chunk = next(stream)
        upstream.visit()
        while answer is begins and b"Hel" not in chunk:
            chunk = next(stream)
        stream.close()
        assert upstream.visits[0].gone.wait(20)


def test_a_wait_before_another_try_is_interrupted():
    with Upstream(busy(9, after="8")) as upstream:
        source = ask(upstream.url)
        thread = threading.Thread(target=lambda: list(source))
        thread.start()
        upstream.visit()
        until(lambda: source._line._gate)
        source.interrupt()
        thread.join(5)
        assert not thread.is_alive()
    assert len(upstream.visits) == 1


def test_close_from_another_thread():
    with Upstream(begins) as upstream:
        source = ask(upstream.url)
        assert next(source) == "Hel"
        thread = threading.Thread(target=lambda: list(source))
        thread.start()
        source.close()
        thread.join(20)
        assert upstream.visit().gone.wait(20)


def test_one_that_is_dropped_ends_its_request():
    with Upstream(begins) as upstream:
        source = ask(upstream.url)
        next(source)
        del source
        gc.collect()
        assert upstream.visit().gone.wait(20)


# The key.


def told(error: BaseException, caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join([repr(error), str(error), *traceback.format_exception(error), caplog.text])


ECHOES = [
    f"Incorrect API key provided: {KEY}. You can find it",
    f"bad header b'Bearer {KEY}'",
    f"Incorrect API key provided: {KEY[:8]}*****{KEY[-4:]}.",
    f"key {KEY[:12]}... is wrong",
    KEY.upper(),
]


@either_way
@pytest.mark.parametrize("echo", ECHOES)
def test_the_key_is_never_told(with_async, echo, caplog):
    caplog.set_level(logging.DEBUG)
    body = json.dumps({"error": {"message": echo, "type": KEY}}).encode()
    with Upstream(sends(refusal("401 No", body))) as upstream:
        source = ask(upstream.url)
        error = error_of(source, with_async=with_async)
    said = told(error, caplog) + repr(source) + repr(source._ask) + str(error.__dict__)
    assert KEY.lower() not in said.lower()
    assert KEY[-4:] not in str(error)
    assert "[redacted]" in str(error)


@either_way
def test_the_key_is_not_in_what_the_network_says(with_async, caplog):
    caplog.set_level(logging.DEBUG)
    error = error_of(ask(f"http://127.0.0.1:{free_port()}", retries=0), with_async=with_async)
    assert KEY not in told(error, caplog)


def test_the_key_of_a_stream_that_fails_is_not_logged(caplog):
    caplog.set_level(logging.DEBUG)
    answer = HEAD + HELD + frames({"error": {"message": f"key {KEY}", "type": "t"}})
    with Upstream(sends(answer)) as upstream:
        sent = read_all(TokenStream(ask(upstream.url), "openai-chat"))
    assert "key [redacted]" in caplog.text
    assert KEY not in caplog.text
    assert KEY.encode() not in sent
