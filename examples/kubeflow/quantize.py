"""A Kubeflow component that quantizes a model, and a pipeline that uses it.

    python quantize.py

writes `quantize.yaml`, which Kubeflow Pipelines runs. The Secret `quantd` has the API key under `key`.
"""

from pathlib import Path

from kfp import compiler, dsl, kubernetes


@dsl.component(base_image="python:3.12-slim", packages_to_install=["quantd==0.1.0"])
def quantize(
    url: str,
    spec: dict,
    model: dsl.Input[dsl.Model],
    calibration: dsl.Input[dsl.Dataset],
    evaluation: dsl.Input[dsl.Dataset],
    quantized: dsl.Output[dsl.Model],
    report: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Quantize a model with quantd; the step fails if a gate fails."""
    import os

    import quantd

    with quantd.Client(url, os.environ.get("QUANTD_API_KEY")) as client:
        job = client.quantize(
            client.upload(model.path),
            spec,
            calibration=client.upload_dataset(calibration.path),
            evaluation=client.upload_dataset(evaluation.path),
        ).wait()
        job.download(quantized.path)
        job.download(report.path, "report.html")
    quantized.metadata["quantd_job"] = job.id
    for name, value in job.document["summary"].items():
        if isinstance(value, int | float):
            metrics.log_metric(name, value)
    if job.verdict == "fail":
        raise RuntimeError(f"{', '.join(gate.name for gate in job.gates if not gate.passed)} of {job.id} failed")


@dsl.pipeline
def quantize_model(url: str, spec: dict, model: str, calibration: str, evaluation: str) -> None:
    """Quantize the model at a URI of the artifact store."""
    files = {
        "model": dsl.importer(artifact_uri=model, artifact_class=dsl.Model),
        "calibration": dsl.importer(artifact_uri=calibration, artifact_class=dsl.Dataset),
        "evaluation": dsl.importer(artifact_uri=evaluation, artifact_class=dsl.Dataset),
    }
    step = quantize(url=url, spec=spec, **{name: file.output for name, file in files.items()})
    kubernetes.use_secret_as_env(step, "quantd", {"key": "QUANTD_API_KEY"})


if __name__ == "__main__":
    compiler.Compiler().compile(quantize_model, str(Path(__file__).with_name("quantize.yaml")))
