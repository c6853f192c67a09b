"""docs/deployment.md: each line that starts a server there starts one that streams."""

from __future__ import annotations

import re

import httpx
import pytest

from .client import Visit
from .conftest import Farm
from .serving import python
from .sites import APPS, PAGE

# The page names a project of the reader's; here it is the one in `apps`.
LINES = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    for line in block.splitlines()
]
MODULES = {
    "waitress-serve": ["-m", "waitress"],
    "uwsgi": ["-c", "import pyuwsgi; pyuwsgi.run()"],
}
PORT = {
    "gunicorn": ["-b", "127.0.0.1:{port}"],
    "uvicorn": ["--port", "{port}"],
    "hypercorn": ["-b", "127.0.0.1:{port}"],
    "granian": ["--port", "{port}"],
    "daphne": ["-p", "{port}"],
    "waitress-serve": ["--listen", "127.0.0.1:{port}"],
    "cheroot": ["--bind", "127.0.0.1:{port}"],
    "uwsgi": [],  # it has no default, so the page names one
}
SUBCOMMANDS = {"flask": ["--port", "{port}"], "python": ["--noreload", "{port}"]}


def command(line: str) -> tuple[str, ...]:
    line = line.replace("mysite", "django_site").replace(":8000", ":{port}")
    program, *arguments = line.split()
    if program == "python":
        return python(str(APPS / arguments[0]), *arguments[1:], *SUBCOMMANDS[program])
    module = MODULES.get(program, ["-m", program])
    if program in SUBCOMMANDS:
        return python(*module, *arguments, *SUBCOMMANDS[program])
    return python(*module, *PORT[program], *arguments)


def test_the_page_names_them_all() -> None:
    assert {line.split()[0] for line in LINES} == {*PORT, *SUBCOMMANDS}


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("line", LINES)
def test_a_line_of_the_page(line: str, kind: str, farm: Farm, http: httpx.Client) -> None:
    name = re.sub(r"\W+", "-", line)
    server = farm.start(name, command(line), env={"PYTHONPATH": str(APPS)}, is_told_of=True)
    visit = Visit(http, server.url, server.control)
    with visit.reading(f"/returning/{kind}/five") as reader:
        for _ in reader:
            visit.release()
    assert reader.transcript.text == "t0t1t2t3t4"
    assert reader.transcript.done
