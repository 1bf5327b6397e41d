"""The services that fault tests share; each test leaves all of their processes running."""

import pytest

from tests.e2e.faults.cluster import Cluster
from tests.specs import QUICK, UNTIMED

SPEC = {**QUICK, **UNTIMED}


@pytest.fixture(scope="package")
def _cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("cluster"), lease_s="2", webhook_allow_hosts="127.0.0.1") as running:
        yield running


@pytest.fixture(scope="package")
def model(_cluster, examples):
    return _cluster.upload("model", examples / "digits.onnx")


@pytest.fixture(scope="package")
def _patient(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("patient")) as running:
        yield running


@pytest.fixture(scope="package")
def _stored(swift, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in swift.environment.items():
            patch.setenv(name, value)
        cluster = Cluster(folder, store_url=f"{swift.url}/{folder.name}")
    with cluster as running:
        yield running


@pytest.fixture
def cluster(_cluster):
    """The service with all processes running, even after a test that failed."""
    return complete(_cluster)


@pytest.fixture
def patient(_patient):
    """Another service, with the usual lease: no job is run again because its worker was slow."""
    return complete(_patient)


@pytest.fixture
def stored(_stored):
    """A service on an S3 server."""
    return complete(_stored)


def complete(cluster: Cluster) -> Cluster:
    """Start the processes that are not running, and wait until the service is ready."""
    down = [name for name in cluster.names if name not in cluster.processes]
    cluster.start(*down)
    cluster.wait_ready()
    return cluster
