"""What the tests of a job's process share."""

import pytest

from worker.workspaces import WRITABLE


@pytest.fixture
def folder(tmp_path):
    """A job's folder."""
    job = tmp_path / "job"
    for name in ("", *WRITABLE):
        (job / name).mkdir()
    return job
