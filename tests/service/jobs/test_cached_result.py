"""The same work is done once: a job that asks for it again succeeds at once, with the same bytes."""

import hashlib

import pytest

from tests.specs import QUICK, QUICK_WEIGHTS

SPEC = {"preset": "int8", "seed": 7, "weights": QUICK_WEIGHTS}


@pytest.fixture(scope="module")
def model(http, examples):
    return http.post("/v1/models?filename=a.onnx", content=variant(examples, b"\x01")).json()["id"]


def variant(examples, note):
    """Other bytes for the same model: a doc_string."""
    return (examples / "digits.onnx").read_bytes() + b"\x32\x05cache" + b"\x32\x01" + note


@pytest.fixture(scope="module")
def first(run_job, model, uploaded):
    return run_job(model=model, calibration=uploaded["calibration"], spec=SPEC)


def bytes_of(http, job):
    items = http.get(job["links"]["artifacts"]).json()["items"]
    return {item["name"]: http.get(item["url"]).content for item in items}


def test_the_same_work_is_not_done_again(http, first, model, uploaded):
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
    made = bytes_of(http, again)
    assert made == bytes_of(http, first)
    listed = http.get(again["links"]["artifacts"]).json()["items"]
    assert [item["sha256"] for item in listed] == [hashlib.sha256(made[item["name"]]).hexdigest() for item in listed]
    assert http.get(again["links"]["report"]).json() == http.get(first["links"]["report"]).json()


def test_its_events_end_at_once(http, first, model, uploaded):
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
def test_other_work_is_done(run_job, first, model, uploaded, other):
    other = {name: uploaded.get(value, value) if isinstance(value, str) else value for name, value in other.items()}
    body = {"model": model, "calibration": uploaded["calibration"], "spec": SPEC, **other}
    assert run_job(**body)["cached"] is False
    assert run_job(**body)["cached"] is True


def test_a_spec_written_out_is_the_same_work(run_job, first, model, uploaded):
    spec = {**SPEC, "weights": {**QUICK_WEIGHTS, "bits": 8}, "layers": []}
    assert run_job(model=model, calibration=uploaded["calibration"], spec=spec)["cached"] is True


def test_no_cache_does_the_work_again(http, first, model, uploaded):
    body = {"model": model, "calibration": uploaded["calibration"], "spec": SPEC}
    headers = {"Cache-Control": "no-cache", "Prefer": "wait=60"}
    fresh = http.post("/v1/jobs", json=body, headers=headers).json()
    assert (fresh["status"], fresh["cached"], fresh["attempt"]) == ("succeeded", False, 1)
    assert bytes_of(http, fresh) == bytes_of(http, first)


def test_a_result_outlives_the_job_that_made_it_and_goes_with_the_last(http, run_job, examples, stack):
    model = http.post("/v1/models", content=variant(examples, b"\x02")).json()["id"]
    body = {"model": model, "spec": QUICK}
    first, second = run_job(**body), run_job(**body)
    assert http.delete(first["links"]["self"]).status_code == 204
    assert len(bytes_of(http, second)["model.onnx"]) > 1000
    assert http.delete(second["links"]["self"]).status_code == 204
    for job in (first, second):
        assert [path for path in stack.folder.glob(f"store/*/jobs/{job['id']}/**/*") if path.is_file()] == []
    assert run_job(**body)["cached"] is False


def test_a_failed_job_is_tried_again(run_job, http, examples):
    cut = http.post("/v1/models", content=(examples / "digits.onnx").read_bytes()[:-700]).json()["id"]
    jobs = [run_job(model=cut, spec=QUICK) for _ in range(2)]
    assert [(job["status"], job["cached"]) for job in jobs] == [("failed", False)] * 2
