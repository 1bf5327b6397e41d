"""Quantize a model and log the job in MLflow: its spec, its figures and its files.

    python quantize.py MODEL CALIBRATION EVALUATION SPEC

The run has the status FAILED and the script the exit status 2 if a gate fails.
"""

import os
import sys
import tempfile
from pathlib import Path

import mlflow
import yaml

import quantd


def main(model: Path, calibration: Path, evaluation: Path, spec: Path) -> None:
    """Run the job inside of an MLflow run."""
    options = yaml.safe_load(spec.read_text())
    with (
        mlflow.start_run(run_name=model.name),
        quantd.Client(os.environ["QUANTD_URL"], os.environ.get("QUANTD_API_KEY")) as client,
        tempfile.TemporaryDirectory() as folder,
    ):
        mlflow.log_params({f"quantd.{name}": value for name, value in options.items()})
        job = client.quantize(
            client.upload(model),
            options,
            calibration=client.upload_dataset(calibration),
            evaluation=client.upload_dataset(evaluation),
        ).wait()

        mlflow.set_tags({"quantd.job": job.id, "quantd.verdict": job.verdict})
        figures = job.document["summary"].items()
        mlflow.log_metrics({name: value for name, value in figures if isinstance(value, int | float)})
        for artifact in job.artifacts():
            job.download(Path(folder, artifact.name), artifact.name)
        mlflow.log_artifacts(folder, "quantd")
        if job.verdict == "fail":
            sys.exit(2)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
