"""A client that openapi-python-client generates from the published document runs a job on the real service.

`make clients` does the same with other generators and other languages.
"""

import hashlib
import importlib
import subprocess
import sys
from io import BytesIO
from types import ModuleType

import onnx
import pytest

from service.openapi import PATH
from tests.specs import QUICK

CONFIG = """
post_hooks: []
content_type_overrides:
  application/offset+octet-stream: application/octet-stream
"""


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """The folder of a package `quantd_api`, which was generated without a warning."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "config.yaml").write_text(CONFIG)
    result = subprocess.run(
        [sys.executable, "-m", "openapi_python_client", "generate", "--path", PATH, "--config", folder / "config.yaml",
         "--output-path", folder / "quantd_api", "--meta", "none", "--fail-on-warning"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.fixture
def call(generated, monkeypatch, stack):
    """Return a function that calls an operation of the generated client, by tag and name."""
    monkeypatch.syspath_prepend(str(generated))
    client = importlib.import_module("quantd_api").Client(base_url=stack.url, raise_on_unexpected_status=True)

    def call(path, *arguments, **parameters):
        operation: ModuleType = importlib.import_module(f"quantd_api.api.{path}")
        return operation.sync_detailed(*arguments, client=client, **parameters)

    with client:
        yield call


def test_a_generated_client_uploads_submits_waits_and_downloads(call, examples):
    types, models = (importlib.import_module(f"quantd_api.{name}") for name in ("types", "models"))
    proto = onnx.load_model(examples / "digits.onnx")
    proto.doc_string = "uploaded by a generated client"  # equal bytes would get the name of an earlier upload
    data = proto.SerializeToString()
    file = types.File(payload=BytesIO(data))
    model = call("models_and_datasets.create_model", body=file, x_filename="digits.onnx").parsed
    assert (model.filename, model.size) == ("digits.onnx", len(data))

    body = models.JobIn(
        model=model.id, spec=models.Spec.from_dict(QUICK), tags=models.JobInTags.from_dict({"by": "test"})
    )
    job = call("jobs.create_job", body=body).parsed
    while job.status in (models.Status.QUEUED, models.Status.RUNNING):
        job = call("jobs.get_job", job.id, prefer="wait=60").parsed
    assert job.status == models.Status.SUCCEEDED
    assert job.finished_at > job.created_at

    listed = call("artifacts_and_reports.list_artifacts", job.id).parsed
    entry = next(item for item in listed.items if item.name == "model.onnx")
    downloaded = call("artifacts_and_reports.download_artifact", job.id, "model.onnx").parsed.payload.read()
    assert hashlib.sha256(downloaded).hexdigest() == entry.sha256
    report = call("artifacts_and_reports.get_report", job.id).parsed
    assert report.summary.bytes_after == job.summary.bytes_after
    assert call("jobs.list_jobs", tag=["by:test"], limit=1).parsed.items[0].id == job.id


def test_a_generated_client_reads_problems(call):
    refused = call("jobs.get_job", "job_none")
    assert (refused.status_code, refused.parsed.code.value) == (404, "not_found")
    bad = importlib.import_module("quantd_api.models").JobIn(model="m", priority=11)
    assert call("jobs.create_job", body=bad).parsed.errors[0].pointer == "/priority"
