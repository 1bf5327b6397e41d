"""Cached results: a job with the same inputs and spec succeeds at once, with the same bytes."""

import hashlib

import pytest

from tests.specs import QUICK, QUICK_WEIGHTS

SPEC = {"preset": "int8", "seed": 7, "weights": QUICK_WEIGHTS}


@pytest.fixture(scope="module")
def model(http, examples):
    return http.post("/v1/models?filename=a.onnx", content=variant(examples, b"\x01")).json()["id"]


def variant(examples, note):
    """Return the example model with another doc_string: the same model in other bytes."""
    return (examples / "digits.onnx").read_bytes() + b"\x32\x05cache" + b"\x32\x01" + note


@pytest.fixture(scope="module")
def first(run_job, model, uploaded):
    return run_job(model=model, calibration=uploaded["calibration"], spec=SPEC)


def bytes_of(http, job):
    items = http.get(job["links"]["artifacts"]).json()["items"]
    return {item["name"]: http.get(item["url"]).content for item in items}


def test_the_same_job_reuses_the_result(http, first, model, uploaded):
    body = {"model": model, "calibration": uploaded["calibration"], "spec": SPEC, "tags": {"again": "yes"}}
    response = http.post("/v1/jobs", json=body)
    again = response.json()
    assert (first["status"], first["cached"]) == ("succeeded", False)
    assert (response.status_code, again["status"], again["cached"]) == (202, "succeeded", True)
    assert again["id"] != first["id"]
    assert again["tags"] == {"again": "yes"}
    assert "retry-after" not in response.headers
    for name in ("summary", "gates", "verdict", "progress"):
        assert again[name] == first[name]
    artifacts = bytes_of(http, again)
    assert artifacts == bytes_of(http, first)
    listed = http.get(again["links"]["artifacts"]).json()["items"]
    assert [item["sha256"] for item in listed] == [
        hashlib.sha256(artifacts[item["name"]]).hexdigest() for item in listed
    ]
    assert http.get(again["links"]["report"]).json() == http.get(first["links"]["report"]).json()


def test_the_events_of_a_cached_job_end_at_once(http, first, model, uploaded):
    body = {"model": model, "calibration": uploaded["calibration"], "spec": SPEC}
    again = http.post("/v1/jobs", json=body, headers={"Prefer": "wait=60"}).json()
    events = http.get(again["links"]["events"]).text
    assert events.count("event: state") == 1
    assert '"succeeded"' in events


@pytest.mark.parametrize(
    "other",
    [
        {"spec": {**SPEC, "seed": 8}},
        {"spec": {**SPEC, "weights": {**QUICK_WEIGHTS, "clipping": "mse"}}},
        {"evaluation": "evaluation"},
        {"calibration": "evaluation"},
    ],
    ids=str,
)
def test_another_job_runs(run_job, first, model, uploaded, other):
    other = {name: uploaded.get(value, value) if isinstance(value, str) else value for name, value in other.items()}
    body = {"model": model, "calibration": uploaded["calibration"], "spec": SPEC, **other}
    assert run_job(**body)["cached"] is False
    assert run_job(**body)["cached"] is True


def test_defaults_written_out_reuse_the_result(run_job, first, model, uploaded):
    spec = {**SPEC, "weights": {**QUICK_WEIGHTS, "bits": 8}, "layers": []}
    assert run_job(model=model, calibration=uploaded["calibration"], spec=spec)["cached"] is True


def test_no_cache_runs_the_job_again(http, first, model, uploaded):
    body = {"model": model, "calibration": uploaded["calibration"], "spec": SPEC}
    headers = {"Cache-Control": "no-cache", "Prefer": "wait=60"}
    fresh = http.post("/v1/jobs", json=body, headers=headers).json()
    assert (fresh["status"], fresh["cached"], fresh["attempt"]) == ("succeeded", False, 1)
    assert bytes_of(http, fresh) == bytes_of(http, first)


@pytest.mark.parametrize(("seconds", "cached"), [(1e-3, False), (1000, True)])
def test_a_search_that_its_time_limit_ended_runs_again(run_job, model, uploaded, seconds, cached):
    body = {"model": model, "calibration": uploaded["calibration"], "spec": {**SPEC, "limits": {"seconds": seconds}}}
    first, second = run_job(**body), run_job(**body)
    assert bool(first["summary"]["warnings"]) is not cached
    assert (first["cached"], second["status"], second["cached"]) == (False, "succeeded", cached)


def test_a_result_is_deleted_with_the_last_job_that_has_it(http, run_job, examples, stack):
    model = http.post("/v1/models", content=variant(examples, b"\x02")).json()["id"]
    body = {"model": model, "spec": QUICK}
    first, second = run_job(**body), run_job(**body)
    assert http.delete(first["links"]["self"]).status_code == 204
    assert len(bytes_of(http, second)["model.onnx"]) > 1000
    assert http.delete(second["links"]["self"]).status_code == 204
    for job in (first, second):
        assert [path for path in stack.folder.glob(f"store/*/jobs/{job['id']}/**/*") if path.is_file()] == []
    assert run_job(**body)["cached"] is False


def test_a_failure_is_not_cached(run_job, http, examples):
    cut = http.post("/v1/models", content=(examples / "digits.onnx").read_bytes()[:-700]).json()["id"]
    jobs = [run_job(model=cut, spec=QUICK) for _ in range(2)]
    assert [(job["status"], job["cached"]) for job in jobs] == [("failed", False)] * 2
