"""The comparison of two jobs over HTTP."""

import json

import pytest

from quant.outcome.comparison import Comparison
from tests.specs import QUICK


@pytest.fixture(scope="module")
def jobs(run_job, uploaded):
    """Two jobs of the example model with other bits."""
    specs = [QUICK, {**QUICK, "preset": "int4-weights"}]
    return [run_job(model=uploaded["model"], spec=spec) for spec in specs]


def test_two_jobs_are_compared(http, jobs):
    a, b = jobs
    response = http.get(f"/v1/jobs/{a['id']}/compare/{b['id']}")
    assert response.status_code == 200
    comparison = Comparison.model_validate(response.json())
    metrics = {metric.name: metric for metric in comparison.metrics}
    assert (metrics["bytes_after"].a, metrics["bytes_after"].b) == tuple(job["summary"]["bytes_after"] for job in jobs)
    assert comparison.same_model
    assert "/weights/bits" in {difference.pointer for difference in comparison.spec}


def test_an_unknown_job_is_404(http, jobs):
    for pair in ((jobs[0]["id"], "job_0"), ("job_0", jobs[0]["id"])):
        response = http.get("/v1/jobs/{}/compare/{}".format(*pair))
        assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_a_job_without_a_report_is_409(http, jobs, run_job, uploaded):
    failed = run_job(model=uploaded["model"], spec={**QUICK, "budget": {"max_size_ratio": 0.001}})
    assert failed["status"] == "failed"
    response = http.get(f"/v1/jobs/{jobs[0]['id']}/compare/{failed['id']}")
    assert (response.status_code, response.json()["code"]) == (409, "conflict")
    assert "only a succeeded job has them" in response.json()["detail"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"schema_version": "0.9"}, "/schema_version: Input should be '1.0'"),
        ({"more": 1}, "/more: Extra inputs are not permitted"),
        ({"layers": [{}]}, "/layers/0/name: Field required"),
    ],
)
def test_a_report_of_another_version_is_409(http, stack, jobs, run_job, uploaded, changes, fault):
    spec = {**QUICK, "seed": len(str(changes))}  # a result of its own, so that its stored report can be replaced
    job = run_job(model=uploaded["model"], spec=spec)
    replace_report(stack, http, job, changes)
    response = http.get(f"/v1/jobs/{jobs[0]['id']}/compare/{job['id']}")
    assert (response.status_code, response.json()["code"]) == (409, "conflict")
    assert fault in response.json()["detail"]
    assert "run the job again" in response.json()["detail"]


def replace_report(stack, http, job, changes):
    """Change the stored report of a job, as an older version or a hostile process would have written it."""
    report = http.get(f"/v1/jobs/{job['id']}/artifacts/report.json").content
    (path,) = [
        path
        for path in stack.folder.glob("store/**/*")
        if path.is_file() and path.stat().st_size == len(report) and path.read_bytes() == report
    ]
    path.write_text(json.dumps(json.loads(report) | changes))
