"""Django: ours beside a hand-written `StreamingHttpResponse`, under uvicorn and gthread.

    python -m benchmarks.django --quick

Ours has all on: keep-alive, prime, timeouts, an `on_finish` hook.
"""

from __future__ import annotations

if not __package__:
    import sys
    from pathlib import Path

    # Run as a file: with this folder on the path, this very file would stand for Django.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from collections.abc import Iterator, Sequence

from benchmarks.beside import Contest, gunicorn, hot, paced, rows, run
from benchmarks.harness import Report, Rounds, Row, cli, uvicorn

SITE = "benchmarks.apps.django_site"

BUFFERED = "Under ASGI Django makes a list of a sync generator, and sends it when it is whole"
NO_ASYNC = "An async source has no hand-written twin here: Django would make a list of it"


def under_asgi(options: cli.Options) -> list[Contest]:
    """Return what is held under uvicorn."""
    twins = "hand-async", {"": "ours-async"}
    return [
        Contest("django.asgi.hot", "Django, uvicorn, async source", hot(options), *twins),
        Contest("django.asgi.paced", "Django, uvicorn, async source", paced(options, 50), *twins),
        Contest(
            "django.asgi.sync-hot",
            "Django, uvicorn, sync source",
            hot(options),
            "hand",
            {"": "ours"},
            BUFFERED,
        ),
    ]


def under_wsgi(options: cli.Options) -> list[Contest]:
    """Return what is held under gunicorn's gthread."""
    title, both = "Django, gunicorn gthread", {"": "ours", "-off": "ours-no-keep-alive"}
    all_three = both | {"-async": "ours-async"}
    return [
        Contest("django.gthread.hot", title, hot(options), "hand", all_three, NO_ASYNC),
        Contest("django.gthread.paced", title, paced(options, 30), "hand", both),
    ]


def first_bytes(measured: Rounds, contests: Sequence[Contest]) -> Iterator[Row]:
    """Yield when a sync source's first byte comes under ASGI: by hand, with its last."""
    for contest in contests:
        if contest.note == BUFFERED and contest.case(contest.base) in measured.figures:
            for path in contest.paths:
                yield Row(
                    f"{contest.key}.first-byte.{path}",
                    f"Django, uvicorn, sync source: time to the first byte of {contest.load}",
                    path,
                    measured.of(contest.case(path), "first_byte"),
                    "ms",
                )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    options = cli.parse("django", __doc__, arguments)
    asgi, wsgi, measured = under_asgi(options), under_wsgi(options), Rounds()
    run(uvicorn(f"{SITE}.asgi:application"), asgi, options, measured)
    run(gunicorn(f"{SITE}.wsgi:application", "gthread"), wsgi, options, measured)
    found = [*rows(measured, [*asgi, *wsgi]), *first_bytes(measured, asgi)]
    report = Report("django", found, measured.raw(), options.quick, options.rounds)
    cli.finish(report, options)


if __name__ == "__main__":
    main()
