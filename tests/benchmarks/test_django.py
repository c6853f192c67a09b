"""benchmarks/django.py runs to its end: nothing is timed."""

from __future__ import annotations

from pathlib import Path

from ..needs import need_checkout, need_module

need_checkout()
for module in ("django", "gunicorn", "psutil", "uvicorn"):
    need_module(module)

from .whole import check_whole_run

PATHS = {
    "django.asgi.hot": ["hand-async", "ours-async"],
    "django.asgi.paced": ["hand-async", "ours-async"],
    "django.asgi.sync-hot": ["hand", "ours"],
    "django.gthread.hot": ["hand", "ours", "ours-no-keep-alive", "ours-async"],
    "django.gthread.paced": ["hand", "ours", "ours-no-keep-alive"],
}


def test_from_one_end_to_the_other(tmp_path: Path):
    check_whole_run("django", {f"{key} {path}" for key in PATHS for path in PATHS[key]}, tmp_path)
