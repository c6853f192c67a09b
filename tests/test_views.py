"""Three ways to write a decorator, and what kind a view is."""

from __future__ import annotations

import functools

import pytest

from tokenstream import Json, OpenAIChat
from tokenstream.errors import InvalidOption, UnknownWire
from tokenstream.views import decorate, is_async_view
from tokenstream.wires import find_wire


def wrap(view, wire, options):
    find_wire(wire)  # as every adapter does: a wrong one is an error where it is written
    return view, wire, dict(options)


def token_stream(view_or_wire=None, /, wire="json", **options):
    return decorate(wrap, view_or_wire, wire, options)


def view(request):
    yield "a"


def test_bare():
    assert token_stream(view) == (view, "json", {})


def test_with_a_name():
    assert token_stream("text")(view) == (view, "text", {})
    assert token_stream("text", keep_alive=5)(view) == (view, "text", {"keep_alive": 5})


def test_with_a_wire():
    wire = OpenAIChat(model="m")
    assert token_stream(wire)(view) == (view, wire, {})
    assert token_stream(wire=wire)(view) == (view, wire, {})


def test_with_options():
    assert token_stream(wire="text", keep_alive=5)(view) == (view, "text", {"keep_alive": 5})
    assert token_stream(keep_alive=5)(view) == (view, "json", {"keep_alive": 5})
    assert token_stream()(view) == (view, "json", {})


def test_a_class_is_a_view():
    class View:
        pass

    assert token_stream(View) == (View, "json", {})


@pytest.mark.parametrize("write", [lambda: token_stream("jsn"), lambda: token_stream(wire="jsn")])
def test_a_wrong_name(write):
    with pytest.raises(UnknownWire, match="no wire is named 'jsn': choose one of json"):
        write()(view)


@pytest.mark.parametrize("thing", [Json, 7, ["json"]])
def test_what_is_neither_view_nor_wire(thing):
    with pytest.raises(InvalidOption, match="give a name"):
        token_stream(thing)(view)


async def coroutine(request):
    return []


async def agen(request):
    yield "a"


def wrapped(function):
    @functools.wraps(function)
    def inner(request):
        return function(request)

    return inner


class Views:
    async def method(self, request):
        return []

    def sync(self, request):
        return []


@pytest.mark.parametrize(
    "function, is_async",
    [
        (view, False),
        (lambda request: [], False),
        (coroutine, True),
        (agen, True),
        (wrapped(coroutine), True),
        (wrapped(agen), True),
        (wrapped(view), False),
        (functools.partial(coroutine), True),
        (functools.partial(view), False),
        (Views().method, True),
        (Views.method, True),
        (Views().sync, False),
    ],
)
def test_is_async_view(function, is_async):
    assert is_async_view(function) is is_async
