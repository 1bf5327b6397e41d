"""Run the examples whose platforms are too large for the tests: MLflow, DVC, Airflow, Kubeflow Pipelines and Argo.

    .venv/bin/python benchmarks/pipelines.py FOLDER

Each platform is installed into a virtual environment of its own in FOLDER, where it stays for the next time. The
examples run against a service on this machine: MLflow with SQLite, `dvc repro`, `airflow dags test`, and the compiled
Kubeflow pipeline with its local runner. Argo needs a cluster, so its template is compared with the types of its API,
which the package hera generates from Argo's schema; a test runs its script.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jobs.stack import Stack

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
FILES = ("digits.onnx", "digits_calibration.npz", "digits_evaluation.npz", "quantization.yaml")
REQUIREMENTS = {
    "mlflow": ["mlflow-skinny==3.17.2", "sqlalchemy", "alembic"],
    "dvc": ["dvc==3.67.1"],
    "airflow": ["apache-airflow==3.3.2"],
    "kubeflow": ["kfp==2.17.3", "kfp-kubernetes==2.17.3"],
    "argo": ["hera==7.1.0", "pyyaml"],
}
LOCAL_PIPELINE = """
import json, sys
from kfp import local
from quantize import quantize_model
if __name__ == "__main__":
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[1])
    quantize_model(**json.loads(sys.argv[2]))
"""
STRICT_TEMPLATE = """
import sys, yaml
from hera.workflows.models import WorkflowTemplate
document = yaml.safe_load(open(sys.argv[1]))
read = WorkflowTemplate.model_validate(document).model_dump(by_alias=True, exclude_none=True, mode="json")
assert read == document, "a key is unknown to Argo"
"""


@dataclass(frozen=True)
class Platform:
    """An installed platform, and an empty folder with the example's files in which its commands run."""

    environment: Path
    folder: Path
    url: str

    def run(self, *command: str | Path, **variables: str) -> None:
        """Run a program of the platform's virtual environment.

        Raises:
            RuntimeError: it failed; the message is the end of its output.
        """
        programs = self.environment / "bin"
        environment = {**os.environ, "QUANTD_URL": self.url, "PATH": f"{programs}:{os.environ['PATH']}", **variables}
        program, *arguments = map(str, command)
        result = subprocess.run(
            [programs / program, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True
        )
        if result.returncode:
            raise RuntimeError((result.stdout + result.stderr)[-3000:])


def mlflow(platform: Platform) -> str:
    """Run the script and look for the figures and the files of its run."""
    variables = {"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}
    platform.run("python", EXAMPLES / "mlflow" / "quantize.py", *FILES, **variables)
    assert list(platform.folder.rglob("artifacts/quantd/model.onnx"))
    return "a run with parameters, metrics and files in SQLite"


def dvc(platform: Platform) -> str:
    """Run the stage, and a second time, which finds it unchanged."""
    shutil.copytree(EXAMPLES / "dvc", platform.folder / "dvc")
    subprocess.run(["git", "init", "--quiet"], cwd=platform.folder, check=True)
    platform.run("dvc", "init")
    for _ in range(2):
        platform.run("dvc", "repro", "dvc/dvc.yaml")
    platform.run("dvc", "metrics", "show")
    return "dvc repro, dvc metrics show"


def airflow(platform: Platform) -> str:
    """Run the DAG in this process, with a database of its own."""
    variables = {
        "AIRFLOW_HOME": str(platform.folder / "home"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLES / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_QUANTD": json.dumps({"conn_type": "http", "host": platform.url}),
    }
    platform.run("airflow", "db", "migrate", **variables)
    platform.run("airflow", "dags", "test", "quantize", **variables)
    assert (platform.folder / "digits-int8.onnx").exists()
    return "airflow dags test"


def kubeflow(platform: Platform) -> str:
    """Compile the pipeline and run it with the local runner."""
    script = shutil.copy(EXAMPLES / "kubeflow" / "quantize.py", platform.folder)
    platform.run("python", script)
    (platform.folder / "run.py").write_text(LOCAL_PIPELINE)
    model, calibration, evaluation = (str(platform.folder / name) for name in FILES[:3])
    arguments = {
        "url": platform.url, "spec": {"preset": "int8", "gates": {"min_output_sqnr_db": 30}},
        "model": model, "calibration": calibration, "evaluation": evaluation,
    }  # fmt: skip
    root = platform.folder / "root"
    platform.run("python", "run.py", root, json.dumps(arguments))
    assert list(root.rglob("quantize/quantized"))
    return "compiled, and run by kfp.local"


def argo(platform: Platform) -> str:
    """Compare the template with the types of Argo's API, of which each key must be one."""
    platform.run("python", "-c", STRICT_TEMPLATE, EXAMPLES / "argo" / "quantize.yaml")
    return "every key is one of Argo's"


CHECKS: dict[str, Callable[[Platform], str]] = {
    "mlflow": mlflow, "dvc": dvc, "airflow": airflow, "kubeflow": kubeflow, "argo": argo,
}  # fmt: skip


def install(environments: Path, scratch: Path) -> None:
    """Install what is missing, and this version of the client, into the platforms' virtual environments."""
    source = shutil.copytree(ROOT / "client", scratch / "client", ignore=shutil.ignore_patterns("build", "*.egg-info"))
    for name, requirements in REQUIREMENTS.items():
        environment = environments / name
        if not environment.exists():
            subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        subprocess.run([environment / "bin" / "pip", "install", "--quiet", *requirements, source], check=True)


def main() -> int:
    """Run all examples; return the number of those that failed."""
    environments, failed = Path(sys.argv[1]), 0
    with tempfile.TemporaryDirectory() as name, Stack(Path(name, "state")) as stack:
        install(environments, Path(name))
        for platform, check in CHECKS.items():
            folder = Path(name, platform)
            folder.mkdir()
            for file in FILES:
                shutil.copy(EXAMPLES / file, folder)
            try:
                result = check(Platform((environments / platform).absolute(), folder, stack.url))
            except (RuntimeError, AssertionError) as error:
                failed, result = failed + 1, f"failed\n{error}"
            print(f"{' '.join(REQUIREMENTS[platform][:1])}: {result}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
