"""The artifacts of a job by name, and its report."""

import hashlib

from tests.specs import QUICK


def test_an_unknown_artifact_is_404_and_names_the_known_ones(http, artifact):
    response = http.get(artifact[0].replace("model.onnx", "secret"))
    assert response.status_code == 404
    assert "model.onnx" in response.json()["detail"]


def test_the_report_has_the_times_of_the_job(http, artifact):
    job_url = artifact[0].removesuffix("/artifacts/model.onnx")
    report = http.get(f"{job_url}/report").json()
    assert report["summary"]["seconds"] == http.get(job_url).json()["summary"]["seconds"] > 0
    assert all(layer["seconds"] >= 0 for layer in report["layers"])


def test_the_report_and_its_page_show_the_latency_and_the_artifacts_do_not(http, artifact):
    job_url = artifact[0].removesuffix("/artifacts/model.onnx")
    latency = http.get(job_url).json()["latency"]
    assert latency["ratio"] == latency["quantized"][0]["median_ms"] / latency["float"][0]["median_ms"]
    assert http.get(f"{job_url}/report").json()["latency"] == latency
    stored, shown = (http.get(f"{job_url}/{name}") for name in ("artifacts/report.html", "report.html"))
    assert '<section id="latency"' in shown.text
    assert '<section id="latency"' not in stored.text
    assert http.get(f"{job_url}/artifacts/report.json").json()["latency"] is None
    assert shown.headers["etag"] == f'"{hashlib.sha256(shown.content).hexdigest()}"'


def test_the_page_names_its_job_and_the_artifact_does_not(http, artifact):
    job_url = artifact[0].removesuffix("/artifacts/model.onnx")
    stored, shown = (http.get(f"{job_url}/{name}").text for name in ("artifacts/report.html", "report.html"))
    assert job_url.rpartition("/")[2] in shown
    assert job_url.rpartition("/")[2] not in stored


def test_a_cached_job_has_the_latency_of_the_job_that_computed_it(http, artifact, run_job, uploaded):
    first = http.get(artifact[0].removesuffix("/artifacts/model.onnx")).json()
    again = run_job(model=uploaded["model"], spec=QUICK)
    assert again["cached"]
    assert again["latency"] == first["latency"]


def test_a_range_of_the_page_is_a_part_of_it(http, artifact):
    url = artifact[0].replace("artifacts/model.onnx", "report.html")
    whole = http.get(url).content
    part = http.get(url, headers={"Range": "bytes=10-99"})
    assert (part.status_code, part.content) == (206, whole[10:100])
