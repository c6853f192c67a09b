"""Exit, fork and loops that are closed: no hang, no noise, no clean-up lost. In real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading

import pytest

from tokenstream import TokenStream, process
from tokenstream.testing import WAIT, AsyncScriptedSource, ScriptedSource

PREAMBLE = """
import asyncio, gc, os, sys, threading, time
from tokenstream import TokenStream
from tokenstream.testing import WAIT, AsyncScriptedSource, ScriptedSource, forever

def say(*words):
    # One write: several threads speak.
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def sync_source():
    try:
        while True:
            yield "x"
    finally:
        say("closed")

async def async_source():
    try:
        while True:
            yield "x"
            await asyncio.sleep(0)
    finally:
        await asyncio.sleep(0)
        say("closed")

async def silent_source():
    try:
        yield "x"
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        say("closed")

def on_finish(result):
    say(result.outcome)

async def async_on_finish(result):
    say(result.outcome)
"""


def run(script: str, *, timeout: float = 40, stderr: str | None = "", rc: int = 0) -> list[str]:
    """Run it in an interpreter of its own; return its lines. It must not make a sound besides."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", PREAMBLE + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if stderr is not None:
        assert done.stderr == stderr
    assert done.returncode == rc, done.stderr
    return done.stdout.split("\n")[:-1]


# The interpreter's exit.


@pytest.mark.parametrize("callback", ["on_finish", "async_on_finish"])
@pytest.mark.parametrize("source", ["sync_source", "async_source", "silent_source"])
def test_exit_runs_the_clean_up_of_open_streams(source, callback):
    lines = run(f"""
        stream = TokenStream({source}(), high_water=100, on_finish={callback})
        next(stream)
    """)
    assert lines == ["closed", "shutdown"]


def test_exit_runs_the_clean_up_of_many():
    lines = run("""
        streams = [TokenStream(source(), high_water=100)
                   for source in (sync_source, async_source, silent_source) for _ in range(5)]
        for stream in streams:
            next(stream)
    """)
    assert lines == ["closed"] * 15


def test_exit_inside_of_a_running_loop():
    lines = run(
        """
        async def main():
            stream = TokenStream(sync_source(), high_water=100, on_finish=on_finish)
            await anext(stream)
            sys.exit(3)
        asyncio.run(main())
        """,
        rc=3,
    )
    assert lines == ["closed", "disconnected"] or lines == ["closed", "shutdown"]


def test_exit_does_not_wait_long_for_a_next_that_blocks():
    lines = run("""
        inside = threading.Event()
        def source():
            yield "a"
            inside.set()
            threading.Event().wait()
        stream = TokenStream(source())
        next(stream)
        inside.wait()
        say("exits")
    """)
    assert lines == ["exits"]  # within run's timeout: the thread itself never ends


def test_exit_with_nothing_open_leaves_no_trace():
    lines = run("""
        say(b"".join(TokenStream(["a"])).decode().split()[1])
        stream = TokenStream(async_source())
        say(next(stream)[:4])
        stream.close()
    """)
    assert lines == ['{"token":"a"}', "b'data'", "closed"]


def test_a_stream_is_held_only_while_it_is_open():
    source = ScriptedSource("a", WAIT)
    stream = TokenStream(source)
    next(stream)
    pump = stream._reader.pump
    assert pump in process._open
    source.release()
    list(stream)
    assert pump not in process._open


@pytest.mark.parametrize("kind", [ScriptedSource, AsyncScriptedSource])
def test_shut_down_returns_what_was_open(kind):
    source = kind("a", WAIT)
    stream = TokenStream(source)
    next(stream)
    assert process.shut_down() == [stream._reader.pump]
    if kind is ScriptedSource:  # a blocked thread ends with its next step
        source.release()
    stream._reader.pump.wait_closed(10)
    assert process.shut_down() == []
    assert source.closed.is_set()


# Loops that end.


@pytest.mark.parametrize("source", ["async_source", "silent_source", "sync_source"])
def test_a_loop_that_ends_with_a_stream_open(source):
    lines = run(f"""
        async def main():
            stream = TokenStream({source}(), high_water=100, on_finish=on_finish)
            await anext(stream)
            return stream
        stream = asyncio.run(main())
        del stream
        gc.collect()
        say("over")
    """)
    assert sorted(lines) in (
        ["cancelled", "closed", "over"],
        ["closed", "disconnected", "over"],
    ) or (lines[0] == "closed" and "over" in lines)


