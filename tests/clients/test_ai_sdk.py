"""The AI SDK's own clients, of `ai` 5, 6 and 7, read the wire "ai-sdk" and ask by it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from tokenstream import Data, Source
from tokenstream.wires import ChatRequest

from ..snippets import blocks
from .cutting import Cutter
from .node_client import run_node
from .scenarios import CALLS, HOSTILE, SCENARIOS, SECRET
from .serving import AppServer, ChatServer

VERSIONS = ("ai5", "ai6", "ai7")
STEP = {"type": "step-start"}


async def _data() -> AsyncIterator[object]:
    yield "See "
    yield Source("https://example.org/rome")
    yield Data("chart", {"bars": [1, 2]})
    yield "here."


MORE = {**SCENARIOS, "data": _data}


def answer(ask: ChatRequest) -> object:
    name = ask.request["path"].split("/")[1]
    if name != "tools":
        return MORE[name]()
    return ["It is sunny."] if ask.messages[-1]["role"] == "tool" else CALLS


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words, "state": "done"}


def weather(**fields: Any) -> dict[str, Any]:
    return {"type": "tool-weather", "toolCallId": "call_a", "input": {"city": "Rome"}, **fields}


def time(**fields: Any) -> dict[str, Any]:
    return {"type": "tool-time", "toolCallId": "call_b", "input": {"zone": "CET"}, **fields}


DONE = [
    weather(state="output-available", output={"sun": True}),
    time(state="output-error", errorText="no such zone"),
]
ASKED = [weather(state="input-available"), time(state="input-available")]
SIGNED = {"providerMetadata": {"anthropic": {"signature": "sig-1"}}}
THOUGHT = {"type": "reasoning", "text": "They greet.", "state": "done", **SIGNED}
ROME = {"type": "source-url", "sourceId": "source-1", "url": "https://example.org/rome"}

# What each scenario comes to on the page, and its reason.
EXPECTED: dict[str, tuple[list[dict[str, Any]], str]] = {
    "text": ([STEP, text("Hello world")], "stop"),
    "reasoning": ([STEP, THOUGHT, text("Hello")], "stop"),
    "calls": ([STEP, text("Let me look."), *ASKED], "tool-calls"),
    "steps": ([STEP, *DONE, STEP, ROME | {"title": "Rome"}, text("It is sunny.")], "stop"),
    "usage": ([STEP, text("Hello")], "length"),
    "silent": ([STEP, text("Hello")], "stop"),
    "hostile": ([STEP, text("".join(HOSTILE))], "stop"),
    "nothing": ([STEP], "stop"),
    "data": (
        [STEP, text("See here."), ROME, {"type": "data-chart", "data": {"bars": [1, 2]}}],
        "stop",
    ),
}
FAILING = {"fails-before": "the model is overloaded", "fails-after": "generation failed"}
assert {*EXPECTED, *FAILING} == {*MORE}

CALLED = [
    {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
    for call_id, name, arguments in [
        ("call_a", "weather", '{"city":"Rome"}'),
        ("call_b", "time", '{"zone":"CET"}'),
    ]
]
GAVE = [
    {"role": "tool", "tool_call_id": "call_a", "content": '{"sun":true}'},
    {"role": "tool", "tool_call_id": "call_b", "content": "no such zone"},
]


def said(content: str | None, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


# What of the first reply is read in the second turn's request.
READ_BACK: dict[str, list[dict[str, Any]]] = {
    "text": [said("Hello world")],
    "reasoning": [
        said(
            "Hello",
            reasoning_content="They greet.",
            thinking_blocks=[{"type": "thinking", "thinking": "They greet.", "signature": "sig-1"}],
        )
    ],
    "calls": [said("Let me look.", tool_calls=CALLED)],
    "steps": [said(None, tool_calls=CALLED), *GAVE, said("It is sunny.")],
    "usage": [said("Hello")],
    "silent": [said("Hello")],
    # A lone half of a pair is what a browser may send as it is: JSON escapes it.
    "hostile": [said("".join(HOSTILE))],
    "nothing": [],
    "data": [said("See here.")],
}


class Run(NamedTuple):
    """What Node's clients saw, what they asked, and the server that they asked."""

    found: dict[str, Any]
    asked: list[ChatRequest]
    server: ChatServer

    def seen(self, version: str, scenario: str, how: str) -> Any:
        return self.found[version]["scenarios"][scenario][how]

    def asked_by(self, chat_id: str) -> list[ChatRequest]:
        return [ask for ask in self.asked if ask.chat_id == chat_id]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with ChatServer("ai-sdk", answer) as server, Cutter(server.url, b'"delta":"lo"') as cut:
        found = run_node("ai_sdk.mjs", server.url, cut.url, *MORE)
        yield Run(found, list(server.asked), server)


