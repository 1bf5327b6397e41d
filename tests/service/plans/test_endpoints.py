"""Plans over HTTP: made by a worker in its sandbox, cached, and out of the list of jobs."""

import httpx
import pytest

from jobs.keys import Scope
from quant.outcome.plan import Plan
from quant.spec import PRESETS
from tests.specs import QUICK

WAIT = {"Prefer": "wait=60"}


@pytest.fixture(scope="module")
def plan_of(http):
    """Ask for a plan and return it when it is ready."""

    def ask(**body):
        response = http.post("/v1/plans", json=body, headers=WAIT)
        while response.json()["status"] in ("queued", "running"):
            response = http.get(response.json()["links"]["self"], headers=WAIT)
        return response.json()

    return ask


def test_a_plan_is_made_without_data(http, uploaded, plan_of):
    plan = plan_of(model=uploaded["model"], spec={"preset": "int4"})
    assert (plan["status"], plan["error"], plan["cached"]) == ("succeeded", None, False), plan["error"]
    result = Plan.model_validate(plan["result"])
    assert (len(result.layers), [preset.preset for preset in result.presets]) == (7, list(PRESETS))
    assert result.needs_calibration
    assert all("integer" in layer.kernel for layer in result.layers)
    assert http.get(plan["links"]["self"]).json() == plan


def test_the_same_plan_is_answered_at_once(http, uploaded, plan_of):
    body = {"model": uploaded["model"], "spec": {"preset": "int4", "seed": 5}}
    first = plan_of(**body)
    again = http.post("/v1/plans", json=body)
    assert again.status_code == 200
    assert again.headers["location"] == again.json()["links"]["self"]
    assert (again.json()["cached"], again.json()["result"]) == (True, first["result"])
    assert again.json()["id"] != first["id"]


def test_a_plan_that_is_not_ready_is_accepted(http, uploaded, plan_of):
    body = {"model": uploaded["model"], "spec": {"preset": "int8", "seed": 6}}
    response = http.post("/v1/plans", json=body)
    assert response.status_code == 202
    assert response.headers["retry-after"] == "1"
    assert response.json()["result"] is None
    assert plan_of(**body)["status"] == "succeeded"


def test_the_same_idempotency_key_returns_the_same_plan(http, uploaded):
    body = {"model": uploaded["model"], "spec": {"preset": "int8", "seed": 7}}
    key = {"Idempotency-Key": "plan-1"}
    first, again = (http.post("/v1/plans", json=body, headers=key).json()["id"] for _ in range(2))
    assert first == again
    other = http.post("/v1/plans", json={**body, "spec": {}}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "request.idempotency_mismatch")
    job = http.post("/v1/jobs", json={"model": uploaded["model"], "spec": QUICK}, headers=key)
    assert (job.status_code, job.json()["code"]) == (422, "request.idempotency_mismatch")


def test_a_plan_is_no_job(http, uploaded, plan_of):
    plan = plan_of(model=uploaded["model"], spec={"preset": "int4"})
    assert http.get(f"/v1/jobs/{plan['id']}").status_code == 404
    assert http.delete(f"/v1/jobs/{plan['id']}").status_code == 404
    for query in ("", "?status=succeeded", f"?model={uploaded['model']}"):
        assert plan["id"] not in [job["id"] for job in http.get(f"/v1/jobs{query}").json()["items"]]


def test_a_job_is_no_plan(http, uploaded, run_job):
    job = run_job(model=uploaded["model"], spec=QUICK)
    refused = http.get(f"/v1/plans/{job['id']}")
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")


def test_a_model_that_cannot_be_planned_gives_a_named_problem(http, examples, plan_of):
    cut = http.post("/v1/models", content=(examples / "digits.onnx").read_bytes()[:-700]).json()["id"]
    plan = plan_of(model=cut)
    assert (plan["status"], plan["result"]) == ("failed", None)
    assert (plan["error"]["code"], plan["error"]["status"]) == ("model.unreadable", 422)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"spec": {"preset": "int9"}}, 422, "spec.invalid"),
        ({"calibration": "dataset_1"}, 400, "request.invalid"),
        ({"model": "model_0"}, 404, "not_found"),
    ],
    ids=str,
)
def test_a_wrong_request_is_refused(http, uploaded, body, status, code):
    refused = http.post("/v1/plans", json={"model": uploaded["model"], **body})
    assert (refused.status_code, refused.json()["code"]) == (status, code)


def test_a_plan_passes_a_job_that_occupies_the_only_worker(http, uploaded, plan_of, examples):
    slow = {"preset": "int4", "weights": {"grid": "kmeans"}, "measure": {"latency": True}, "seed": 8}
    data = {role: uploaded[role] for role in ("calibration", "evaluation")}
    jobs = [
        http.post("/v1/jobs", json={"model": uploaded["model"], "spec": {**slow, "seed": seed}, **data}).json()
        for seed in range(8, 12)
    ]
    plan = plan_of(model=uploaded["model"], spec={"preset": "ternary"})
    assert plan["status"] == "succeeded"
    assert http.get(jobs[-1]["links"]["self"]).json()["status"] == "queued"
    for job in jobs:
        http.post(job["links"]["cancel"])


def test_a_plan_belongs_to_its_tenant_and_needs_a_key_that_may_write(keyed, keyring, examples):
    def client(tenant, *scopes):
        _, key = keyring.create(tenant, "plans", scopes or tuple(Scope))
        return httpx.Client(base_url=keyed.url, headers={"Authorization": f"Bearer {key}"}, timeout=90)

    with client("planner") as owner, client("other") as other, httpx.Client(base_url=keyed.url) as no:
        model = owner.post("/v1/models", content=(examples / "digits.onnx").read_bytes()).json()["id"]
        plan = owner.post("/v1/plans", json={"model": model, "spec": QUICK}).json()
        assert owner.get(plan["links"]["self"], headers=WAIT).json()["status"] == "succeeded"
        assert other.get(plan["links"]["self"]).status_code == 404
        assert other.post("/v1/plans", json={"model": model}).status_code == 404
        assert no.get(plan["links"]["self"]).status_code == 401
        with client("planner", Scope.READ) as reader:
            assert reader.get(plan["links"]["self"]).status_code == 200
            assert reader.post("/v1/plans", json={"model": model}).status_code == 403
