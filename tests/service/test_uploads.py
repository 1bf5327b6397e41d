"""Uploads are stored once and described; artifacts come whole or in part."""

import base64
import hashlib

import pytest

from tests.specs import QUICK


def digest(data):
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


@pytest.fixture(scope="module")
def artifact(http, run_job, uploaded):
    job = run_job(model=uploaded["model"], spec=QUICK)
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


@pytest.mark.parametrize("wanted", ["lines=1-2", "bytes=-", "bytes=0-1,4-5", f"bytes={'9' * 5000}-", "bytes=x-y"])
def test_a_range_of_another_form_gives_the_whole(http, artifact, wanted):
    url, whole = artifact
    response = http.get(url, headers={"Range": wanted})
    assert (response.status_code, response.content) == (200, whole.content)


def test_a_range_of_other_bytes_than_these_gives_the_whole(http, artifact):
    url, whole = artifact
    for etag, status in ((whole.headers["etag"], 206), ('"other"', 200)):
        assert http.get(url, headers={"Range": "bytes=0-9", "If-Range": etag}).status_code == status


@pytest.mark.parametrize("wanted", ["bytes=99999999-", "bytes=5-2", "bytes=-0"])
def test_a_range_outside_is_416(http, artifact, wanted):
    response = http.get(artifact[0], headers={"Range": wanted})
    assert (response.status_code, response.json()["code"]) == (416, "request.range_not_satisfiable")


@pytest.mark.parametrize("name", ["artifacts/model.onnx", "artifacts/report.html", "report.html"])
def test_an_etag_that_is_known_is_304(http, artifact, name):
    url = artifact[0].replace("artifacts/model.onnx", name)
    whole = http.get(url)
    for known in (whole.headers["etag"], f'"x", {whole.headers["etag"]}', "*"):
        response = http.get(url, headers={"If-None-Match": known})
        assert (response.status_code, response.content) == (304, b"")
    assert http.get(url, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("name", ["artifacts/report.html", "report.html"])
def test_no_script_runs_in_a_report_by_whatever_name(http, artifact, name):
    headers = http.get(artifact[0].replace("artifacts/model.onnx", name)).headers
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../a/b.onnx", "b.onnx"),
        ("C:\\x\\b.onnx", "b.onnx"),
        ("a%00%0a%1bb", "ab"),
        ("-x.onnx", "-x.onnx"),
        ("a/", None),
    ],
)
def test_a_filename_is_kept_without_folders_and_controls(http, examples, sent, kept):
    assert http.post(f"/v1/models?filename={sent}", content=variant(examples, sent)).json()["filename"] == kept


@pytest.mark.parametrize("name", ["-x.onnx", "a/"])
def test_a_model_of_an_odd_name_or_none_runs(http, run_job, examples, name):
    model = http.post(f"/v1/models?filename={name}", content=variant(examples, name)).json()["id"]
    assert run_job(model=model, spec=QUICK)["status"] == "succeeded"


def variant(examples, name):
    """A doc_string for each name: other bytes, the same model."""
    note = hashlib.sha256(name.encode()).hexdigest()[:5].encode()
    return (examples / "digits.onnx").read_bytes() + b"\x32\x05" + note


def test_an_artifact_that_is_not_there_names_those_that_are(http, artifact):
    response = http.get(artifact[0].replace("model.onnx", "secret"))
    assert response.status_code == 404
    assert "model.onnx" in response.json()["detail"]
