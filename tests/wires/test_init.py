"""A wire is found by its name, or is an object; anything else is told what there is."""

from __future__ import annotations

from typing import get_args

import pytest

from tokenstream import AISDK, Json, OpenAIChat, Text, Wire, WireName
from tokenstream.errors import InvalidOption, UnknownWire
from tokenstream.wires import find_wire


@pytest.mark.parametrize(
    "name, kind", [("json", Json), ("text", Text), ("openai-chat", OpenAIChat), ("ai-sdk", AISDK)]
)
def test_by_name(name, kind):
    assert type(find_wire(name)) is kind
    assert find_wire(name).name == name


def test_the_type_lists_every_name():
    for name in get_args(WireName):
        assert find_wire(name).name == name


def test_an_object_is_itself():
    wire = OpenAIChat(model="m")
    assert find_wire(wire) is wire


@pytest.mark.parametrize("name", ["jsonl", "", "JSON", "openai_chat"])
def test_an_unknown_name_gets_the_list(name):
    with pytest.raises(UnknownWire) as raised:
        find_wire(name)
    assert repr(name) in str(raised.value)
    for known in get_args(WireName):
        assert known in str(raised.value)


@pytest.mark.parametrize("thing", [None, 3, Json, [], {}])
def test_what_is_no_wire(thing):
    with pytest.raises(InvalidOption, match=r"give a name \(.*json.*\) or a wire object"):
        find_wire(thing)


def test_every_wire_is_frozen_and_shares_no_state():
    for name in get_args(WireName):
        wire = find_wire(name)
        assert isinstance(wire, Wire)
        assert wire.begin() is not wire.begin()
        with pytest.raises(AttributeError):
            wire.model = "other"
