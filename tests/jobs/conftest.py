"""A real Valkey for the tests of what is kept in it."""

import pytest

from jobs.valkey import Valkey


@pytest.fixture(scope="session")
def valkey(tmp_path_factory):
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    yield server
    server.stop()
