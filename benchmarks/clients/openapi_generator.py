"""Run a job with the Python client of openapi-generator: URL, MODEL and the folder of the client are the arguments."""

import hashlib
import sys
from pathlib import Path

url, model_file, folder = sys.argv[1:]
sys.path.insert(0, folder)
import quantd_api  # noqa: E402

with quantd_api.ApiClient(quantd_api.Configuration(host=url)) as client:
    files, jobs = quantd_api.ModelsAndDatasetsApi(client), quantd_api.JobsApi(client)
    model = files.create_model(
        Path(model_file).read_bytes(), x_filename="digits.onnx", _content_type="application/octet-stream"
    )
    spec = quantd_api.Spec(preset="int8-weights")
    job = jobs.create_job(quantd_api.JobIn(model=model.id, spec=spec))
    while job.status in ("queued", "running"):
        job = jobs.get_job(job.id, prefer="wait=60")
    results = quantd_api.ArtifactsAndReportsApi(client)
    listed = {entry.name: entry for entry in results.list_artifacts(job.id).items}
    data = results.download_artifact("model.onnx", job.id)
    report = results.get_report(job.id)
assert hashlib.sha256(data).hexdigest() == listed["model.onnx"].sha256
print(job.status, len(data), report.summary.size_ratio)
