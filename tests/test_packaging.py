"""What is published: built from this tree, looked at, imported with nothing else installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from trove_classifiers import classifiers, deprecated_classifiers

from tests.needs import need_checkout, need_program

ROOT = need_checkout()
PACKAGES = {
    "tokenstream": ROOT / "tokenstream",
    **{
        f"tokenstream_{name}": ROOT / "adapters" / f"tokenstream_{name}"
        for name in ("django", "flask", "asgi", "starlette")
    },
}
EXTRAS = {
    *("django", "flask", "asgi", "starlette", "transformers", "redis", "remote", "demo"),
    *("test", "bench"),
}
INFO = "tokenstream_sse-"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the sdist, and the wheel that was built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(built) -> Iterator[zipfile.ZipFile]:
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.fixture(scope="module")
def metadata(wheel) -> Message:
    return Parser().parsestr(info_file(wheel, "METADATA"))


def info_file(wheel: zipfile.ZipFile, name: str) -> str:
    (path,) = (p for p in wheel.namelist() if p.startswith(INFO) and p.endswith(f"/{name}"))
    return wheel.read(path).decode()


def source_files() -> set[str]:
    return {
        (Path(name) / path.relative_to(folder)).as_posix()
        for name, folder in PACKAGES.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel):
    shipped = {name for name in wheel.namelist() if not name.startswith(INFO)}
    assert shipped == source_files()


def test_each_package_says_that_it_is_typed(wheel):
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(wheel.namelist())


def test_the_static_files_are_there(wheel):
    assert "tokenstream/static/tokenstream.js" in wheel.namelist()


def test_the_sdist_holds_what_belongs_to_the_project(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml"} <= names


def test_the_licence_is_told_as_pep_639_wants_it(wheel, metadata):
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert "The tokenstream authors" in info_file(wheel, "licenses/LICENSE")
    assert not [c for c in metadata.get_all("Classifier") if c.startswith("License ::")]


def test_the_classifiers_exist(metadata):
    said = set(metadata.get_all("Classifier"))
    assert said <= classifiers
    assert not said & set(deprecated_classifiers)


def test_the_name_and_the_python_versions(metadata):
    assert metadata["Name"] == "tokenstream-sse"
    assert metadata["Requires-Python"] == ">=3.11"


def test_the_extras_and_nothing_without_one(metadata):
    assert set(metadata.get_all("Provides-Extra")) == EXTRAS
    assert [r for r in requirements(metadata) if "extra ==" not in str(r.marker)] == []


def test_the_command_has_both_names(wheel):
    scripts = info_file(wheel, "entry_points.txt")
    assert "tokenstream = tokenstream.probe.cli:main" in scripts
    assert "tokenstream-sse = tokenstream.probe.cli:main" in scripts


def test_the_wheel_works_with_nothing_else_installed(built, tmp_path):
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)
    modules = "tokenstream, tokenstream.sources.channel, tokenstream_asgi, tokenstream.probe.cli"
    code = f"import sys; sys.path.insert(0, sys.argv[1]); import {modules}; print(tokenstream)"
    # Isolated, and without site-packages: the standard library is all there is.
    command = [sys.executable, "-I", "-S", "-c", code, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert run.returncode == 0, run.stderr
    assert str(tmp_path) in run.stdout


def test_all_that_ci_installs_is_pinned(metadata):
    pins = {canonicalize_name(r.name): str(r.specifier) for r in constraints()}
    assert pins["torch"] == "==2.13.0"
    assert all(re.fullmatch(r"==[0-9][^*,]*", pin) for pin in pins.values()), pins
    wanted = {canonicalize_name(r.name) for r in requirements(metadata) if r.name != "redis"}
    assert wanted <= set(pins)


def requirements(metadata: Message) -> list[Requirement]:
    return [Requirement(line) for line in metadata.get_all("Requires-Dist")]


def constraints() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


IGNORED = re.compile(r"#\s*(?:type|pyright|mypy):\s*ignore")


def test_at_most_ten_type_errors_are_ignored():
    folders = ("tokenstream", "adapters", "tests", "example_projects", "benchmarks")
    ignored = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if IGNORED.search(line)
    ]
    assert len(ignored) <= 10, ignored


@pytest.fixture
def make(tmp_path):
    """`make --dry-run test` on an environment that was made at the time `at`."""
    program = need_program("make")
    stamp = tmp_path / ".installed"

    def dry_run(at: float | None) -> str:
        if at is not None:
            stamp.touch()
            os.utime(stamp, (at, at))
        command = [program, "--dry-run", "test", f"VENV={tmp_path}"]
        run = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=True
        )
        return run.stdout

    return dry_run


def test_make_test_makes_an_environment_where_there_is_none(make):
    said = make(None)
    assert "-m venv" in said
    assert "pip install" in said
    assert "-m pytest" in said


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_make_test_installs_anew_what_has_changed(make, name):
    assert "pip install" in make((ROOT / name).stat().st_mtime - 1)


def test_make_test_installs_nothing_when_nothing_has_changed(make):
    newest = max((ROOT / n).stat().st_mtime for n in ("pyproject.toml", "constraints.txt"))
    said = make(newest + 1)
    assert "pip install" not in said
    assert "-m pytest" in said
