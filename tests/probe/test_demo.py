"""`tokenstream demo` as a process: what it prints, what it serves, how it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tokenstream.testing import read_stream

from ..needs import need_module

need_module("uvicorn")
need_module("rich")


FIGURES = r"\d+ tokens · [\d.]+ tokens/s · \d+ bytes"
QUESTION = "What is the capital of France?"


def heed_ctrl_c() -> None:
    """Undo what a shell does to the jobs that it runs in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def demo(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run it on a free port; killed in the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "tokenstream", "demo", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200", **environment},
        preexec_fn=heed_ctrl_c,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def read_until(running: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """Read what it prints, by character, until the pattern is there."""
    assert running.stdout is not None
    text = ""
    while not (found := re.search(pattern, text)):
        character = running.stdout.read(1)
        assert character, f"it ended without {pattern!r}: {text!r}"
        text += character
    return found


def end_of(running: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = running.communicate(timeout=50)
    return running.returncode, out, err


def test_types_one_reply_and_its_numbers() -> None:
    with demo("--source", "builtin", "--once", "--prompt", "Hello [b]you[/b]\x1b[31m") as running:
        code, out, err = end_of(running)
    assert (code, err) == (0, "")
    assert "A built-in script answers, not a language model" in out
    assert "> Hello [b]you[/b][31m" in out
    assert "You asked: “Hello [b]you[/b][31m”" in out
    assert "日本語 and 👩‍🚀 arrive whole, too." in out
    assert re.search(rf"first token after \d+ ms · {FIGURES} · stop\n", out)
    assert "\x1b" not in out


def test_serves_the_page_until_ctrl_c() -> None:
    with demo("--source", "builtin") as running:
        url = read_until(running, r"The chat page: (http://\S+)\s")[1]
        page = httpx.get(url, trust_env=False).text
        assert "A built-in script answers, not a language model" in page
        running.send_signal(signal.SIGINT)
        code, out, err = end_of(running)
    assert (code, err) == (0, "")
    assert out.endswith("Stopped.\n")


def test_ctrl_c_ends_open_streams_with_an_error() -> None:
    body = {"messages": [{"role": "user", "content": "long"}]}
    with demo("--source", "builtin") as running:
        url = read_until(running, r"The chat page: (http://\S+)\s")[1]
        with (
            httpx.Client(trust_env=False) as client,
            client.stream("POST", f"{url}/chat", json=body) as response,
        ):
            events = iter(read_stream(response))
            next(events)
            running.send_signal(signal.SIGINT)
            last = list(events)[-1]
        code, _, _ = end_of(running)
    assert code == 0
    assert (last.event, last.data) == ("error", '{"error":"the server is shutting down"}')


def test_ctrl_c_while_it_types() -> None:
    with demo("--source", "builtin", "--prompt", "long") as running:
        read_until(running, "You asked")
        running.send_signal(signal.SIGINT)
        code, _, err = end_of(running)
    assert code == 130
    assert err.endswith("tokenstream: interrupted\n")
    assert "Traceback" not in err


def test_reply_that_fails_is_told() -> None:
    with demo("--source", "builtin", "--prompt", "fail") as running:
        code, out, err = end_of(running)
    assert code == 1
    assert "You asked" in out
    assert "tokenstream: the reply failed: generation failed\n" in err


def test_prompt_that_is_refused_is_told() -> None:
    with demo("--source", "builtin", "--prompt", " ") as running:
        code, _, err = end_of(running)
    assert code == 1
    assert err.startswith("tokenstream: the endpoint answered 400: ")


def test_port_that_is_taken_is_told_before_anything_is_loaded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with demo("--source", "smollm2", "--port", port) as running:
            code, out, err = end_of(running)
    assert (code, out) == (1, "")
    assert err == (
        f"tokenstream: can't serve on 127.0.0.1 port {port} (Address already in use): "
        "choose another with --port, 0 for a free one, or --host\n"
    )


def test_host_that_is_none_is_told() -> None:
    with demo("--source", "builtin", "--host", "no.such.host.invalid") as running:
        code, _, err = end_of(running)
    assert code == 1
    assert err.startswith("tokenstream: can't serve on no.such.host.invalid port 0")


@pytest.mark.timeout(120)
def test_model_that_cannot_be_loaded_is_told(tmp_path: Path) -> None:
    need_module("transformers")
    (tmp_path / "smollm2-135m-instruct").mkdir()  # prepared, it seems, but empty
    with demo("--source", "smollm2", TOKENSTREAM_CACHE=str(tmp_path)) as running:
        code, _, err = end_of(running)
    assert code == 1
    assert "no model could be loaded" in err
    assert "--source builtin" in err
    assert "Traceback" not in err


@pytest.mark.model
@pytest.mark.timeout(600)
def test_the_real_model_answers() -> None:
    need_module("transformers")
    with demo("--source", "smollm2", "--once", "--prompt", QUESTION) as running:
        out, err = running.communicate(timeout=590)
    assert (running.returncode, err) == (0, "")
    assert "Paris" in out
    assert re.search(rf"{FIGURES} · stop\n", out)
