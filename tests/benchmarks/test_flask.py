"""benchmarks/flask.py runs to its end: nothing is timed."""

from __future__ import annotations

from pathlib import Path

from ..needs import need_checkout, need_module

need_checkout()
for module in ("flask", "gevent", "gunicorn", "psutil"):
    need_module(module)

from .whole import check_whole_run

PATHS = ["hand", "ours", "ours-no-keep-alive"]
CONTESTS = ["flask.gthread.hot", "flask.gthread.paced", "flask.gevent.hot", "flask.gevent.paced"]


def test_from_one_end_to_the_other(tmp_path: Path):
    check_whole_run("flask", {f"{key} {path}" for key in CONTESTS for path in PATHS}, tmp_path)
