"""Make docs/demo.png: `python -m tests.browser.picture` takes a picture of the running demo.

It needs chromium, playwright, and what `tokenstream demo` needs for its model.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from .serving import CHROMIUM_FLAGS

PICTURE = Path(__file__).parents[2] / "docs" / "demo.png"
REPLY_MS = 180_000


def main() -> None:
    parser = argparse.ArgumentParser(description="Take a picture of the running demo.")
    parser.add_argument("--source", default="smollm2")
    parser.add_argument("--out", type=Path, default=PICTURE)
    options = parser.parse_args()
    command = [sys.executable, "-u", "-m", "tokenstream", "demo", "--port", "0"]
    with subprocess.Popen(
        [*command, "--source", options.source], stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            take(url_of(running), options.out)
        finally:
            running.send_signal(signal.SIGINT)
    print(options.out)


def url_of(running: subprocess.Popen[str]) -> str:
    for line in running.stdout or ():
        if found := re.search(r"The chat page: (http://\S+)", line):
            return found[1]
    raise SystemExit("the demo ended before it served its page")


def take(url: str, out: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS
        )
        page = browser.new_page(
            viewport={"width": 860, "height": 640}, device_scale_factor=1.5, color_scheme="light"
        )
        page.set_default_timeout(REPLY_MS)
        page.goto(url)
        say(page, "What is the capital of France?")
        page.locator(".stats").first.wait_for()
        say(page, "Write a Python function that reverses a list.")
        # In the middle of the second reply: the caret and the Stop button show.
        page.get_by_text("return").wait_for()
        page.screenshot(path=out)
        browser.close()


def say(page: Page, text: str) -> None:
    page.get_by_label("Your message").fill(text)
    page.keyboard.press("Enter")


if __name__ == "__main__":
    main()
