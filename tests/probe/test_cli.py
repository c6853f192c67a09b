"""The command line, as a process of its own where that is what is tested."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from tokenstream.probe.cli import main

SITE = Path(sysconfig.get_path("purelib"))
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def folder_of(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@pytest.fixture
def run_without(tmp_path: Path) -> Run:
    """Run `python -m tokenstream` in an environment that lacks some of what is installed here."""

    def run(missing: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        wanted = [folder_of("tokenstream"), folder_of("tokenstream_asgi")]
        if missing != "all":
            others = (entry for entry in SITE.iterdir() if entry.name not in missing.split())
            wanted += [entry for entry in others if not entry.name.startswith("tokenstream")]
        packages = Path(tempfile.mkdtemp(dir=tmp_path))
        for entry in wanted:
            (packages / entry.name).symlink_to(entry)
        # -S: no site-packages but these.
        return subprocess.run(
            [sys.executable, "-S", "-m", "tokenstream", *arguments],
            capture_output=True,
            text=True,
            timeout=50,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(packages), "COLUMNS": "200"},
        )

    return run


def test_help_needs_nothing_installed(run_without: Run) -> None:
    for arguments in (["--help"], ["demo", "--help"]):
        done = run_without("all", *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert "demo" in done.stdout


def test_demo_names_the_extra_that_is_missing(run_without: Run) -> None:
    done = run_without("rich", "demo")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        "tokenstream: the demo needs rich, which is not installed: "
        'pip install "tokenstream-sse[demo]"\n'
    )


def test_demo_without_torch_takes_the_script_and_says_why(run_without: Run) -> None:
    done = run_without("torch transformers", "demo", "--once", "--port", "0")
    assert (done.returncode, done.stderr) == (0, "")
    said = "A built-in script answers, not a language model (torch and transformers not installed)"
    assert said in done.stdout
    assert 'pip install "tokenstream-sse[demo,transformers]"' in done.stdout
    assert "arrive whole, too." in done.stdout


def test_demo_without_torch_refuses_the_model(run_without: Run) -> None:
    done = run_without("torch", "demo", "--source", "smollm2", "--port", "0")
    assert done.returncode == 1
    assert "SmolLM2 needs torch" in done.stderr
    assert "--source builtin" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "COMMAND"),
        (["unknown"], "unknown"),
        (["demo", "--port", "http"], "'http' is no port"),
        (["demo", "--port", "65536"], "'65536' is no port"),
        (["demo", "--source", "gpt"], "gpt"),
    ],
)
def test_options_that_cannot_be(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("tokenstream ")
