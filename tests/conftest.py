"""Fixtures that tests share: example files, real models and data, and one running service."""

import os
from pathlib import Path

import httpx
import numpy as np
import pytest

from jobs.stack import Stack
from tests.remote import serving, source_settings
from tests.swift import Swift

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


@pytest.fixture(autouse=True)
def same_random_numbers(request):
    """Reset a module's `RNG` before each test, so that its numbers do not depend on other tests."""
    if (generator := getattr(request.module, "RNG", None)) is not None:
        generator.bit_generator.state = np.random.default_rng(0).bit_generator.state


@pytest.fixture(scope="session")
def examples() -> Path:
    return EXAMPLES


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real models and data."""
    folder = Path(os.environ.get("QUANTD_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real models and data at {folder}; set QUANTD_DATA")
    return folder


@pytest.fixture(scope="session")
def swift(tmp_path_factory):
    """A real S3 server."""
    with Swift(tmp_path_factory.mktemp("swift")) as running:
        yield running


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """The embedded service: a gateway, a worker and a real Valkey."""
    with Stack(tmp_path_factory.mktemp("state")) as running:
        yield running


@pytest.fixture(scope="session")
def remote():
    """A host outside the service, which serves files and takes files."""
    with serving() as running:
        yield running


@pytest.fixture(scope="session")
def s3_stack(swift, remote, tmp_path_factory):
    """A service on the S3 server; its callers can reach the server, too. It fetches and copies from there and here."""
    settings = {
        **swift.environment,
        **source_settings(swift, remote, tmp_path_factory.mktemp("credentials")),
        "QUANTD_STORE_URL": f"s3://bucket/{os.getpid()}",
        "QUANTD_DOWNLOAD_ENDPOINT": swift.endpoint,
    }
    with Stack(tmp_path_factory.mktemp("s3"), settings=settings) as running:
        yield running


@pytest.fixture(scope="session")
def http(stack):
    with httpx.Client(base_url=stack.url, timeout=90) as client:
        yield client


@pytest.fixture(scope="session")
def uploaded(http, examples):
    """The ids of the example model, its calibration and its evaluation data."""
    return {
        "model": http.post("/v1/models", content=(examples / "digits.onnx").read_bytes()).json()["id"],
        **{
            role: http.post("/v1/datasets", content=(examples / f"digits_{role}.npz").read_bytes()).json()["id"]
            for role in ("calibration", "evaluation")
        },
    }


@pytest.fixture(scope="session")
def run_job(http):
    """Submit a job and return it after its end."""

    def run(**body):
        response = http.post("/v1/jobs", json=body)
        assert response.status_code == 202, response.text
        job = response.json()
        while job["status"] in ("queued", "running"):
            job = http.get(job["links"]["self"], headers={"Prefer": "wait=60"}).json()
        return job

    return run
