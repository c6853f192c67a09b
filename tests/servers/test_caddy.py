"""Caddy in front, with the page's Caddyfile.

It speaks HTTP/1.1 to what is behind it, and sends an event stream on as it
comes; its compressor, too, passes a flush on.
"""

from __future__ import annotations

import re

import httpx
import pytest

from ..needs import need_program
from .client import Visit, wait_until
from .conftest import Farm
from .sites import PAGE, SITES, Site

BEHIND = [site for site in SITES if str(site) in ("uvicorn-h11-starlette", "wsgiref-django")]

(SERVER,) = re.findall(r"^```caddyfile\n(.*?)^```$", PAGE.read_text(), re.M | re.S)

# No port but the tested one, and nothing in this user's home.
CONFIG = """
{
    admin off
    auto_https off
    storage file_system .
}
"""


@pytest.fixture(params=BEHIND, ids=str)
def site(request: pytest.FixtureRequest) -> Site:
    site: Site = request.param
    return site


@pytest.fixture
def visit(site: Site, farm: Farm, http: httpx.Client) -> Visit:
    caddy = need_program("caddy")
    behind = farm.server(site)
    server = SERVER.replace("example.com", "http://127.0.0.1:{port}")
    config = CONFIG + server.replace("127.0.0.1:8000", f"127.0.0.1:{behind.port}")
    command = [caddy, "run", "--config", "Caddyfile"]
    front = farm.start(f"caddy-{site}", command, files={"Caddyfile": config})
    farm.outputs()
    return Visit(http, front.url, behind.control)


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_lock_step(visit: Visit, kind: str, encoding: str) -> None:
    headers = {"Accept-Encoding": encoding}
    with visit.reading(f"/returning/{kind}/five", headers=headers) as reader:
        for _ in reader:
            visit.release()
    assert reader.transcript.text == "t0t1t2t3t4"
    assert reader.transcript.done


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_reader_that_leaves(visit: Visit, kind: str) -> None:
    with visit.reading(f"/returning/{kind}/endless") as reader:
        for _ in reader:
            break

    def is_closed() -> bool:
        visit.release()
        return bool(visit.state()["closed"])

    wait_until(is_closed, "the source was closed")
