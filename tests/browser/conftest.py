"""Debian's chromium through playwright; skipped with the reason where either is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from ..needs import need_module, need_program
from .serving import CHROMIUM_FLAGS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WATCHDOG_MS = 20_000


# No wider than a module: playwright's loop runs in this thread as long as it is
# there, and other modules have async tests.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = need_program("chromium")
    playwright = need_module("playwright.sync_api")
    playwright.expect.set_options(timeout=WATCHDOG_MS)
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a profile of its own. An exception in its scripts fails the test."""
    context = browser.new_context()
    context.set_default_timeout(WATCHDOG_MS)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []
