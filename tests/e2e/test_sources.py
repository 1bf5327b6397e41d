"""Models that a worker fetches from elsewhere, and artifacts that it copies there."""

import hashlib
import json
import os
import subprocess
import sys
import time

import httpx
import obstore
import pytest

from tests.agent import ask
from tests.remote import TOKEN
from tests.specs import QUICK
from tests.swift import BUCKET, SECRET_KEY

SIGNATURE = "signature-that-nobody-may-see"


@pytest.fixture(scope="module")
def http(s3_stack):
    with httpx.Client(base_url=s3_stack.url, timeout=90) as client:
        yield client


@pytest.fixture(scope="module")
def bucket(swift):
    """The bucket of a pipeline, on the S3 server."""
    return swift.bucket


@pytest.fixture(scope="module")
def model(remote, examples):
    """The bytes of a model, which the other host serves as digits.onnx."""
    remote.files["digits.onnx"] = (examples / "digits.onnx").read_bytes()
    return remote.files["digits.onnx"]


@pytest.fixture(scope="module")
def dripping(http, remote):
    """A job for a model whose source takes a minute, from the start of the tests."""
    return submit(http, model=fetch(http, f"{remote.url}/drip")["id"])


def fetch(http, source, kind="model", status=202, **options):
    response = http.post(f"/v1/{kind}s", json={"source": source, **options})
    assert response.status_code == status, response.text
    return response.json()


def after(http, record, kind="model", state="fetching"):
    """Return the record when its state is another one."""
    while record["status"] == state:
        time.sleep(0.1)
        record = http.get(f"/v1/{kind}s/{record['id']}").json()
    return record


def submit(http, **body):
    response = http.post("/v1/jobs", json={"spec": QUICK, **body})
    assert response.status_code == 202, response.text
    return response.json()


def ended(http, job):
    while job["status"] in ("queued", "running"):
        job = http.get(job["links"]["self"], headers={"Prefer": "wait=60"}).json()
    return job


def copied(http, job, *states):
    while job["destination"]["status"] not in states:
        time.sleep(0.1)
        job = http.get(job["links"]["self"]).json()
    return job["destination"]


def test_the_command_names_where_a_model_is_and_where_its_artifacts_go(
    s3_stack, http, bucket, model, dripping, tmp_path
):
    obstore.put(bucket, "models/net.onnx", model)
    (tmp_path / "spec.json").write_text(json.dumps(QUICK))
    command = [sys.executable, "-m", "quantd", "quantize", f"s3://{BUCKET}/models/net.onnx", "--credentials", "store",
               "--destination", f"s3://{BUCKET}/nightly/1", "--destination-credentials", "store",
               "--spec", tmp_path / "spec.json", "-o", tmp_path / "o.onnx", "--json"]  # fmt: skip
    result = subprocess.run(command, env={**os.environ, "QUANTD_URL": s3_stack.url}, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    job = json.loads(result.stdout)
    assert (job["status"], job["model_name"], job["destination"]["status"]) == ("succeeded", "net.onnx", "copied")
    for artifact in http.get(job["links"]["artifacts"]).json()["items"]:
        data = bytes(obstore.get(bucket, f"nightly/1/{artifact['name']}").bytes())
        assert hashlib.sha256(data).hexdigest() == artifact["sha256"]


def test_an_agent_names_where_a_model_is(s3_stack, http, remote, model):
    arguments = {"model": f"{remote.url}/digits.onnx", "spec": QUICK, "idempotency_key": "a call"}
    remote.requests.clear()
    refused, answer, again = ask(
        s3_stack.url, ("quantize", {**arguments, "spec": {"preset": "int"}}), *[("quantize", arguments)] * 2
    )
    assert refused.is_error
    assert again.structured_content["id"] == answer.structured_content["id"]
    job = ended(http, http.get(answer.structured_content["links"]["self"]).json())
    assert (job["status"], job["summary"]["bytes_before"]) == ("succeeded", len(model)), job
    assert len(remote.requests) == 1


def test_what_was_fetched_is_an_upload(http, remote, model, examples):
    remote.files["digits.npz"] = (examples / "digits_calibration.npz").read_bytes()
    data = fetch(http, f"{remote.url}/digits.npz", "dataset")
    source = fetch(http, f"{remote.url}/redirect?to=/digits.onnx&sig={SIGNATURE}", filename="../net.onnx")
    assert (source["status"], source["sha256"], source["filename"]) == ("fetching", None, "net.onnx")
    stored = after(http, source)
    assert (stored["status"], stored["sha256"]) == ("ready", hashlib.sha256(model).hexdigest())
    assert (stored["format"], stored["source"]) == ("onnx", f"{remote.url}/redirect")
    assert stored in http.get("/v1/models").json()["items"]
    assert after(http, data, "dataset")["samples"] == 256


def test_a_connection_that_breaks_is_opened_again(http, remote, model):
    remote.cuts = 1
    stored = after(http, fetch(http, f"{remote.url}/digits.onnx"))
    assert (stored["status"], stored["size"]) == ("ready", len(model))


def test_a_known_digest_is_not_fetched_again(http, remote, model):
    digest = hashlib.sha256(model).hexdigest()
    first = after(http, fetch(http, f"{remote.url}/digits.onnx"))
    remote.requests.clear()
    known = fetch(http, f"{remote.url}/digits.onnx", status=200, sha256=digest.upper())
    assert (known["sha256"], known["status"], remote.requests) == (first["sha256"], "ready", [])
    key = {"Idempotency-Key": "the same fetch"}
    body = {"source": f"{remote.url}/digits.onnx"}
    ids = {http.post("/v1/models", json=body, headers=key).json()["id"] for _ in range(2)}
    assert len(ids) == 1


def test_a_model_comes_from_a_hub(http, remote, model):
    remote.requests.clear()
    stored = after(http, fetch(http, "hf://acme/net/digits.onnx", credentials="hub"))
    assert (stored["status"], stored["filename"]) == ("ready", "digits.onnx")
    assert ("/hub/acme/net/resolve/main/digits.onnx", f"Bearer {TOKEN}") in remote.requests
    assert after(http, fetch(http, "hf://acme/net/digits.onnx"))["error"]["code"] == "remote.failed"


@pytest.mark.parametrize(
    ("path", "options", "code"),
    [
        ("/digits.onnx", {"sha256": "0" * 64}, "request.digest_mismatch"),
        ("/digits.onnx", {"credentials": "store"}, "remote.credentials"),
        ("/digits.onnx", {"credentials": "unknown"}, "remote.credentials"),
        ("/missing", {}, "remote.failed"),
        ("/redirect?to=http://localhost/", {}, "remote.not_allowed"),
        ("/announced", {}, "request.too_large"),
        ("/text", {}, "model.unsupported_format"),
    ],
)
def test_a_fetch_fails_with_its_reason_and_so_do_its_jobs(http, remote, model, path, options, code):
    remote.files["text"] = b"no model" * 100
    source = fetch(http, remote.url + path, **options)
    failed = after(http, source)
    assert (failed["status"], failed["error"]["code"], failed["sha256"]) == ("failed", code, None)
    refused = http.post("/v1/jobs", json={"model": source["id"], "spec": QUICK})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (409, "/model")


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        ({"source": "https://example.com/m.onnx"}, 422, "remote.not_allowed", "/source"),
        ({"source": "http://a.example.org/m.onnx"}, 422, "remote.not_allowed", "/source"),
        ({"source": "file:///etc/passwd"}, 400, "request.invalid", "/source"),
        ({"source": f"s3://{BUCKET}/m.onnx"}, 400, "request.invalid", "/credentials"),
        ({"source": "https://a.example.org/m.onnx", "secret": "x"}, 400, "request.invalid", "/secret"),
        ({"source": "https://a.example.org/m.onnx", "sha256": "x"}, 400, "request.invalid", "/sha256"),
        ([], 400, "request.invalid", ""),
    ],
)
def test_what_cannot_be_fetched_is_refused_at_once(http, body, status, code, pointer):
    response = http.post("/v1/models", json=body)
    problem = response.json()
    assert (response.status_code, problem["code"], problem["errors"][0]["pointer"]) == (status, code, pointer)


