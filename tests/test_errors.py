"""The tree in the docstring is the tree."""

from __future__ import annotations

import builtins
import re

import pytest

from tokenstream import errors

TREE = re.compile(r"^( +)(\w+) +(?:\((\w+)\) )?", re.MULTILINE)


def told():
    """(name, parent, builtin) of each line of the docstring."""
    stack = {0: "TokenStreamError"}
    for indent, name, builtin in TREE.findall(errors.__doc__):
        depth = len(indent) // 4 if len(indent) < 8 else 2
        stack[depth] = name
        yield name, stack[depth - 1], builtin or None


@pytest.mark.parametrize("name, parent, builtin", list(told()), ids=lambda value: str(value))
def test_what_the_docstring_says(name, parent, builtin):
    kind = getattr(errors, name)
    assert issubclass(kind, getattr(errors, parent))
    if builtin:
        assert issubclass(kind, getattr(builtins, builtin))


def test_it_says_all():
    names = {name for name, _, _ in told()} | {"TokenStreamError"}
    assert names == set(errors.__all__)
    classes = {name for name, it in vars(errors).items() if _is_error(it)}
    assert classes == set(errors.__all__)


def _is_error(it):
    return isinstance(it, type) and issubclass(it, BaseException)


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_one_of_ours_by_whose_fault(name):
    kind = getattr(errors, name)
    assert issubclass(kind, errors.TokenStreamError)
    faults = [errors.UsageError, errors.SourceError, errors.ReaderError]
    if kind not in (errors.TokenStreamError, *faults):
        assert sum(issubclass(kind, fault) for fault in faults) == 1
