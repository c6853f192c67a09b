"""nginx in front, as a distribution configures it: the page's `proxy_pass` and nothing else.

It speaks HTTP/1.0 to what is behind it, and keeps an answer that ends with the
connection until some kilobytes of it are there, unless a header forbids it.
"""

from __future__ import annotations

import re

import httpx
import pytest

from ..needs import need_program
from .client import EVENTS, Visit, wait_until
from .conftest import Farm
from .record import record
from .sites import FULL, PAGE, SITES, Site

# In the small form those that nginx would buffer: with uvicorn's h11 they are all of ASGI.
BEHIND = [
    site
    for site in SITES
    if FULL or site.server in ("uvicorn-h11", "gunicorn-gthread", "gunicorn-asgi", "uwsgi")
]

(LOCATION,) = re.findall(r"^```nginx\n(.*?)^```$", PAGE.read_text(), re.M | re.S)

# Its own folder for all that it writes; one process, so that it needs no other user.
CONFIG = """
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {
        listen 127.0.0.1:{port};
        {setting}
        {location}
    }
}
"""


@pytest.fixture(params=BEHIND, ids=str)
def site(request: pytest.FixtureRequest) -> Site:
    site: Site = request.param
    return site


@pytest.fixture
def visit(site: Site, farm: Farm, http: httpx.Client) -> Visit:
    return behind_nginx(site, farm, http)


def behind_nginx(site: Site, farm: Farm, http: httpx.Client, setting: str = "") -> Visit:
    nginx = need_program("nginx")
    behind = farm.server(site)
    location = LOCATION.replace("http://127.0.0.1:8000", behind.url)
    config = CONFIG.replace("{location}", location).replace("{setting}", setting)
    command = [nginx, "-p", ".", "-c", "nginx.conf", "-e", "stderr"]
    name = f"nginx-{site}{setting.replace(' ', '-')}"
    front = farm.start(name, command, files={"nginx.conf": config})
    farm.outputs()
    return Visit(http, front.url, behind.control)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_lock_step(visit: Visit, site: Site, kind: str) -> None:
    with visit.reading(f"/returning/{kind}/five") as reader:
        for _ in reader:
            visit.release()
    assert reader.transcript.text == "t0t1t2t3t4"
    assert reader.transcript.done
    record(site, "nginx", "yes")


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_reader_that_leaves(visit: Visit, kind: str) -> None:
    with visit.reading(f"/returning/{kind}/endless", "GET", headers=EVENTS) as reader:
        for _ in reader:
            break

    def is_closed() -> bool:
        visit.release()
        return bool(visit.state()["closed"])

    wait_until(is_closed, "the source was closed")


@pytest.mark.parametrize("site", BEHIND[:1], ids=str)
def test_keep_alives_keep_nginx_from_cutting_silence(
    site: Site, farm: Farm, http: httpx.Client
) -> None:
    visit = behind_nginx(site, farm, http, "proxy_read_timeout 1s;")
    with visit.stream("POST", "/kept/async/endless") as response:
        read = b""
        for chunk in response.iter_bytes():
            read += chunk
            if read.count(b": keep-alive") == 15:  # ten a second
                visit.release()
            if b"t1" in read:
                return
    pytest.fail(f"it was cut after {read!r}")


@pytest.mark.parametrize("site", BEHIND[:1], ids=str)
def test_without_them_the_reader_can_tell_that_it_was_cut(
    site: Site, farm: Farm, http: httpx.Client
) -> None:
    visit = behind_nginx(site, farm, http, "proxy_read_timeout 1s;")
    with (
        pytest.raises(httpx.RemoteProtocolError),
        visit.reading("/returning/async/endless") as reader,
    ):
        reader.read()
    assert reader.transcript.tokens == ["t0"]
    assert not reader.transcript.done
