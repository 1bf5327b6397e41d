"""A person at a browser: own cookies, own settings, and a record of everything that a page must not do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, WebError, expect

TIMEOUT_MS = 30_000
"""The longest wait for an element or a page; the tests share two cores with the service and its jobs."""
expect.set_options(timeout=TIMEOUT_MS)
LOCAL_SCHEMES = frozenset({"file", "data", "blob", "about"})


class Visitor:
    """A browser context that records foreign requests, errors on the console and uncaught exceptions.

    Chromium reports violations of a Content-Security-Policy and failed requests as errors on the console.
    """

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.context = context
        self.problems: list[str] = []
        self._origin = urlsplit(origin)
        context.set_default_timeout(TIMEOUT_MS)
        context.on("request", self._check_request)
        context.on("console", self._check_console)
        context.on("weberror", self._record_exception)
        self.page: Page = context.new_page()

    def expect_problem(self, pattern: str) -> None:
        """Forget the problems that match a regular expression.

        Raises:
            AssertionError: there are none.
        """
        matching = [problem for problem in self.problems if re.search(pattern, problem)]
        assert matching, f"no problem matches {pattern!r} in {self.problems}"
        self.problems = [problem for problem in self.problems if problem not in matching]

    def _check_request(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme not in LOCAL_SCHEMES and (url.scheme, url.netloc) != (self._origin.scheme, self._origin.netloc):
            self.problems.append(f"foreign request: {request.method} {request.url}")

    def _check_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"console {message.type}: {message.text} ({message.location['url']})")

    def _record_exception(self, error: WebError) -> None:
        self.problems.append(f"uncaught exception: {error.error}")


@contextmanager
def visiting(browser: Browser, origin: str, **settings: object) -> Iterator[Visitor]:
    """Open a browser for one person and check at the end that no page did anything wrong.

    `settings` are those of Playwright's `new_context`, such as `color_scheme` and `viewport`.

    Raises:
        AssertionError: there are problems that the test did not expect.
    """
    context = browser.new_context(base_url=origin, locale="en-GB", **settings)
    try:
        visitor = Visitor(context, origin)
        yield visitor
        assert not visitor.problems, "\n".join(["problems on the pages:", *visitor.problems])
    finally:
        context.close()
