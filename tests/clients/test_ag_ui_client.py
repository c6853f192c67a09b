"""AG-UI's own client reads the wire "ag-ui" over a real server, and its input is read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.needs import need_module
from tokenstream import AGUI

from .node_client import run_node
from .scenarios import CALLS, HOSTILE, SECRET

need_module("uvicorn")
from .serving import ChatServer


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with ChatServer(AGUI(message_id="m", model="mm")) as server:
        yield server


def run(server: ChatServer, scenario: str, **ask: Any) -> dict[str, Any]:
    """What the client saw; it dropped nothing, and warned of nothing."""
    seen = run_node("ag_ui.mjs", f"{server.url}/{scenario}/", json.dumps(ask))
    if "failed" not in seen:
        assert seen["warnings"] == []
    return seen


def replied(seen: dict[str, Any]) -> list[dict[str, Any]]:
    assert (seen["finished"], seen["error"]) == ("success", None)
    assert seen["events"][-1]["type"] == "RUN_FINISHED"
    return seen["messages"]


def assistant(text: str, number: int = 1) -> dict[str, Any]:
    return {"id": f"m-{number}", "role": "assistant", "content": text}


def test_text(server: ChatServer) -> None:
    seen = run(server, "text")
    assert replied(seen) == [assistant("Hello world")]
    deltas = [event["delta"] for event in seen["events"] if "delta" in event]
    assert deltas == ["Hel", "lo", " world"]
    assert seen["events"][0] == {
        "type": "RUN_STARTED",
        "threadId": "th1",
        "runId": "r1",
        "protocolVersion": "1.0",
    }


def test_silence_before_the_first_event_and_after(server: ChatServer) -> None:
    assert replied(run(server, "silent")) == [assistant("Hello")]


def test_a_reply_of_nothing(server: ChatServer) -> None:
    assert replied(run(server, "nothing")) == []


def test_hostile_text(server: ChatServer) -> None:
    assert replied(run(server, "hostile")) == [assistant("".join(HOSTILE))]


def test_reasoning_with_its_signature(server: ChatServer) -> None:
    thought = {"id": "m-1", "role": "reasoning", "content": "They greet."}
    messages = [thought | {"encryptedValue": "sig-1"}, assistant("Hello", 2)]
    assert replied(run(server, "reasoning")) == messages


def called() -> list[dict[str, Any]]:
    functions = [
        {"name": "weather", "arguments": '{"city": "Rome"}'},
        {"name": "time", "arguments": '{"zone":"CET"}'},
    ]
    ids = ["call_a", "call_b"]
    pairs = zip(ids, functions, strict=True)
    return [{"id": id, "type": "function", "function": function} for id, function in pairs]


def test_parallel_calls(server: ChatServer) -> None:
    seen = run(server, "calls")
    assert replied(seen) == [assistant("Let me look.") | {"toolCalls": called()}]
    pieces = [it["delta"] for it in seen["events"] if it["type"] == "TOOL_CALL_ARGS"]
    assert pieces == [part.arguments for part in CALLS if part.arguments]
    assert seen["events"][-1]["metadata"] == {"finishReason": "tool_calls"}


def results() -> list[dict[str, Any]]:
    return [
        {"id": "m-2", "role": "tool", "toolCallId": "call_a", "content": '{"sun":true}'},
        {"id": "m-3", "role": "tool", "toolCallId": "call_b", "content": "no such zone"}
        | {"metadata": {"isError": True}},
    ]


def test_results_and_another_round(server: ChatServer) -> None:
    seen = run(server, "steps")
    caller = {"id": "m-1", "role": "assistant", "toolCalls": called()}
    assert replied(seen) == [caller, *results(), assistant("It is sunny.", 4)]
    steps = [(it["type"], it["stepName"]) for it in seen["events"] if "stepName" in it]
    assert steps == [
        *(("STEP_STARTED", "round 1"), ("STEP_FINISHED", "round 1")),
        *(("STEP_STARTED", "round 2"), ("STEP_FINISHED", "round 2")),
    ]
    [custom] = [event for event in seen["events"] if event["type"] == "CUSTOM"]
    assert (custom["name"], custom["value"]["title"]) == ("source", "Rome")


def test_usage(server: ChatServer) -> None:
    end = run(server, "usage")["events"][-1]
    counts = {"inputTokens": 5, "outputTokens": 2, "totalTokens": 7}
    assert end["usage"] == [{"model": "mm", **counts}]
    assert end["metadata"] == {"finishReason": "length"}


def test_an_error_before_the_first_token_is_an_http_error(server: ChatServer) -> None:
    seen = run(server, "fails-before")
    assert seen["failed"]["status"] == 429
    assert "the model is overloaded" in seen["failed"]["message"]
    assert seen["events"] == []


def test_an_error_after_it_is_the_last_event(server: ChatServer) -> None:
    seen = run(server, "fails-after")
    assert (seen["error"], seen["finished"]) == ("generation failed", None)
    assert seen["events"][-1]["type"] == "RUN_ERROR"
    assert seen["messages"] == [assistant("Hel")]
    assert SECRET not in json.dumps(seen)


def test_an_error_may_be_the_first_event() -> None:
    with ChatServer("ag-ui", prime=0) as server:
        seen = run(server, "fails-before")
    assert seen["events"] == [{"type": "RUN_ERROR", "message": "generation failed"}]
    assert seen["error"] == "generation failed"


def test_what_the_client_sends_is_read(server: ChatServer) -> None:
    first = {"id": "u1", "role": "user", "content": "hi"}
    call = called()[0]
    run(
        server,
        "text",
        runId="r2",
        messages=[
            first,
            {"id": "m-0", "role": "reasoning", "content": "They greet."},
            {"id": "m-1", "role": "assistant", "content": "Wait.", "toolCalls": [call]},
            {"id": "m-2", "role": "tool", "toolCallId": "call_a", "content": "sun"},
        ],
        state={"n": 1},
        tools=[{"name": "weather", "description": "d", "parameters": {"type": "object"}}],
        context=[{"description": "today", "value": "Monday"}],
        forwardedProps={"model": "big"},
    )
    ask = server.asked[-1]
    assert ask.messages == [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": "Wait.",
            "tool_calls": [call],
            "reasoning_content": "They greet.",
        },
        {"role": "tool", "tool_call_id": "call_a", "content": "sun"},
    ]
    function = {"name": "weather", "description": "d", "parameters": {"type": "object"}}
    assert ask.tools == [{"type": "function", "function": function}]
    assert (ask.chat_id, ask.stream, ask.params["runId"]) == ("th1", True, "r2")
    assert ask.params["state"] == {"n": 1}
    assert ask.params["context"] == [{"description": "today", "value": "Monday"}]
    assert ask.params["forwardedProps"] == {"model": "big"}


def test_what_a_run_gave_is_sent_with_the_next(server: ChatServer) -> None:
    told = replied(run(server, "steps"))
    seen = run(server, "text", messages=told)
    roles = [message["role"] for message in server.asked[-1].messages]
    assert roles == ["assistant", "tool", "tool", "assistant"]
    assert seen["finished"] == "success"


def test_a_wrong_input_names_its_field(server: ChatServer) -> None:
    body = {"threadId": "t", "runId": "r", "messages": [{"id": "1", "role": "robot"}]}
    answer = httpx.post(f"{server.url}/text/", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("messages[0].role")


SCENARIOS = ["text", "reasoning", "calls", "steps", "usage", "fails-after", "silent", "hostile"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_protocol_s_own_models_take_what_came(server: ChatServer, scenario: str) -> None:
    core, pydantic = need_module("ag_ui.core"), need_module("pydantic")
    body = {"threadId": "t", "runId": "r", "messages": []}
    frames = httpx.post(f"{server.url}/{scenario}/", json=body).text.split("\n\n")
    events = [frame.removeprefix("data: ") for frame in frames if frame.startswith("data: ")]
    assert events
    for event in events:
        # Pydantic's own JSON knows no half of a pair.
        assert not pydantic.TypeAdapter(core.Event).validate_python(json.loads(event)).model_extra
