"""Usage and the audit log over HTTP: a tenant sees its own usage, and the operator who changed what."""

import json

import httpx
import pytest

from jobs.stack import ADDRESS
from tests.command import quantd


@pytest.fixture(scope="module")
def client(keyed, alice):
    headers = {"Authorization": f"Bearer {alice.key}"}
    with httpx.Client(base_url=keyed.url, headers=headers, timeout=70) as http:
        yield http


def test_a_tenant_sees_its_usage(client, shared_job):
    usage = client.get("/v1/usage").json()
    assert (usage["tenant"], len(usage["items"])) == ("alice", 1)
    assert usage["total"]["jobs_succeeded"] >= 1
    assert usage["total"]["artifact_bytes"] > 10_000
    month = client.get("/v1/usage?by=month").json()
    assert (month["items"][0]["period"], month["total"]) == (usage["items"][0]["period"][:7], usage["total"])
    assert client.get("/v1/usage?from=2020-01-01&to=2020-02-01").json()["items"] == []
    for query in (
        "from=2020-01-02&to=2020-01-01",
        "from=2020-01-01",
        "to=2020-13-01",
        "by=year",
        "to=0",
        "to=0001-01-01",
    ):
        assert client.get(f"/v1/usage?{query}").status_code == 400, query


def test_the_audit_log_says_who_changed_what(client, keyed, alice, shared_job):
    body = {"model": shared_job["model"], "spec": shared_job["spec"]}
    job = client.post("/v1/jobs", json=body, headers={"Prefer": "wait=60"}).json()
    client.delete(f"/v1/jobs/{job['id']}")
    client.get(f"/v1/jobs/{shared_job['id']}")
    httpx.delete(f"{keyed.url}/v1/jobs/{job['id']}", headers={"X-Request-ID": "mine"})
    text = (keyed.folder / "audit.log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    created, deleted, refused = lines[-3:]
    assert (created["action"], created["ids"], created["outcome"]) == ("createJob", [job["id"]], "done")
    assert (deleted["action"], deleted["tenant"], deleted["key"]) == ("deleteJob", "alice", alice.key_id)
    assert (deleted["status"], deleted["address"]) == (204, "127.0.0.1")
    assert (refused["tenant"], refused["outcome"], refused["request"]) == (None, "refused", "mine")
    assert alice.key.split("_")[2] not in text


def test_commands_of_operators_are_audited_and_show_usage(keyed, tmp_path):
    environment = {
        "QUANTD_REDIS_URL": (keyed.folder / ADDRESS).read_text(), "QUANTD_STORE_URL": (keyed.folder / "store").as_uri(),
        "QUANTD_AUDIT_LOG": str(tmp_path / "audit.log"),
    }  # fmt: skip
    created = quantd("keys", "create", "--tenant", "carol", "--json", **environment)
    line = json.loads((tmp_path / "audit.log").read_text())
    assert (line["action"], line["tenant"], line["ids"]) == ("createKey", "carol", [json.loads(created.stdout)["id"]])
    assert line["user"]
    assert "alice" in json.loads(quantd("usage", "--json", **environment).stdout)
