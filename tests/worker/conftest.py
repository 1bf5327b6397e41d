"""Fixtures for the tests of a job's process."""

import tempfile

import pytest

from tests.worker import scripted
from worker.children import Children
from worker.workspaces import WRITABLE


@pytest.fixture
def folder(tmp_path):
    """The folder of a job."""
    job = tmp_path / "job"
    for name in ("", *WRITABLE):
        (job / name).mkdir()
    return job


@pytest.fixture
def own_place(tmp_path, monkeypatch):
    """A folder for workspaces that no other test uses."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def server(monkeypatch):
    """A fork server whose forks run the code that they get."""
    started = scripted.server(monkeypatch)
    yield started
    started.close()


@pytest.fixture
def children(own_place, server):
    """Children of that server."""
    started = Children(server, scripted.FORK_LIMITS)
    yield started
    started.close()


@pytest.fixture(scope="package")
def shared_children():
    """Children of a server that many tests share."""
    with pytest.MonkeyPatch.context() as patch:
        server = scripted.server(patch)
    started = Children(server, scripted.FORK_LIMITS)
    yield started
    started.close()
    server.close()
