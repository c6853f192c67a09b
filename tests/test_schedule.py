"""When a reader that waits has something else to do."""

from __future__ import annotations

from math import inf

import pytest

from tokenstream.schedule import Schedule


def schedule(keep_alive=None, source_timeout=None, max_duration=None):
    return Schedule(
        100, keep_alive=keep_alive, source_timeout=source_timeout, max_duration=max_duration
    )


def test_nothing_is_ever_due_where_all_is_off():
    it = schedule()
    assert it.next(10**9, 0) == inf
    assert it.due(10**9, 0) is None
    assert not it.over(10**9)


@pytest.mark.parametrize("which", ["keep_alive", "source_timeout", "max_duration"])
def test_each_is_due_at_its_time_and_not_before(which):
    it = schedule(**{which: 10})
    assert it.next(100, 0) == 110
    assert it.due(109.9, 0) is None
    assert it.due(110, 0) == which


def test_next_is_the_first_of_them():
    assert schedule(15, 30, 60).next(100, 0) == 115
    assert schedule(15, 10, 60).next(100, 0) == 110
    assert schedule(15, 30, 5).next(100, 0) == 105


def test_the_gravest_comes_first():
    assert schedule(10, 10, 10).due(110, 0) == "max_duration"
    assert schedule(10, 10, 20).due(110, 0) == "source_timeout"


def test_a_comment_puts_off_the_next_comment_only():
    it = schedule(15, 40)
    it.wrote(115)
    assert it.next(115, 0) == 130
    it.wrote(130)
    assert it.due(140, 0) == "source_timeout"


def test_parts_put_off_both():
    it = schedule(15, 40, 100)
    it.wrote(110, parts=1)
    assert it.next(110, 1) == 125
    assert it.due(149, 1) == "keep_alive"
    it.wrote(149)
    assert it.due(150, 1) == "source_timeout"


def test_parts_that_sent_nothing_put_off_the_timeout_only():
    it = schedule(50, 40)
    assert it.due(139, 1) is None
    assert it.due(150, 1) == "keep_alive"
    it.wrote(150)
    assert it.due(178, 1) is None
    assert it.due(179, 1) == "source_timeout"


def test_a_part_that_sent_nothing_is_noted_by_who_asks_what_is_next():
    it = schedule(50, 40)
    assert it.next(130, 1) == 150
    assert it.due(169, 1) == "keep_alive"
    assert it.due(170, 1) == "source_timeout"


def test_nothing_puts_off_the_end():
    it = schedule(max_duration=60)
    it.wrote(159, parts=7)
    assert not it.over(159.9)
    assert it.over(160)
    assert it.due(160, 8) == "max_duration"
