"""Debian's Chromium, driven by Playwright: it resolves no name, so it reaches nothing but this machine."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

ARGUMENTS = (
    "--no-sandbox",  # the sandbox of Chromium refuses root, and the pages under test are our own
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


class ChromiumMissing(RuntimeError):
    """No Chromium is installed."""


@contextmanager
def launched() -> Iterator[Browser]:
    """Run Chromium without a window.

    Raises:
        ChromiumMissing: it is not installed.
    """
    path = shutil.which("chromium")
    if path is None:
        raise ChromiumMissing("the command `chromium` is not installed; `apt-get install chromium` installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def required() -> bool:
    """Return True where tests in Chromium must not be skipped: in continuous integration."""
    return os.environ.get("CI", "").lower() in ("1", "true")
