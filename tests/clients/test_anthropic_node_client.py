"""The anthropic client of npm reads the wire "anthropic", over a real server."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from .anthropic_told import ASK, TOLD, source_of
from .cutting import Cutter
from .node_client import run_node
from .serving import ChatServer

FAILING = ["fails-before", "fails-after", "steps", "broken-call", "overloaded", "cut-call"]


def run(url, *scenarios):
    return run_node("anthropic.mjs", url, json.dumps(ASK), *scenarios)


@pytest.fixture(scope="module")
def read():
    """What each way of reading tells of each scenario: one run of Node for all of them."""
    with ChatServer("anthropic", source_of) as server:
        return run(server.url, *TOLD, *FAILING)


@pytest.mark.parametrize("way", ["raw", "helper", "inOnePiece"])
@pytest.mark.parametrize("scenario", TOLD)
def test_what_is_told(read, scenario, way):
    assert read[scenario][way].get("told") == json.loads(json.dumps(asdict(TOLD[scenario])))


def error(name, status, kind, message):
    body = json.dumps(
        {"type": "error", "error": {"type": kind, "message": message}}, separators=(",", ":")
    )
    told = body if status is None else f"{status} {body}"
    return {"name": name, "status": status, "type": kind, "message": told}


@pytest.mark.parametrize("way", ["raw", "helper", "inOnePiece"])
def test_an_error_before_the_first_part_is_a_status(read, way):
    refused = error("RateLimitError", 429, "rate_limit_error", "the model is overloaded")
    assert read["fails-before"][way] == {"error": refused, "text": ""}


@pytest.mark.parametrize("way", ["raw", "helper"])
@pytest.mark.parametrize(
    "scenario, text, kind",
    [
        ("fails-after", "Hel", "api_error"),
        ("steps", "", "api_error"),
        ("broken-call", "Hm", "api_error"),
        ("overloaded", "Hm", "overloaded_error"),
    ],
)
def test_an_error_after_it_is_an_event(read, scenario, text, kind, way):
    failed = error("APIError", None, kind, "generation failed")
    assert read[scenario][way] == {"error": failed, "text": text}


@pytest.mark.parametrize("scenario", ["fails-after", "steps", "broken-call"])
def test_an_error_in_one_piece_is_a_status(read, scenario):
    failed = error("InternalServerError", 500, "api_error", "generation failed")
    assert read[scenario]["inOnePiece"] == {"error": failed, "text": ""}


def test_a_call_that_the_model_was_cut_in_is_told_by_the_reason(read):
    helper, whole = (read["cut-call"][way]["told"] for way in ("helper", "inOnePiece"))
    assert helper["reason"] == whole["reason"] == "max_tokens"
    # The client completes what has come.
    assert (helper["content"][0]["input"], whole["content"][0]["input"]) == ({"a": 1}, {})


def test_a_cut_connection_is_no_end():
    with ChatServer("anthropic", source_of) as server, Cutter(server.url, b'"Hel"') as cutter:
        cut = run(cutter.url, "silent")["silent"]
    for way, name in (("raw", "TypeError"), ("helper", "AnthropicError")):
        assert (cut[way]["error"]["name"], cut[way]["error"]["message"]) == (name, "terminated")
        assert cut[way]["text"] == "Hel"
