"""Uploads are stored once and described; artifacts come whole or in part."""

import base64
import hashlib

import pytest


def digest(data):
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


@pytest.fixture(scope="module")
def artifact(http, run_job, uploaded):
    job = run_job(model=uploaded["model"], spec={"preset": "int8-weights"})
    url = f"/v1/jobs/{job['id']}/artifacts/model.onnx"
    return url, http.get(url)


def test_the_same_bytes_again_are_the_same_model(http, examples):
    data = (examples / "digits.onnx").read_bytes() + b"\x32\x00"  # an empty doc_string: other bytes, the same model
    headers = {"Repr-Digest": digest(data), "X-Filename": "../x/digits.onnx"}
    first = http.post("/v1/models", content=data, headers=headers)
    again = http.post("/v1/models", files={"file": ("other.onnx", data)})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json() == http.get(first.headers["location"]).json()
    assert first.json()["filename"] == "digits.onnx"
    assert first.json()["sha256"] == hashlib.sha256(data).hexdigest()
    assert http.delete(first.headers["location"]).status_code == 204
    assert http.get(first.headers["location"]).status_code == 404


def test_a_dataset_tells_its_samples_and_arrays(http, uploaded):
    told = http.get(f"/v1/datasets/{uploaded['evaluation']}").json()
    assert told["samples"] == 500
    assert {(a["name"], a["dtype"], tuple(a["shape"])) for a in told["arrays"]} == {
        ("input", "float32", (500, 1, 8, 8)), ("labels", "uint8", (500,)),
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["models", "datasets"])
def test_uploads_are_listed(http, uploaded, kind):
    ids = [item["id"] for item in http.get(f"/v1/{kind}", params={"limit": 100}).json()["items"]]
    assert set(uploaded.values()) & set(ids)
    assert ids == sorted(ids, reverse=True)


def test_a_download_carries_its_digest(artifact):
    _, whole = artifact
    assert whole.headers["repr-digest"] == digest(whole.content)
    assert whole.headers["etag"] == f'"{hashlib.sha256(whole.content).hexdigest()}"'


@pytest.mark.parametrize(
    ("wanted", "part"), [("bytes=0-9", slice(0, 10)), ("bytes=100-", slice(100, None)), ("bytes=-7", slice(-7, None))]
)
def test_a_range_gives_its_part(http, artifact, wanted, part):
    url, whole = artifact
    response = http.get(url, headers={"Range": wanted})
    assert response.status_code == 206
    assert response.content == whole.content[part]
    assert response.headers["content-range"].endswith(f"/{len(whole.content)}")


@pytest.mark.parametrize("wanted", ["bytes=99999999-", "bytes=5-2", "bytes=-", "lines=1-2"])
def test_a_range_outside_is_416(http, artifact, wanted):
    response = http.get(artifact[0], headers={"Range": wanted})
    assert (response.status_code, response.json()["code"]) == (416, "request.range_not_satisfiable")


def test_an_etag_that_is_known_is_304(http, artifact):
    url, whole = artifact
    response = http.get(url, headers={"If-None-Match": whole.headers["etag"]})
    assert (response.status_code, response.content) == (304, b"")


def test_an_artifact_that_is_not_there_names_those_that_are(http, artifact):
    response = http.get(artifact[0].replace("model.onnx", "secret"))
    assert response.status_code == 404
    assert "model.onnx" in response.json()["detail"]
