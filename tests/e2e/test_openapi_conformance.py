"""Every request that the published document allows gets a documented answer, and never a 5xx."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from jobs.stack import Stack
from tests.specs import QUICK

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance"
)


@pytest.fixture(scope="module")
def service(tmp_path_factory, examples):
    """A service with an ended job and a plan, and the ids of both and of their inputs."""
    with Stack(tmp_path_factory.mktemp("contract")) as stack, httpx.Client(base_url=stack.url, timeout=70) as http:
        model = http.post("/v1/models", content=(examples / "digits.onnx").read_bytes()).json()
        dataset = http.post("/v1/datasets", content=(examples / "digits_calibration.npz").read_bytes()).json()
        body = {"model": model["id"], "calibration": dataset["id"], "spec": QUICK}
        job = http.post("/v1/jobs", json=body, headers={"Prefer": "wait=60"}).json()
        assert job["status"] == "succeeded"
        wait = {"Prefer": "wait=60"}
        plan = http.post("/v1/plans", json={"model": model["id"], "spec": QUICK}, headers=wait).json()
        assert plan["status"] == "succeeded"
        batch = http.post("/v1/batches", json={"jobs": [body]}).json()
        ids = {
            "batch_id": batch["id"],
            "model_id": model["id"],
            "dataset_id": dataset["id"],
            "job_id": job["id"],
            "plan_id": plan["id"],
        }
        yield stack, {**ids, "name": "report.json"}


@pytest.mark.parametrize("known", [False, True], ids=["any ids", "known ids"])
def test_the_answers_conform_to_the_document(service, tmp_path, known):
    stack, ids = service
    config = tmp_path / "schemathesis.toml"
    parameters = "".join(f'"path.{name}" = "{value}"\n' for name, value in ids.items())
    config.write_text(f"[parameters]\n{parameters}" if known else "")
    result = subprocess.run(
        [
            Path(sys.executable).parent / "schemathesis", "--config-file", config,
            "run", f"{stack.url}/openapi.json", "--exclude-path-regex", "/events$", "--max-examples", "5",
            "--checks", CHECKS, "--phases", "coverage,fuzzing", "--seed", "1", "--no-color", "--request-timeout", "30",
            # Its specs and jobs are those of createJob, and would take as long again.
            "--exclude-operation-id", "createBatch",
            # Operations without an id are the same in both runs.
            *(["--exclude-method", "DELETE", "--include-path-regex", r"\{"] if known else []),
        ],
        capture_output=True, text=True, cwd=tmp_path, timeout=300,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.e2e.schemathesis_hooks",
             "PYTHONPATH": str(Path(__file__).parent.parent.parent)},
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
    assert " passed" in result.stdout
