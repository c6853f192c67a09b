"""Fields of objects and of dicts, and what is none."""

from __future__ import annotations

import pytest

from tests.needs import need_module
from tokenstream.chunks.fields import (
    Misshapen,
    counts,
    fields_of,
    inside,
    integer,
    json_text,
    listed,
    text,
)


class Held:
    def __init__(self, **fields):
        self.__dict__.update(fields)


def test_fields_of_a_dict_and_of_an_object():
    assert fields_of({"a": 1}) == fields_of(Held(a=1)) == {"a": 1}


def test_fields_that_a_pydantic_model_does_not_declare():
    pydantic = need_module("pydantic")

    class Model(pydantic.BaseModel, extra="allow"):
        a: int

    assert fields_of(Model(a=1)) == {"a": 1}
    assert fields_of(Model(a=1, b=2)) == {"a": 1, "b": 2}


@pytest.mark.parametrize("thing", [5, "a", [], None])
def test_what_holds_no_fields(thing):
    with pytest.raises(Misshapen):
        fields_of(thing)


def test_what_is_missing_is_empty():
    read = (text({}, "a"), integer({}, "a"), listed({}, "a"), inside({}, "a"))
    assert read == ("", None, (), {})
    assert text({"a": None}, "a") == ""


def test_another_name():
    assert text({"aB": "x"}, "a_b", "aB") == "x"


@pytest.mark.parametrize(
    "read, value", [(text, 5), (integer, "5"), (integer, True), (listed, "a"), (inside, 5)]
)
def test_another_type_is_another_shape(read, value):
    with pytest.raises(Misshapen):
        read({"a": value}, "a")


def test_counts_that_are_there():
    assert counts({"x": 3, "y": 0}, a="x", b="y", c="z") == {"a": 3}


def test_arguments_as_json():
    assert json_text({"a": [1]}) == '{"a":[1]}'
    assert json_text('{"a"') == '{"a"'
    for value in (float("nan"), object()):
        with pytest.raises(Misshapen):
            json_text(value)
