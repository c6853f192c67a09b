"""The tiny model, built once, and a check after each test that nothing is left on it."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def tiny_source():
    from tokenstream.sources.transformers import TransformersSource

    from .tiny import byte_level_tokenizer, model

    tokenizer = byte_level_tokenizer()
    return TransformersSource(model(len(tokenizer), layers=3), tokenizer)


@pytest.fixture
def llm(tiny_source):
    """The model, and afterwards a check that no thread and no hook of its streams is left."""
    from .steps import hooks, settle

    yield tiny_source
    settle()
    assert hooks(tiny_source) == 0
