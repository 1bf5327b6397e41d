"""`quantd quantize`: the quantization of one model, by the service or on this machine without it."""

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from client.commands.options import AsJson, connect, err_console, out_console
from client.errors import GATE_FAILED, ClientError
from client.local import LocalJob
from client.progress import UploadProgress, show_progress
from client.tables import gates_table, latency_table, layer_table, summary_table
from quant.outcome import artifacts
from quant.outcome.gates import GateResult
from quant.outcome.latency import Latency
from quant.outcome.latency_section import with_latency

MODEL_FILES = (artifacts.MODEL.name, artifacts.MODEL_DATA.name)
"""The model, and the weights of a large model, which the first file refers to by this name."""
REPORTS = (artifacts.REPORT.name, artifacts.REPORT_PAGE.name)


@dataclass(frozen=True)
class _Task:
    """The inputs of a job, and the folder that receives its artifacts; `quiet` shows no progress."""

    model: Path
    spec: dict[str, Any]
    calibration: Path | None
    evaluation: Path | None
    folder: Path
    quiet: bool


def quantize(
    model: Annotated[Path, typer.Argument(help="Model: .onnx, a zip or tar with external data, or TorchScript .pt.")],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="File for the quantized model; a large model has its weights beside it."),
    ],
    spec: Annotated[Path | None, typer.Option(help="Quantization spec in YAML or JSON.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="int8, int8-weights, int4, int4-weights, codebook4 or ternary.")
    ] = None,
    calibration: Annotated[Path | None, typer.Option(help="Calibration data as .npz or .npy.")] = None,
    evaluation: Annotated[
        Path | None, typer.Option(help="Evaluation data as .npz or .npy; `labels` give top-1 accuracy.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="File for the report, .html or .json.")] = None,
    gate: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE, such as min_output_sqnr_db=20; may be repeated.")
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="Quantize on this machine, without a service.")] = False,
    as_json: AsJson = False,
) -> None:
    """Quantize a model and write the quantized model.

    Exit status: 0 success, 1 the job failed, 2 a gate failed, 3 bad usage or spec, 4 no service.
    """
    full_spec = _spec(spec, preset, gate or [])
    with tempfile.TemporaryDirectory(prefix="quantd-") as name:
        folder = Path(name)
        task = _Task(model, full_spec, calibration, evaluation, folder, as_json)
        job = _run_locally(task) if local else _run_remotely(task)
        _write_model(folder, output)
        if report is not None:
            _write_report(folder, report, job)
        layers = json.loads((folder / artifacts.REPORT.name).read_text())
    if as_json:
        typer.echo(json.dumps(job))
    else:
        _print_result(job, layers, model.name, output.name)
    if job["verdict"] == "fail":
        raise typer.Exit(GATE_FAILED)


def _print_result(job: dict[str, Any], layers: dict[str, Any], model: str, output: str) -> None:
    out_console.print(layer_table(layers, model), summary_table({output: job["summary"]}))
    if job["latency"]:
        out_console.print(latency_table(job["latency"]))
    if job["gates"]:
        out_console.print(gates_table(job["gates"]))


def _spec(path: Path | None, preset: str | None, gates: list[str]) -> dict[str, Any]:
    """Return the spec of the file; the preset and the gates of the command line replace those of the file."""
    try:
        spec = yaml.safe_load(path.read_text()) if path else {}
    except (OSError, yaml.YAMLError) as error:
        raise ClientError(f"{path}: {error}") from None
    if not isinstance(spec, dict):
        raise ClientError(f"{path}: the spec is not a mapping; accepted: a YAML or JSON mapping")
    if preset is not None:
        spec["preset"] = preset
    for gate in gates:
        name, _, value = gate.partition("=")
        try:
            spec.setdefault("gates", {})[name] = float(value)
        except ValueError:
            raise ClientError(f"--gate {gate}: accepted: NAME=NUMBER, such as min_output_sqnr_db=20") from None
    return spec


def _run_remotely(task: _Task) -> dict[str, Any]:
    """Run the job on the service, download its artifacts and return the job."""
    with connect() as client:
        with UploadProgress(err_console, task.quiet) as progress:
            datasets = [
                client.upload_dataset(path, progress.of(path.name))["id"] if path else None
                for path in (task.calibration, task.evaluation)
            ]
            model = client.upload_model(task.model, progress.of(task.model.name))["id"]
        job = client.submit(model, task.spec, *datasets)
        events = client.follow(job["id"])
        if not task.quiet:
            show_progress(err_console, events)
        job = client.succeeded(client.wait(job["id"]))
        for name in sorted({item["name"] for item in client.artifacts(job["id"])} & {*MODEL_FILES, *REPORTS}):
            client.download(job["id"], name, task.folder / name)
    return job


def _run_locally(task: _Task) -> dict[str, Any]:
    """Run the quantizer on this machine and return the job."""
    job = LocalJob(task.model, task.spec, task.calibration, task.evaluation, task.folder)
    if task.quiet:
        for _ in job.events():
            pass
    else:
        show_progress(err_console, job.events())
    return job.end


def _write_report(folder: Path, path: Path, job: dict[str, Any]) -> None:
    """Write the report, as JSON or as a page, with the latency that the job measured."""
    if path.suffix == ".json":
        report = json.loads((folder / artifacts.REPORT.name).read_bytes())
        path.write_text(json.dumps(report | {"latency": job["latency"]}) + "\n")
        return
    latency = job["latency"] and Latency.model_validate(job["latency"])
    gates = [GateResult.model_validate(gate) for gate in job["gates"]]
    path.write_bytes(with_latency((folder / artifacts.REPORT_PAGE.name).read_bytes(), latency, gates))


def _write_model(folder: Path, output: Path) -> None:
    """Move the model to its destination, and the file of its weights, if there is one, beside it.

    Raises:
        ClientError: the file beside it holds another model's weights.
    """
    model, weights = (folder / name for name in MODEL_FILES)
    destination = output.with_name(weights.name)
    if weights.exists():
        if destination.exists() and not output.exists():
            raise ClientError(f"{destination} holds another model's weights; write this model to another folder")
        shutil.move(weights, destination)
    shutil.copyfile(model, output)
