"""The baseline of a job over HTTP: found by id or tag, compared in the job and its report, and refused if missing."""

import pytest

from tests.specs import QUICK, UNTIMED

SPEC = {**QUICK, **UNTIMED}
GATES = {"max_bytes_after_regression": 0, "max_weight_sqnr_db_regression": 1}


@pytest.fixture(scope="module")
def baseline(http, examples, run_job):
    """A job for a model with a name, and the fields of jobs like it."""
    model = http.post("/v1/models?filename=base.onnx", content=(examples / "digits.onnx").read_bytes()).json()["id"]
    job = run_job(model=model, spec=SPEC, tags={"branch": "baseline"})
    assert job["status"] == "succeeded", job
    return job


def test_a_job_is_compared_with_the_newest_one_of_its_tag(http, baseline, run_job):
    worse = {**SPEC, "weights": {**SPEC["weights"], "bits": 4}, "gates": GATES}
    job = run_job(model=baseline["model"], spec=worse, baseline="branch:baseline")
    assert (job["status"], job["verdict"], job["baseline"]) == ("succeeded", "fail", baseline["id"])
    by_name = {gate["name"]: gate for gate in job["gates"]}
    assert [by_name[name]["passed"] for name in GATES] == [True, False]
    comparison = job["comparison"]
    (sqnr,) = [metric for metric in comparison["metrics"] if metric["name"] == "weight_sqnr_db"]
    assert (sqnr["a"], sqnr["change"]) == (baseline["summary"]["weight_sqnr_db"], "worse")
    assert sqnr["difference"] == pytest.approx(-by_name["max_weight_sqnr_db_regression"]["value"])
    assert (comparison["same_model"], comparison["same_evaluation"]) == (True, True)
    report = http.get(f"{job['links']['self']}/report").json()
    assert report["baseline"] == comparison

    again = run_job(model=baseline["model"], spec=worse, baseline=baseline["id"])
    assert (again["cached"], again["comparison"]) == (True, comparison)


def test_a_missing_baseline_is_refused_at_its_place(http, baseline):
    def refusal(**fields):
        response = http.post("/v1/jobs", json={"model": baseline["model"], "spec": SPEC, **fields})
        problem = response.json()
        return response.status_code, problem["code"], [error["pointer"] for error in problem["errors"]]

    for name in ("job_0", "branch:none"):
        assert refusal(baseline=name) == (404, "not_found", ["/baseline"])
    gated = {**SPEC, "gates": {"max_bytes_after_regression": 0}}
    assert refusal(spec=gated) == (422, "spec.data_required", ["/gates/max_bytes_after_regression"])
