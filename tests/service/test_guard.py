"""Authentication: a request needs a key and reaches only the objects of its tenant."""

import contextlib
import json
import os
import re
import signal
import socket

import httpx
import pytest

from jobs.stack import Stack
from service.openapi import document
from tests.command import quantd
from tests.specs import QUICK


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    return tmp_path_factory.mktemp("guarded")


@pytest.fixture(scope="module")
def early(state):
    """A key that was created before the service started."""
    return quantd("keys", "create", "--state-dir", state).stdout.strip()


@pytest.fixture(scope="module")
def guarded(state, early):
    """A service that requires keys."""
    with Stack(state, settings={"QUANTD_AUTH": "required"}) as stack:
        yield stack


@pytest.fixture(scope="module")
def anonymous(guarded):
    """A caller without a key."""
    with httpx.Client(base_url=guarded.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def make_key(guarded):
    def make(*options):
        result = quantd("keys", "create", "--json", "--state-dir", guarded.folder, *options)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    return make


@pytest.fixture(scope="module")
def client_of(guarded, make_key):
    with contextlib.ExitStack() as clients:

        def connect(*options):
            key = make_key(*options)["key"]
            client = httpx.Client(base_url=guarded.url, headers={"Authorization": f"Bearer {key}"}, timeout=90)
            return clients.enter_context(client)

        yield connect


@pytest.fixture(scope="module")
def alice(client_of):
    return client_of("--tenant", "alice")


@pytest.fixture(scope="module")
def bob(client_of):
    return client_of("--tenant", "bob")


@pytest.fixture(scope="module")
def job(alice, examples):
    """A job that alice ran."""
    with (examples / "digits.onnx").open("rb") as model:
        form = {"model": ("digits.onnx", model)}
        response = alice.post(
            "/v1/quantize", files=form, data={"spec": json.dumps(QUICK)}, headers={"Prefer": "wait=60"}
        )
    assert response.json()["status"] == "succeeded", response.text
    return response.json()


PUBLIC = {"/livez", "/readyz"}
PATHS = [(verb, path) for path, verbs in json.loads(document())["paths"].items() for verb in verbs]


@pytest.mark.parametrize(("verb", "path"), PATHS)
def test_every_endpoint_but_health_needs_a_key(anonymous, verb, path):
    for header in (None, "Bearer", "Bearer qd_x", f"Bearer qd_{'0' * 16}_{'A' * 43}", "Basic cWQ6eA=="):
        response = anonymous.request(verb, path, headers={"Authorization": header} if header else {})
        if path in PUBLIC:
            assert response.status_code == 200
            continue
        assert response.status_code == 401, header
        assert verb == "head" or response.json()["code"] == "auth.required"
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/v1/nothing", "/nothing", "//v1/jobs", "/v1/jobs/", "/jobs/x", "/"])
def test_an_unknown_path_needs_a_key(guarded, path):
    assert httpx.get(guarded.url + path).status_code == 401


@pytest.mark.parametrize("path", ["/sign-in", "/docs", "/openapi.json"])
def test_the_public_pages_show_no_job(anonymous, job, path):
    page = anonymous.get(path)
    assert page.status_code == 200
    assert job["id"] not in page.text


def test_a_request_without_a_key_is_refused_before_its_body_arrives(guarded):
    address = httpx.URL(guarded.url)
    with socket.create_connection((address.host, address.port), timeout=10) as connection:
        connection.sendall(b"POST /v1/models HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 401 ")


def test_objects_of_another_tenant_are_404(alice, bob, job):
    artifact = alice.get(job["links"]["artifacts"]).json()["items"][0]["url"]
    comparison = f"{job['links']['self']}/compare/{job['id']}"
    paths = {*job["links"].values(), artifact, comparison, f"/v1/models/{job['model']}"}
    paths -= {job["links"]["cancel"]}
    for path in paths:
        assert alice.get(path).status_code == 200, path
        refused = bob.get(path)
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found"), path
    for verb, path in (("POST", job["links"]["cancel"]), ("DELETE", job["links"]["self"])):
        assert bob.request(verb, path).status_code == 404
    assert bob.delete(f"/v1/models/{job['model']}").status_code == 404
    assert bob.post("/v1/jobs", json={"model": job["model"], "spec": QUICK}).status_code == 404
    for path in ("/v1/jobs", "/v1/models", "/v1/datasets"):
        assert bob.get(path).json()["items"] == []
    assert [item["id"] for item in alice.get("/v1/jobs").json()["items"]] == [job["id"]]


def test_equal_bytes_of_two_tenants_are_two_models(alice, bob, job, examples):
    theirs = bob.post("/v1/models", content=(examples / "digits.onnx").read_bytes())
    assert theirs.status_code == 201  # 200 would tell that somebody has it
    assert theirs.json()["id"] != job["model"]


def test_a_key_is_limited_to_its_scopes(client_of, job, examples):
    reader, writer = (client_of("--tenant", "alice", "--scope", scope) for scope in ("read", "write"))
    assert reader.get(job["links"]["self"]).status_code == 200
    for verb, path in (("POST", "/v1/models"), ("POST", "/v1/jobs"), ("DELETE", job["links"]["self"])):
        refused = reader.request(verb, path)
        assert (refused.status_code, refused.json()["code"]) == (403, "auth.scope")
        assert f"{verb} needs the scope `write`; the key" in refused.json()["detail"]
    assert writer.get(job["links"]["self"]).status_code == 403
    assert writer.post("/v1/models", content=(examples / "digits.onnx").read_bytes()).status_code == 200


def test_a_revoked_key_is_refused_at_once(guarded, make_key):
    made = make_key("--tenant", "carol", "--name", "ci")
    headers = {"Authorization": f"Bearer {made['key']}"}
    with httpx.Client(base_url=guarded.url, headers=headers) as client:
        assert client.get("/v1/jobs").status_code == 200
        assert quantd("keys", "revoke", made["id"], "--state-dir", guarded.folder).returncode == 0
        assert client.get("/v1/jobs").status_code == 401
    listed = json.loads(quantd("keys", "list", "--json", "--state-dir", guarded.folder).stdout)
    (shown,) = [key for key in listed if key["id"] == made["id"]]
    assert (shown["name"], shown["tenant"], bool(shown["revoked_at"])) == ("ci", "carol", True)
    assert made["key"] not in json.dumps(listed)
    assert "sha256" not in shown


def test_the_command_sends_its_key(guarded, make_key):
    key = make_key()["key"]
    assert quantd("jobs", "list", QUANTD_URL=guarded.url, QUANTD_API_KEY=key).returncode == 0
    refused = quantd("jobs", "list", QUANTD_URL=guarded.url)
    assert refused.returncode == 3
    assert "Authorization" in refused.stderr


def test_a_key_from_before_the_start_is_accepted(anonymous, early):
    assert anonymous.get("/v1/jobs", headers={"Authorization": f"Bearer {early}"}).status_code == 200


def test_bad_usage_is_exit_3_and_an_unreachable_redis_exit_4(guarded, tmp_path):
    away = {"QUANTD_REDIS_URL": "redis://127.0.0.1:9", "QUANTD_STATE_DIR": str(tmp_path)}
    assert quantd("keys", "list", **away).returncode == 4
    assert quantd("keys", "create", "--tenant", "../x", "--state-dir", guarded.folder).returncode == 3
    assert quantd("keys", "revoke", "nobody", "--state-dir", guarded.folder).returncode == 3


def test_keys_are_not_logged(guarded, make_key):
    key = make_key()["key"]
    httpx.get(f"{guarded.url}/v1/jobs", headers={"Authorization": f"Bearer {key}"})
    logs = [path.read_text() for path in guarded.folder.glob("*.log")]
    assert logs
    assert not [log for log in logs if key in log]


def test_the_request_rate_of_a_key_is_limited(client_of, alice):
    client = client_of("--tenant", "dave", "--rate", "3")
    answers = [client.get("/v1/jobs") for _ in range(5)]
    assert {answer.status_code for answer in answers[:3]} == {200}
    assert {answer.status_code for answer in answers[3:]} <= {200, 429}  # the minute may have turned
    assert answers[0].headers["ratelimit-policy"] == '"requests";q=3;w=60'
    left = [re.fullmatch(r'"requests";r=(\d);t=(\d+)', answer.headers["ratelimit"]) for answer in answers]
    assert all(1 <= int(found.group(2)) <= 60 for found in left)
    for answer, found in zip(answers, left, strict=True):
        if answer.status_code == 429:
            assert answer.json()["code"] == "rate.limited"
            assert (answer.headers["retry-after"], found.group(1)) == (found.group(2), "0")
    assert alice.get("/v1/jobs").status_code == 200


def test_the_storage_of_a_key_is_limited(client_of, examples):
    data = (examples / "digits.onnx").read_bytes()
    client = client_of("--tenant", "erin", "--max-bytes", str(len(data) + 100))
    first = client.post("/v1/models", content=data)
    assert first.status_code == 201
    other = data + b"\x32\x00"
    refused = client.post("/v1/models", content=other)
    assert (refused.status_code, refused.json()["code"]) == (413, "quota.stored_bytes")
    assert client.post("/v1/models", content=data).status_code == 200
    assert len(client.get("/v1/models").json()["items"]) == 1
    assert client.delete(first.headers["location"]).status_code == 204
    assert client.post("/v1/models", content=other).status_code == 201


def test_a_refused_upload_is_not_stored(client_of, guarded, examples):
    data = (examples / "digits.onnx").read_bytes()
    client = client_of("--tenant", "frank", "--max-bytes", "1000")
    assert client.post("/v1/models", content=data).status_code == 413
    assert [path for path in guarded.folder.glob("store/frank/**/*") if path.is_file()] == []


def test_artifacts_count_as_storage_until_they_are_deleted(client_of, examples):
    client = client_of("--tenant", "grace", "--max-bytes", "300000")
    with (examples / "digits.onnx").open("rb") as model:
        job = client.post(
            "/v1/quantize", files={"model": model}, data={"spec": json.dumps(QUICK)}, headers={"Prefer": "wait=60"}
        ).json()
    made = sum(item["size"] for item in client.get(job["links"]["artifacts"]).json()["items"])
    assert (examples / "digits.onnx").stat().st_size < 300000 <= (examples / "digits.onnx").stat().st_size + made
    more = (examples / "digits_calibration.npz").read_bytes()
    assert client.post("/v1/datasets", content=more).status_code == 413
    assert client.delete(job["links"]["self"]).status_code == 204
    assert client.post("/v1/datasets", content=more).status_code == 201


def test_the_open_jobs_of_a_key_are_limited(guarded, client_of, examples):
    client = client_of("--tenant", "heidi", "--max-jobs", "2")
    model = client.post("/v1/models", content=(examples / "digits.onnx").read_bytes()).json()["id"]
    body = {"model": model, "spec": QUICK}
    os.kill(guarded.pid("worker"), signal.SIGSTOP)
    try:
        first, _ = (client.post("/v1/jobs", json=body) for _ in range(2))
        refused = client.post("/v1/jobs", json=body)
        assert (refused.status_code, refused.json()["code"]) == (429, "quota.open_jobs")
        assert refused.headers["retry-after"]
        assert client.post(first.json()["links"]["cancel"]).status_code == 202
        assert client.post("/v1/jobs", json=body).status_code == 202
    finally:
        os.kill(guarded.pid("worker"), signal.SIGCONT)
