"""Each server is started once, when a test first needs it, and ended after the last test."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any

import httpx
import pytest

from .client import WATCHDOG, Visit
from .serving import Server
from .sites import FULL, SITES, Site

AT_ONCE = 64
"""Servers that run at the same time; each has one to three processes of 50 to 100 MB."""


class Farm:
    """The servers that run. Past `AT_ONCE` the one that was not used for longest is ended."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self._servers: dict[str, Server] = {}

    def server(self, site: Site) -> Server:
        """Return the running server of a site."""
        return self.start(str(site), site.command, env=site.env, is_told_of=True)

    def start(self, name: str, command: Sequence[str], **options: Any) -> Server:
        """Return the running server of that name, which is started with `command` if it is new."""
        server = self._servers.pop(name, None)
        if server is None:
            self._make_room()
            server = Server(command, self._factory.mktemp(name), **options)
        self._servers[name] = server  # the last is the one used last
        return server

    def outputs(self) -> dict[str, str]:
        """Return what each has printed since the last call, by its name."""
        return {name: server.output() for name, server in self._servers.items()}

    def stop(self) -> None:
        """End all of them."""
        for server in self._servers.values():
            server.stop()

    def _make_room(self) -> None:
        while len(self._servers) >= AT_ONCE:
            self._servers.pop(next(iter(self._servers))).stop()


@pytest.fixture(scope="session")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    farm = Farm(tmp_path_factory)
    yield farm
    farm.stop()


@pytest.fixture(scope="session")
def http() -> Iterator[httpx.Client]:
    # No connection is used twice: a server may be closing one that had an error.
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(timeout=WATCHDOG, limits=limits, trust_env=False) as client:
        yield client


@pytest.fixture(params=SITES, ids=str)
def site(request: pytest.FixtureRequest) -> Site:
    site: Site = request.param
    return site


@pytest.fixture
def visit(site: Site, farm: Farm, http: httpx.Client) -> Visit:
    server = farm.server(site)
    farm.outputs()  # what other tests have made it print
    return Visit(http, server.url, server.control)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # One site after the other where there are more than may run: each is started once.
    if FULL:
        items.sort(key=_site_of)


def _site_of(item: pytest.Item) -> str:
    callspec = getattr(item, "callspec", None)
    return "" if callspec is None else str(callspec.params.get("site", ""))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    farm = item.funcargs.get("farm")
    if report.failed and isinstance(farm, Farm):
        printed = farm.outputs().items()
        report.sections += [(f"output of {name}", text) for name, text in printed if text]
    return report