def told(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out the id of a block of thinking: version 7 alone keeps it."""
    return [{key: it[key] for key in it if key != "id"} for it in parts]


each_version = pytest.mark.parametrize("version", VERSIONS)
each_scenario = pytest.mark.parametrize("scenario", EXPECTED)


@each_version
@each_scenario
def test_the_page_shows_what_was_said(run, version, scenario):
    seen = run.seen(version, scenario, "chat")
    parts, reason = EXPECTED[scenario]
    assert "error" not in seen
    assert seen["status"] == "ready"
    assert seen["statuses"][-1] == "ready"
    assert told(seen["message"]["parts"]) == parts
    assert seen["message"]["role"] == "assistant"
    assert seen["message"]["id"].startswith("msg_")
    (end,) = seen["ends"]
    assert end["finishReason"] == reason
    assert not end["isError"]


@each_version
@each_scenario
def test_every_chunk_is_of_a_known_form(run, version, scenario):
    seen = run.seen(version, scenario, "transport")
    assert "error" not in seen
    kinds = [chunk["type"] for chunk in seen["chunks"]]
    assert kinds[:2] == ["start", "start-step"]
    assert kinds[-2:] == ["finish-step", "finish"]
    words = [chunk["delta"] for chunk in seen["chunks"] if chunk["type"] == "text-delta"]
    assert "".join(words) == "".join(
        part["text"] for part in EXPECTED[scenario][0] if part["type"] == "text"
    )


@each_version
@each_scenario
def test_a_completion_is_its_text(run, version, scenario):
    words = [part["text"] for part in EXPECTED[scenario][0] if part["type"] == "text"]
    seen = run.seen(version, scenario, "completion")
    assert seen == {"text": "".join(words), "finished": "".join(words)}


@each_version
@each_scenario
def test_what_is_sent_back_is_read_as_it_was_said(run, version, scenario):
    first, second = run.asked_by(f"{version}-{scenario}")
    assert run.seen(version, scenario, "chat")["after"] == "ready"
    hi, again = ({"role": "user", "content": words} for words in ("hi", "again"))
    assert first.messages == [hi]
    assert second.messages == [hi, *READ_BACK[scenario], again]
    assert first.params["trigger"] == second.params["trigger"] == "submit-message"
    assert second.params["session"] == 5
    assert [it["role"] for it in second.params["messages"]] == ["user", "assistant", "user"]


@each_scenario
def test_a_whole_message_is_what_the_page_has(run, scenario):
    message = {"id": "u", "role": "user", "parts": [text("hi")]}
    body = {"messages": [message], "stream": False}
    response = httpx.post(f"{run.server.url}/{scenario}/chat", json=body)
    whole = response.json()
    assert response.headers["content-type"] == "application/json"
    for version in VERSIONS:
        seen = run.seen(version, scenario, "chat")["message"]
        assert told(seen["parts"]) == told(whole["parts"])
        assert seen.get("metadata") == whole.get("metadata")


@each_version
def test_usage_and_data_reach_the_page(run, version):
    usage = run.seen(version, "usage", "chat")["message"]["metadata"]["usage"]
    assert usage == {"inputTokens": 5, "outputTokens": 2, "totalTokens": 7}
    assert run.seen(version, "data", "chat")["data"] == [["data-chart", {"bars": [1, 2]}]]


@each_version
@pytest.mark.parametrize("scenario", FAILING)
@pytest.mark.parametrize("how", ["transport", "chat", "completion"])
def test_an_error_is_shown_and_names_no_internals(run, version, scenario, how):
    seen = run.seen(version, scenario, how)
    if how == "transport" and scenario == "fails-after":
        assert seen["chunks"][-1] == {"type": "error", "errorText": FAILING[scenario]}
    else:
        assert seen["error"]["message"] == FAILING[scenario]
    assert SECRET not in str(seen)
    if how == "chat":
        assert (seen["status"], seen["ends"][0]["isError"]) == ("error", True)
    if how == "chat" and scenario == "fails-after":
        assert seen["message"]["parts"][-1] == text("Hel") | {"state": "streaming"}


@each_version
def test_a_cut_connection_is_an_error(run, version):
    cut = run.found[version]["cut"]
    assert (cut["status"], cut["error"]["message"]) == ("error", "terminated")
    assert cut["message"]["parts"][-1] == text("Hello") | {"state": "streaming"}


@each_version
def test_a_refusal_is_shown(run, version):
    refused = run.found[version]["refused"]
    assert refused["chunks"] == []
    assert refused["error"]["message"] == (
        "messages: is an array ([]): give an array of at least one message"
    )


@each_version
def test_what_the_page_s_tools_give_goes_back_and_the_reply_goes_on(run, version):
    tools = run.found[version]["tools"]
    assert tools["status"] == "ready"
    _, reply = tools["messages"]  # one reply, not two
    assert told(reply["parts"]) == [STEP, *DONE, STEP, text("It is sunny.")]
    *_, second = run.asked_by(f"{version}-tools")
    assert second.messages[1:] == [said(None, tool_calls=CALLED), *GAVE]
    assert second.params["messages"][-1]["id"] == reply["id"]


def test_the_page_of_the_docs(tmp_path):
    (served,) = [it for it in blocks("docs/wires.md", "python") if "ai-sdk" in it]
    (shown,) = [it for it in blocks("docs/wires.md", "js") if "useChat" in it]
    namespace: dict[str, Any] = {}
    exec(compile(served, "docs/wires.md", "exec"), namespace)
    page = tmp_path / "page.mjs"
    with AppServer(namespace["app"]) as server:
        assert "/api/chat" in shown
        page.write_text(shown.replace("/api/chat", f"{server.url}/api/chat"))
        seen = run_node("use_chat.mjs", page, "How is Rome?")
    assert "error" not in seen
    assert seen["status"] == "ready"
    question, reply = seen["messages"]
    assert question["parts"] == [{"type": "text", "text": "How is Rome?"}]
    _, thought, call, _, words = reply["parts"]
    assert thought["text"] == "I need the weather."
    assert (call["type"], call["input"], call["output"]) == (
        "tool-weather",
        {"city": "Rome"},
        {"sun": True},
    )
    assert words == text("You asked: How is Rome? It is sunny.")