@pytest.mark.parametrize("source", ["async_source", "silent_source", "sync_source"])
def test_a_loop_that_is_closed_under_an_open_stream(source):
    # No asyncio.run, which would cancel what is left.
    lines = run(f"""
        loop = asyncio.new_event_loop()
        stream = TokenStream({source}(), high_water=100, on_finish=on_finish)
        async def main():
            await anext(stream)
        loop.run_until_complete(main())
        loop.close()
        stream.close()
        del stream
        gc.collect()
        say("over")
    """)
    assert "over" in lines


def test_a_loop_that_ends_while_its_reader_waits():
    lines = run("""
        async def main():
            stream = TokenStream(silent_source(), on_finish=on_finish)
            async def read():
                async for _ in stream:
                    pass
            reading = asyncio.create_task(read())
            await asyncio.sleep(0.05)
        asyncio.run(main())
        say("over")
    """)
    assert lines[0] == "closed"
    assert lines[-1] == "over"


def test_a_stream_nobody_ever_read():
    lines = run("""
        async def opened():
            return async_source()
        for source in (sync_source(), async_source(), opened(), sync_source, async_source):
            TokenStream(source)
        streams = [TokenStream(source) for source in (sync_source(), async_source(), opened())]
        say("over")
    """)
    assert lines == ["over"]


# Fork.

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


@forks
@pytest.mark.parametrize("options", ["", "keep_alive=None"])
@pytest.mark.parametrize(
    "source", ["sync_source()", "async_source()", "silent_source()", "lambda: silent_source()"]
)
def test_a_child_is_told_that_its_stream_is_in_the_parent(source, options):
    lines = run(
        f"""
        import gc, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        stream = TokenStream({source}, "text", high_water=20, on_finish=on_finish, {options})
        next(stream)
        child = os.fork()
        if child == 0:
            gc.disable()  # it would close the child's copy of the source
            read = b"".join(stream)
            say("child", read[read.index(b"event"):])
            os._exit(0)
        os.waitpid(child, 0)
        stream.close()
        """,
        stderr=None,
    )
    child = "child b'event: error\\ndata: generation failed\\n\\n'"
    assert lines[0].replace("\\n", "\n") == child.replace("\\n", "\n")
    assert sorted(lines[1:]) == ["closed", "disconnected"]


@forks
def test_a_child_has_streams_of_its_own():
    lines = run(
        """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        stream = TokenStream(silent_source())
        next(stream)
        child = os.fork()
        if child == 0:
            fresh = TokenStream(silent_source(), "text")  # on a shared loop of its own
            say("child", next(fresh).decode().strip())
            sys.exit()  # its own exit hook closes what is its own
        os.waitpid(child, 0)
        say("parent")
        """,
        stderr=None,
    )
    assert lines == ["child data: x", "closed", "parent", "closed"]


# The shared loop.


async def exits():
    raise SystemExit


async def exits_at_its_end():
    try:
        yield "a"
    finally:
        raise SystemExit


@pytest.mark.parametrize(
    "source, options",
    [
        (exits, {}),
        (exits_at_its_end, {}),
        (lambda: ["a"], {"on_finish": lambda _: exits()}),
        (AsyncScriptedSource("a"), {"on_finish": lambda _: exits()}),
    ],
    ids=["the source", "its clean-up", "on_finish, of a thread's", "on_finish"],
)
def test_one_stream_s_exit_is_not_the_end_of_the_shared_loop(source, options, caplog):
    first = b"".join(TokenStream(source, "text", **options))
    assert first.startswith((b"data: a\n\n", b"event: error\n"))
    assert b"".join(TokenStream(AsyncScriptedSource("b"), "text")) == b"data: b\n\ndata: [DONE]\n\n"


def test_the_shared_loop_is_made_once_by_whoever_is_first():
    loops, go = [], threading.Barrier(8)

    def ask():
        go.wait(10)
        loops.append(process.shared_loop())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(set(map(id, loops))) == 1
    assert len([t for t in threading.enumerate() if t.name == "tokenstream-loop"]) == 1


def test_a_shared_loop_that_cant_be_made_is_tried_again():
    lines = run("""
        from tokenstream import process
        real = asyncio.new_event_loop

        def broken():
            raise OSError("no descriptor is left")

        asyncio.new_event_loop = broken
        for _ in range(2):
            try:
                process.shared_loop()
            except OSError as error:
                say(error)
        asyncio.new_event_loop = real
        stream = TokenStream(silent_source(), "text")
        say(next(stream).decode().strip())
        stream.close()
    """)
    assert lines == ["no descriptor is left"] * 2 + ["data: x", "closed"]
