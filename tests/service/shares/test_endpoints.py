"""Share links over the API."""

from datetime import datetime, timedelta

import httpx
import pytest

from tests.specs import QUICK


@pytest.fixture(scope="module")
def api(keyed, alice):
    with httpx.Client(base_url=keyed.url, headers={"Authorization": f"Bearer {alice.key}"}, timeout=90) as client:
        yield client


@pytest.fixture
def path(shared_job):
    return f"/v1/jobs/{shared_job['id']}/shares"


@pytest.mark.parametrize("days", [1, 7, 30])
def test_a_link_is_created_shown_listed_and_revoked(api, path, shared_job, days):
    created = api.post(path, json={"days": days})
    share = created.json()
    assert (created.status_code, share["job"]) == (201, shared_job["id"])
    begin, end = (datetime.fromisoformat(share[name]) for name in ("created_at", "expires_at"))
    assert end - begin == timedelta(days=days)
    assert api.get(created.headers["location"]).json() == share
    assert share in api.get(path).json()["items"]
    assert httpx.get(api.base_url.join(share["url"])).status_code == 200
    assert api.delete(created.headers["location"]).status_code == 204
    assert share not in api.get(path).json()["items"]
    assert api.get(created.headers["location"]).status_code == 404
    assert api.delete(created.headers["location"]).status_code == 404
    assert httpx.get(api.base_url.join(share["url"])).status_code == 404


@pytest.mark.parametrize("body", [{"days": 2}, {"days": 0}, {"days": "7 days"}, {"days": None}, {"for": 7}, []])
def test_another_time_is_refused(api, path, body):
    refused = api.post(path, json=body)
    assert (refused.status_code, refused.json()["code"]) == (400, "request.invalid")


def test_the_same_idempotency_key_returns_the_same_link(api, path):
    answers = [api.post(path, json={}, headers={"Idempotency-Key": "once"}).json() for _ in range(2)]
    assert answers[0] == answers[1]
    other = api.post(path, json={"days": 1}, headers={"Idempotency-Key": "once"})
    assert other.json()["code"] == "request.idempotency_mismatch"


def test_another_tenant_neither_shares_nor_sees_nor_revokes(api, path, keyed, new_person):
    share = api.post(path, json={}).json()
    headers = {"Authorization": f"Bearer {new_person('bob').key}"}
    for method, url in (("POST", path), ("GET", path), ("DELETE", f"{path}/{share['id']}")):
        body = {"json": {}} if method == "POST" else {}
        assert httpx.request(method, keyed.url + url, headers=headers, **body).status_code == 404
    assert httpx.get(keyed.url + share["url"]).status_code == 200


def test_a_job_without_a_report_is_not_shared(api, examples):
    damaged = (examples / "digits.onnx").read_bytes()[:2000]
    model = api.post("/v1/models", content=damaged).json()["id"]
    job = api.post("/v1/jobs", json={"model": model, "spec": QUICK}, headers={"Prefer": "wait=60"}).json()
    assert job["status"] == "failed"
    refused = api.post(f"/v1/jobs/{job['id']}/shares", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