def test_a_copy_that_fails_is_repeated_and_the_job_keeps_its_result(http, remote, model):
    source = fetch(http, f"{remote.url}/digits.onnx")
    remote.refusals.append(503)
    destination = {"url": f"{remote.url}/out.onnx?sig={SIGNATURE}"}
    job = ended(http, submit(http, model=source["id"], destination=destination))
    assert job["status"] == "succeeded"
    retrying = copied(http, job, "retrying", "failed")
    assert (retrying["status"], retrying["attempts"], retrying["error"]["code"]) == ("retrying", 1, "remote.failed")
    done = copied(http, job, "copied", "failed")
    assert (done["status"], done["attempts"], done["error"], done["url"]) == (
        "copied",
        2,
        None,
        f"{remote.url}/out.onnx",
    )
    assert "copied after 2 attempts" in http.get(f"/jobs/{job['id']}", headers={"Accept": "text/html"}).text
    quantized = remote.got[f"/out.onnx?sig={SIGNATURE}"]
    assert quantized == http.get(f"{job['links']['artifacts']}/model.onnx", follow_redirects=True).content


def test_a_destination_that_is_not_allowed_is_refused(http, model, remote):
    source = fetch(http, f"{remote.url}/digits.onnx")
    body = {"model": source["id"], "spec": QUICK, "destination": {"url": "https://example.com/out"}}
    refused = http.post("/v1/jobs", json=body)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/destination/url")


def test_a_source_that_drips_runs_out_of_time_and_its_job_fails(http, dripping):
    job = ended(http, dripping)
    assert (job["status"], job["error"]["code"]) == ("failed", "remote.failed")
    assert "longer than 10 s" in http.get(f"/v1/models/{job['model']}").json()["error"]["detail"]


def test_a_fetch_is_stopped_unless_a_job_waits_for_it(http, remote):
    source = fetch(http, f"{remote.url}/drip")
    waiting = submit(http, model=source["id"])
    assert waiting["status"] == "queued"
    assert "being fetched" in http.get(f"/jobs/{waiting['id']}", headers={"Accept": "text/html"}).text
    assert http.delete(f"/v1/models/{source['id']}").status_code == 409
    assert http.post(f"{waiting['links']['self']}/cancel").json()["status"] == "cancelled"
    assert http.delete(f"/v1/models/{source['id']}").status_code == 204
    deadline = time.monotonic() + 5
    while http.get(f"/v1/models/{source['id']}").status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_no_log_and_no_record_has_a_secret(http, s3_stack):
    texts = [path.read_text(errors="replace") for path in s3_stack.folder.glob("*.log")]
    texts += [http.get(path).text for path in ("/v1/models", "/v1/datasets", "/v1/jobs")]
    assert not [text for text in texts if SIGNATURE in text or TOKEN in text or SECRET_KEY in text]
