"""The watched socket under TLS: the end of the connection is seen below the encryption."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tokenstream.testing import read_stream

from ..needs import need_program
from .client import WATCHDOG, Visit, wait_until
from .conftest import Farm
from .sites import TLS, Site


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `cert.pem` and `key.pem`, for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    asked = "req -x509 -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -days 1"
    named = "-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem"
    command = [need_program("openssl"), *asked.split(), *named.split()]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    return folder


@pytest.fixture
def visit(site: Site, farm: Farm, certificate: Path) -> Iterator[Visit]:
    command = [part.replace("{tls}", str(certificate)) for part in site.command]
    server = farm.start(str(site), command, env=site.env)
    trusted = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    with httpx.Client(timeout=WATCHDOG, verify=trusted, trust_env=False) as client:
        yield Visit(client, server.url.replace("http:", "https:"), server.control)


def say_goodbye(response: httpx.Response) -> None:
    """Send TLS's own word of the end: to the watch it is data, before the end of the connection."""
    connection = response.extensions["network_stream"].get_extra_info("socket")
    connection.setblocking(False)
    with pytest.raises(ssl.SSLError):  # the server's word is not waited for
        connection.unwrap()


@pytest.mark.parametrize("polite", [False, True], ids=["bare", "polite"])
@pytest.mark.parametrize("site", TLS, ids=str)
def test_a_reader_that_leaves_while_the_source_is_silent(visit: Visit, polite: bool) -> None:
    with visit.stream("POST", "/returning/async/endless") as response:
        events = iter(read_stream(response, timeout=2 * WATCHDOG))
        next(events)
        if polite:
            say_goodbye(response)
    wait_until(lambda: bool(visit.state()["closed"]), "the silent source was closed")
    assert visit.state()["yielded"] == 1


@pytest.mark.parametrize("site", TLS, ids=str)
def test_a_reader_that_stays_is_not_taken_for_gone(visit: Visit) -> None:
    # Each token takes a permit, and the reader is looked after in each wait.
    with visit.reading("/returning/async/five") as reader:
        for _ in reader:
            visit.release()
    assert reader.transcript.text == "t0t1t2t3t4"
    assert reader.transcript.done
