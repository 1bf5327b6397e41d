"""What the tests of a job's process share."""

import pytest

from worker.nursery import Nursery
from worker.workspaces import WRITABLE


@pytest.fixture
def folder(tmp_path):
    """A job's folder."""
    job = tmp_path / "job"
    for name in ("", *WRITABLE):
        (job / name).mkdir()
    return job


@pytest.fixture
def nursery():
    """What starts a process for code that stands in for the quantizer, in the environment of that."""
    running = Nursery({}, preload=False)
    yield running
    running.close()
