"""The artifacts of a job by name, and its report."""


def test_an_unknown_artifact_is_404_and_names_the_known_ones(http, artifact):
    response = http.get(artifact[0].replace("model.onnx", "secret"))
    assert response.status_code == 404
    assert "model.onnx" in response.json()["detail"]


def test_the_report_has_the_times_of_the_job(http, artifact):
    job_url = artifact[0].removesuffix("/artifacts/model.onnx")
    report = http.get(f"{job_url}/report").json()
    assert report["summary"]["seconds"] == http.get(job_url).json()["summary"]["seconds"] > 0
    assert all(layer["seconds"] >= 0 for layer in report["layers"])
