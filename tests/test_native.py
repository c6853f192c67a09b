"""Threads, real and patched: each in an interpreter of its own, since gevent's patch stays."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading

import pytest

from tokenstream import native

from .needs import need_module

need_module("gevent")

PATCHED = "from gevent import monkey; monkey.patch_all()\n"
PREAMBLE = """
import asyncio, gevent, os, sys, threading
from tokenstream import TokenStream, native, process
from tokenstream.gates import result_of
from tokenstream.native import original
get_ident = original("_thread", "get_ident")
start_real = original("_thread", "start_new_thread")
HOME = get_ident()

def say(*words):
    # One write: several threads speak.
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def timed_out(*_):
    raise SystemExit("hangs")

import signal
signal.signal(signal.SIGALRM, timed_out)
signal.alarm(40)
"""


def run(script: str, *, patched: bool = True) -> list[str]:
    """Run it under gevent; return its lines. It must not make a sound besides."""
    code = (PATCHED if patched else "") + PREAMBLE + textwrap.dedent(script)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


both = pytest.mark.parametrize("patched", [True, False], ids=["patched", "plain"])


# Without gevent.


def test_without_gevent_threads_are_threads():
    assert type(native.new_lock()) is type(threading.Lock())
    assert not native.are_greenlets()
    assert native.executor() is None


# The lock.


@both
def test_no_wake_from_a_real_thread_is_lost(patched):
    # Two sides in turn: whoever misses one wake waits for ever.
    lines = run(
        """
        def play():
            mine = native.new_lock()
            mine.acquire()
            ping = original("_thread", "allocate_lock")()
            ping.acquire()

            def other():
                for _ in range(2000):
                    ping.acquire()
                    mine.release()

            start_real(other, ())
            for _ in range(2000):
                ping.release()
                mine.acquire()
            return "in step"

        players = [gevent.spawn(play) for _ in range(4)]
        for player in players:
            say(player.get())
        """,
        patched=patched,
    )
    assert lines == ["in step"] * 4


@both
def test_other_greenlets_run_while_one_waits(patched):
    lines = run(
        """
        lock = None

        def waits():
            global lock
            lock = native.new_lock()
            lock.acquire()
            lock.acquire()
            say("woken")

        def wakes():
            say("runs meanwhile")
            lock.release()
            lock.release()

        gevent.joinall([gevent.spawn(waits), gevent.spawn(wakes)], raise_error=True)
        """,
        patched=patched,
    )
    assert lines == ["runs meanwhile", "woken"]


def test_a_wait_is_over_at_its_time_and_a_second_wake_counts_once():
    lines = run("""
        lock = native.new_lock()
        say(lock.acquire(), lock.acquire(blocking=False), lock.acquire(timeout=0.01))
        for _ in range(2):
            start_real(lock.release, ())
        say(lock.acquire())
        gevent.sleep(0.1)  # the second wake comes to a lock that is free, or held again
        say(native.new_lock().acquire(timeout=0))
    """)
    assert lines == ["True False False", "True", "True"]


def test_a_wake_for_a_hub_that_has_ended_is_harmless():
    lines = run("""
        made = []
        ended = original("_thread", "allocate_lock")()
        ended.acquire()

        def visit():
            made.append(native.new_lock())
            gevent.get_hub().destroy(destroy_loop=True)
            ended.release()

        start_real(visit, ())
        ended.acquire()
        made[0].release()
        say("over")
    """)
    assert lines == ["over"]


# Threads.


def test_the_shared_loop_has_a_real_thread_and_one_for_all():
    lines = run("""
        loops = []
        asking = [gevent.spawn(lambda: loops.append(process.shared_loop())) for _ in range(8)]
        gevent.joinall(asking, raise_error=True)
        say(len(set(loops)))

        async def where():
            return get_ident() == HOME, threading.current_thread().name

        say(*result_of(asyncio.run_coroutine_threadsafe(where(), loops[0])))
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            say("no loop runs here")
    """)
    assert lines == ["1", "False tokenstream-loop", "no loop runs here"]


def test_sync_work_of_the_loop_is_done_where_the_apps_greenlets_are():
    lines = run("""
        def sync_source():
            yield str(get_ident() == HOME)

        async def handed_over():
            return sync_source()

        async def async_source():
            yield str(get_ident() == HOME)
            yield str(await asyncio.to_thread(get_ident) == HOME)

        def on_finish(result):
            say(result.text, get_ident() == HOME)

        for source in (sync_source, handed_over, async_source):
            b"".join(TokenStream(source, "text", on_finish=on_finish))
    """)
    assert lines == ["True True", "True True", "FalseTrue True"]


@both
def test_a_sync_source_waits_for_room_in_its_own_thread(patched):
    lines = run(
        """
        def source():
            yield from (f"{number} " for number in range(2000))

        async def handed_over():
            return source()

        def read(source):
            stream = TokenStream(source, "text", high_water=50, on_finish=lambda r: say(r.parts))
            for _ in stream:
                gevent.sleep(0)

        kinds = [source, handed_over] * 4
        gevent.joinall([gevent.spawn(read, kind) for kind in kinds], raise_error=True)
        """,
        patched=patched,
    )
    assert lines == ["2000"] * 8


def test_a_thread_that_an_async_source_starts_runs_too():
    # As aiosqlite, and anyio for what blocks: it is a greenlet of the loop's thread.
    lines = run("""
        async def source():
            loop, done = asyncio.get_running_loop(), asyncio.Event()

            def work():
                gevent.sleep(0.01)
                loop.call_soon_threadsafe(done.set)

            threading.Thread(target=work).start()
            await done.wait()
            yield "worked"

        say(b"".join(TokenStream(source, "text")).split()[1].decode())
    """)
    assert lines == ["worked"]


def test_what_the_loop_s_call_raises_comes_back():
    lines = run("""
        async def source():
            try:
                await asyncio.to_thread(int, "x")
            except ValueError as error:
                yield str(error)

        stream = TokenStream(source, "text", on_finish=lambda result: say(result.text))
        b"".join(stream)
    """)
    assert lines == ["invalid literal for int() with base 10: 'x'"]


@both
def test_streams_of_both_kinds_in_greenlets_and_their_exit(patched):
    lines = run(
        """
        async def async_source():
            try:
                for number in range(100):
                    yield f"{number} "
                    await asyncio.sleep(0)
                await asyncio.Event().wait()
            finally:
                say("closed")

        def read(source):
            stream = TokenStream(source, "text")
            text = b""
            while b"99 " not in text:
                text += next(stream)
            return stream

        def sync_source():
            try:
                for number in range(100):
                    yield f"{number} "
                gevent.sleep(0)
                yield "more"
            finally:
                say("closed")

        kinds = [async_source, sync_source] * 10
        reading = [gevent.spawn(read, kind) for kind in kinds]
        gevent.joinall(reading, raise_error=True)
        say("exits", len(reading))
        """,
        patched=patched,
    )
    assert lines.count("closed") == 20
    assert "exits 20" in lines


def test_the_original_is_what_was_there_before():
    assert native.original("threading", "Thread") is threading.Thread
    lines = run("""
        import select
        real = original("select", "poll")
        say(select.poll is real, type(real()).__name__)
    """)
    assert lines == ["False poll"]


def test_djangos_thread_for_the_async_orm_is_woken_each_time():
    need_module("django")
    lines = run("""
        from contextlib import nullcontext
        from tokenstream_django.threads import OwnThread

        async def calls():
            loop, thread = asyncio.get_running_loop(), OwnThread(nullcontext)
            seen = {await loop.run_in_executor(thread, get_ident) for _ in range(300)}
            thread.end()
            return seen

        seen = result_of(asyncio.run_coroutine_threadsafe(calls(), process.shared_loop()))
        say(seen == {HOME})
    """)
    assert lines == ["True"]


def test_a_channel_between_greenlets_and_the_loop():
    lines = run("""
        from tokenstream.sources import channel

        async def read(source):
            return [part async for part in source]

        def send(sender):
            with sender:
                for number in range(5000):
                    sender.send(number)

        loop = process.shared_loop()
        for _ in range(4):
            sender, source = channel(capacity=8)
            reading = asyncio.run_coroutine_threadsafe(read(source), loop)
            sending = gevent.spawn(send, sender)
            say(result_of(reading) == list(range(5000)))
            sending.get()
    """)
    assert lines == ["True"] * 4
