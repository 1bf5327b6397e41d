"""Fixtures: Chromium, a service that requires keys, and people at browsers."""

import json
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import httpx
import pytest

from jobs.stack import Stack
from tests.browser.chromium import ChromiumMissing, launched, required
from tests.browser.visitor import visiting
from tests.command import quantd


@dataclass(frozen=True)
class Served:
    """A running service that requires keys, and a key of the tenant `vision`."""

    stack: Stack
    url: str
    key: str


@pytest.fixture(scope="package")
def chromium():
    """Chromium for the tests of this folder only: while it runs, no test may start an event loop of its own."""
    with ExitStack() as running:
        try:
            browser = running.enter_context(launched())
        except ChromiumMissing as error:
            if required():
                raise
            pytest.skip(str(error))
        yield browser


@pytest.fixture(scope="package")
def served(tmp_path_factory):
    with Stack(tmp_path_factory.mktemp("browser"), settings={"QUANTD_AUTH": "required"}) as stack:
        yield Served(stack, stack.url, created_key(stack, "vision"))


def created_key(stack: Stack, tenant: str) -> str:
    """Create a key of a tenant that may read and write, and return its text."""
    result = quantd("keys", "create", "--json", "--state-dir", stack.folder, "--tenant", tenant)
    return json.loads(result.stdout)["key"]


@pytest.fixture(scope="package")
def make_key(served):
    """Return a function that creates a key of a tenant and returns its text."""
    return partial(created_key, served.stack)


@pytest.fixture(scope="package")
def api(served):
    """The API of the service, as the tenant's scripts call it."""
    with httpx.Client(base_url=served.url, headers={"Authorization": f"Bearer {served.key}"}, timeout=120) as client:
        yield client


@pytest.fixture
def visit(chromium, served):
    """Return a function that opens a browser for one person, with the settings of Playwright's `new_context`."""
    with ExitStack() as visitors:

        def open_browser(**settings):
            return visitors.enter_context(visiting(chromium, served.url, **settings))

        yield open_browser
