"""A value is named in few characters, and none can break the error that names it."""

from __future__ import annotations

import pytest

from tokenstream.shown import LIMIT, shown, type_name


class Raises:
    def __repr__(self):
        raise ZeroDivisionError


class Endless:
    def __repr__(self):
        return "x" * 10_000_000


@pytest.mark.parametrize("value", ["a", b"a", None, 5, [1, "a"], {"a": 1}, ("a", b"b")])
def test_a_short_value_is_its_repr(value):
    assert shown(value) == repr(value)


LONG = [
    "x" * 10**6,
    b"x" * 10**6,
    bytearray(10**6),
    ["x" * 1000] * 1000,
    {"x" * 1000: b"y" * 1000},
    10**100_000,
    Endless(),
    Raises(),
    [Raises()],
    type("X" * 10_000, (), {})(),
    type("list", (), {})(),
    type("bytes", (), {})(),
]


@pytest.mark.parametrize("value", LONG, ids=type_name)
def test_any_value_is_short(value):
    assert 0 < len(shown(value)) <= LIMIT + len("<>")
    assert 0 < len(type_name(value)) <= LIMIT


def test_what_can_not_be_shown_is_its_type():
    assert shown(10**100_000) == "<int>"
    assert shown(type("bytes", (), {})()) == "<bytes>"


def test_of_a_long_value_the_beginning_is_looked_at():
    class Counted(list):
        seen = 0

        def __iter__(self):
            for item in super().__iter__():
                Counted.seen += 1
                yield item

    Counted.__name__ = "list"  # by which reprlib knows a list
    shown(Counted(range(100_000)))
    assert 0 < Counted.seen < 20
