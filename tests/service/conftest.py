"""A service that requires keys, and people at browsers without scripts."""

import itertools
import json
import re
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest

from jobs.blobs import Blobs
from jobs.keys import Allowance, Keys, Scope
from jobs.stack import ADDRESS, Stack
from tests.specs import QUICK

ADDRESSES = itertools.count(1)


@dataclass(frozen=True)
class Person:
    """A browser that is signed in, and the key with which it is."""

    client: httpx.Client
    key_id: str
    key: str

    @property
    def csrf_token(self):
        """The token that the pages carry."""
        return csrf_token_of(self.client.get("/docs"))


def csrf_token_of(page):
    return re.search(r'<meta name="csrf-token" content="(.*?)">', page.text).group(1)


@pytest.fixture(scope="session")
def keyed(tmp_path_factory):
    """A service that requires keys, and writes `audit.log` in its folder."""
    folder = tmp_path_factory.mktemp("keyed")
    settings = {"QUANTD_AUTH": "required", "QUANTD_AUDIT_LOG": str(folder / "audit.log")}
    with Stack(folder, settings=settings) as stack:
        yield stack


@pytest.fixture(scope="session")
def keyring(keyed):
    """The keys of that service."""
    return Keys((keyed.folder / ADDRESS).read_text(), Blobs((keyed.folder / "store").as_uri()))


@pytest.fixture(scope="session")
def new_browser(keyed):
    """Return a function that opens a browser at an address of its own, which has not failed to sign in."""
    with ExitStack() as browsers:

        def new(accept="text/html,application/xhtml+xml", address=None, **headers):
            address = address or f"192.0.2.{next(ADDRESSES)}"
            headers = {"Accept": accept, "X-Forwarded-For": address, **headers}
            return browsers.enter_context(httpx.Client(base_url=keyed.url, headers=headers, timeout=90))

        yield new


@pytest.fixture(scope="session")
def new_person(keyring, new_browser):
    """Return a function that creates a key and signs a browser in with it."""

    def new(tenant="alice", scopes=tuple(Scope), **allowance):
        key, text = keyring.create(tenant, "trial", scopes, Allowance(**allowance))
        client = new_browser()
        assert client.post("/sign-in", data={"key": text}).status_code == 303
        return Person(client, key.id, text)

    return new


@pytest.fixture(scope="session")
def alice(new_person):
    return new_person("alice")


@pytest.fixture(scope="session")
def shared_job(alice, keyed, examples):
    """A job of alice that succeeded."""
    with (examples / "digits.onnx").open("rb") as model:
        job = httpx.post(
            f"{keyed.url}/v1/quantize",
            files={"model": ("digits.onnx", model)},
            data={"spec": json.dumps(QUICK)},
            headers={"Authorization": f"Bearer {alice.key}", "Prefer": "wait=60"},
            timeout=90,
        ).json()
    assert job["status"] == "succeeded", job
    return job
