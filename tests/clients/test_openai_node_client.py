"""The openai client of npm reads "openai-chat" and "openai-completions", over a real server."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from .cutting import Cutter
from .node_client import run_node
from .scenarios import SCENARIOS, SECRET
from .serving import ChatServer
from .told import COMPLETED, TOLD, asking


@pytest.fixture(scope="module")
def read():
    """What each way of reading tells of each scenario: one run of Node for all of them."""
    asks = json.dumps({scenario: asking(scenario) for scenario in SCENARIOS})
    with ChatServer("openai-chat") as server:
        return run_node("openai.mjs", server.url, asks)


@pytest.fixture(scope="module")
def completed():
    asks = json.dumps({scenario: asking(scenario) for scenario in SCENARIOS})
    with ChatServer("openai-completions") as server:
        return run_node("openai.mjs", server.url, asks, COMPLETIONS="1")


def as_json(told):
    return json.loads(json.dumps(asdict(told)))


@pytest.mark.parametrize("way", ["raw", "helper", "inOnePiece"])
@pytest.mark.parametrize("scenario", TOLD)
def test_what_is_told(read, scenario, way):
    told, expected = read[scenario][way].get("told"), as_json(TOLD[scenario])
    if (scenario, way) == ("reasoning", "helper"):
        expected["reasoning"] = "greet."  # it keeps the last piece of what it does not know
    assert told == expected


@pytest.mark.parametrize("way", ["raw", "helper"])
def test_a_failure_in_the_stream_is_an_error(read, way):
    # No status: it is not tried again.
    error = {"name": "APIError", "status": None, "message": "generation failed"}
    assert read["fails-after"][way] == {"error": error, "texts": ["Hel"]}
    assert read["steps"][way] == {"error": error, "texts": []}


def test_a_failure_in_one_piece_is_an_error(read):
    for scenario in ("fails-after", "steps"):
        error = read[scenario]["inOnePiece"]["error"]
        assert error == {
            "name": "InternalServerError",
            "status": 500,
            "message": "500 generation failed",
        }


@pytest.mark.parametrize("way", ["raw", "helper", "inOnePiece"])
def test_a_failure_before_the_reply_is_a_status(read, way):
    assert read["fails-before"][way]["error"] == {
        "name": "RateLimitError",
        "status": 429,
        "message": "429 the model is overloaded",
    }


def test_no_internals_are_told(read, completed):
    assert SECRET not in json.dumps([read, completed])


@pytest.mark.parametrize("way", ["completions", "completion"])
@pytest.mark.parametrize("scenario", COMPLETED)
def test_what_is_completed(completed, scenario, way):
    told = completed[scenario][way].get("told")
    assert told == as_json(COMPLETED[scenario])


def test_what_has_no_place_in_a_completion_is_an_error(completed):
    error = {"name": "APIError", "status": None, "message": "generation failed"}
    assert completed["calls"]["completions"] == {"error": error, "texts": ["Let me look."]}
    assert completed["calls"]["completion"]["error"]["status"] == 500


@pytest.mark.parametrize(
    "wire, environment", [("openai-chat", {}), ("openai-completions", {"COMPLETIONS": "1"})]
)
def test_a_cut_connection_is_an_error(wire, environment):
    with ChatServer(wire) as server, Cutter(server.url, b'"Hel"') as cutter:
        ask = json.dumps({"text": asking("text")})
        read = run_node("openai.mjs", cutter.url, ask, **environment)["text"]
    streamed = [read[way] for way in read if way not in ("inOnePiece", "completion")]
    assert streamed
    for answer in streamed:
        assert "told" not in answer
        assert answer["error"]["message"] == "terminated"
        assert answer["texts"] == ["Hel"]
