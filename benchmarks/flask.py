"""Flask: ours beside a hand-written `stream_with_context`, under gunicorn's gthread and gevent.

    python -m benchmarks.flask --quick

Ours has all on: keep-alive, prime, timeouts, an `on_finish` hook.
"""

from __future__ import annotations

if not __package__:
    import sys
    from pathlib import Path

    # Run as a file: with this folder on the path, this very file would stand for Flask.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from collections.abc import Sequence

from benchmarks.beside import Contest, gunicorn, hot, paced, rows, run
from benchmarks.harness import Report, Rounds, cli

APP = "benchmarks.apps.flask_app:app"
OURS = {"": "ours", "-off": "ours-no-keep-alive"}


def contests(worker: str, options: cli.Options) -> list[Contest]:
    """Return what is held under one kind of gunicorn's workers."""
    title = f"Flask, gunicorn {worker}"
    return [
        Contest(f"flask.{worker}.hot", title, hot(options), "hand", OURS),
        Contest(f"flask.{worker}.paced", title, paced(options, 30), "hand", OURS),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    options = cli.parse("flask", __doc__, arguments)
    measured, held = Rounds(), []
    for worker in ("gthread", "gevent"):
        held += contests(worker, options)
        run(gunicorn(APP, worker), contests(worker, options), options, measured)
    found = rows(measured, held)
    report = Report("flask", found, measured.raw(), options.quick, options.rounds)
    cli.finish(report, options)


if __name__ == "__main__":
    main()
