"""The table of the wires, and the type that lists it."""

from __future__ import annotations

from typing import get_args

import pytest

import tokenstream
from tokenstream import Wire, WireName, wires
from tokenstream.errors import UnknownWire
from tokenstream.wires.names import find_wire

NAMES = get_args(WireName)


def test_the_type_and_the_error_list_the_same_names():
    with pytest.raises(UnknownWire) as raised:
        find_wire("?")
    assert str(raised.value).endswith(f"choose one of {', '.join(NAMES)}")


@pytest.mark.parametrize("name", NAMES)
def test_a_wire_has_the_name_that_finds_it_and_is_exported(name):
    wire = find_wire(name)
    assert wire.name == name
    kind = type(wire)
    assert getattr(tokenstream, kind.__name__) is kind
    assert getattr(wires, kind.__name__) is kind


@pytest.mark.parametrize("name", NAMES)
def test_its_encoder_says_the_same_name(name):
    assert find_wire(name).begin().wire == name


def test_a_wire_of_ones_own_is_itself():
    class Own(Wire):
        name = "own"

    wire = Own()
    assert find_wire(wire) is wire


@pytest.mark.parametrize("name", ["x" * 1000, "\n", "\ud800", "Json"])
def test_an_unknown_name_is_cut(name):
    with pytest.raises(UnknownWire) as raised:
        find_wire(name)
    assert len(str(raised.value)) < 300
    assert "\n" not in str(raised.value)
