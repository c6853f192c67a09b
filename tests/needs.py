"""What a test needs beyond the core: skipped with the reason where it is not there.

`TOKENSTREAM_REQUIRE_ALL=1` makes such a skip a failure, so that CI can't pass by missing out.
"""

from __future__ import annotations

import importlib
import os
import shutil
from glob import glob
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest

__all__ = ["missing", "need_checkout", "need_module", "need_program"]


def need_program(name: str) -> str:
    """Return the path of a program, or skip the test, or the module that asks at its top."""
    # Debian keeps nginx where only root's PATH looks, and PostgreSQL where none does.
    elsewhere = ["/usr/sbin", "/usr/local/sbin", *sorted(glob("/usr/lib/postgresql/*/bin"))]
    path = shutil.which(name) or shutil.which(name, path=":".join(elsewhere))
    return path or missing(f"needs the program {name}, which is not on the PATH")


def need_module(name: str) -> ModuleType:
    """Import and return a module, or skip the test, or the module that asks at its top."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise  # it is there, and broken
        missing(f"needs the module {error.name}, which is not installed")


def need_checkout() -> Path:
    """Return the repository's root; skip where the tests run against an installed wheel."""
    root = Path(__file__).parents[1]
    if not (root / "tokenstream").is_dir():
        pytest.skip("needs the source tree", allow_module_level=True)
    return root


def missing(reason: str) -> NoReturn:
    """Skip, or fail where everything is required. For needs that have no function here."""
    if os.environ.get("TOKENSTREAM_REQUIRE_ALL") == "1":
        pytest.fail(f"{reason}, and TOKENSTREAM_REQUIRE_ALL=1 forbids to skip", pytrace=False)
    pytest.skip(reason, allow_module_level=True)
