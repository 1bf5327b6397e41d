"""The service that all fault tests share; each test leaves all of its processes running."""

import pytest

from tests.e2e.faults.cluster import Cluster
from tests.specs import QUICK

SPEC = QUICK


@pytest.fixture(scope="package")
def _cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("cluster"), lease_s="2", webhook_allow_hosts="127.0.0.1") as running:
        yield running


@pytest.fixture(scope="package")
def model(_cluster, examples):
    return _cluster.upload("model", examples / "digits.onnx")


@pytest.fixture
def cluster(_cluster):
    """The service with all processes running, even after a test that failed."""
    down = [name for name in _cluster.names if name not in _cluster.processes]
    _cluster.start(*down)
    _cluster.wait_ready()
    return _cluster
