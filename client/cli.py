"""The `quantd` command."""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from typer.exceptions import TyperException

from client import keys, maintenance
from client.api import Client
from client.errors import GATE_FAILED, ClientError, Unreachable
from client.local import LocalJob
from client.render import UploadProgress, gates_table, jobs_table, layer_table, show_progress, summary_table
from jobs.stack import Stack, StackFailed
from quant.outcome import artifacts

app = typer.Typer(help="Post-training quantization of neural networks.", no_args_is_help=True, add_completion=False)
jobs_app = typer.Typer(help="List, show, watch, cancel and remove jobs.", no_args_is_help=True)
app.add_typer(jobs_app, name="jobs")
app.add_typer(keys.app, name="keys")
app.command()(maintenance.gc)
app.command()(maintenance.reindex)

DEFAULT_URL = "http://127.0.0.1:8000"
out_console = Console()
err_console = Console(stderr=True)
MODEL_FILES = (artifacts.MODEL.name, artifacts.MODEL_DATA.name)
"""The second one holds the weights of a large model, which the first one refers to by this name."""
REPORTS = (artifacts.REPORT.name, artifacts.REPORT_PAGE.name)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
JobId = Annotated[str, typer.Argument(help="The job's id.")]


@app.command()
def up(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.")] = 8000,
    state_dir: Annotated[Path, typer.Option(help="Where records and blobs are kept.")] = Path(".quantd"),
    workers: Annotated[int, typer.Option(min=1, help="Jobs at a time.")] = 1,
) -> None:
    """Serve the embedded service until Ctrl-C."""
    try:
        with Stack(state_dir, host, port, workers) as stack:
            typer.echo(f"quantd is ready at {stack.url} (state in {state_dir}, Ctrl-C stops it)")
            stack.wait()
    except KeyboardInterrupt:
        return
    except (StackFailed, OSError) as error:
        raise Unreachable(str(error)) from None


@app.command()
def quantize(
    model: Annotated[Path, typer.Argument(help="The model: .onnx")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Where the model is written; a large one's weights go beside it.")
    ],
    spec: Annotated[Path | None, typer.Option(help="The spec, YAML or JSON.")] = None,
    preset: Annotated[str | None, typer.Option(help="int8, int8-weights, int4 or int4-weights.")] = None,
    calibration: Annotated[Path | None, typer.Option(help="Calibration data: .npz or .npy")] = None,
    evaluation: Annotated[Path | None, typer.Option(help="Evaluation data: .npz with labels")] = None,
    report: Annotated[Path | None, typer.Option(help="Where the report is written: .html or .json")] = None,
    gate: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, such as min_output_sqnr_db=20")] = None,
    local: Annotated[bool, typer.Option("--local", help="Quantize here, without the service.")] = False,
    as_json: AsJson = False,
) -> None:
    """Quantize one model; exit 2 where a gate fails."""
    wanted = _spec(spec, preset, gate or [])
    with tempfile.TemporaryDirectory(prefix="quantd-") as folder:
        out = Path(folder)
        if local:
            job = _quantize_local(model, wanted, calibration, evaluation, out, as_json)
        else:
            job = _quantize_remote(model, wanted, calibration, evaluation, out, as_json)
        _put(out, output)
        if report is not None:
            shutil.copyfile(
                out / (artifacts.REPORT if report.suffix == ".json" else artifacts.REPORT_PAGE).name, report
            )
        layers = json.loads((out / artifacts.REPORT.name).read_text())
    if as_json:
        typer.echo(json.dumps(job))
    else:
        out_console.print(layer_table(layers, model.name), summary_table({output.name: job["summary"]}))
        if job["gates"]:
            out_console.print(gates_table(job["gates"]))
    if job["verdict"] == "fail":
        raise typer.Exit(GATE_FAILED)


@app.command()
def report(job_id: JobId, as_json: AsJson = False) -> None:
    """Print a job's report."""
    with _client() as client:
        document = client.report(job_id)
    if as_json:
        typer.echo(json.dumps(document))
    else:
        out_console.print(layer_table(document, job_id), summary_table({job_id: document["summary"]}))


@jobs_app.command("list")
def list_jobs(
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20, status: str | None = None, as_json: AsJson = False
) -> None:
    """The newest jobs."""
    with _client() as client:
        jobs = client.jobs(limit, status)
    if as_json:
        typer.echo(json.dumps(jobs))
    else:
        out_console.print(jobs_table(jobs))


@jobs_app.command()
def show(job_id: JobId) -> None:
    """One job as JSON."""
    with _client() as client:
        typer.echo(json.dumps(client.job(job_id), indent=1))


@jobs_app.command()
def watch(job_id: JobId) -> None:
    """Follow a job until it ends."""
    with _client() as client:
        show_progress(err_console, client.follow(job_id))
        typer.echo(client.succeeded(client.wait(job_id))["status"])


@jobs_app.command()
def cancel(job_id: JobId) -> None:
    """Cancel a job."""
    with _client() as client:
        typer.echo(client.cancel(job_id)["status"])


@jobs_app.command()
def rm(job_id: JobId) -> None:
    """Remove an ended job and its artifacts."""
    with _client() as client:
        client.delete(job_id)


def main() -> None:
    """Run the command; a failure is one line on standard error and the exit code of its kind."""
    try:
        sys.exit(app(standalone_mode=False) or 0)  # a command's own exit code comes as the value
    except typer.Abort:
        sys.exit(1)
    except ClientError as error:
        err_console.print(f"quantd: {error}", highlight=False, markup=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except TyperException as error:
        err_console.print(f"quantd: {error}; see `quantd --help`", highlight=False, markup=False, soft_wrap=True)
        sys.exit(ClientError.exit_code)


def _client() -> Client:
    return Client(os.environ.get("QUANTD_URL", DEFAULT_URL), os.environ.get("QUANTD_API_KEY"))


def _spec(path: Path | None, preset: str | None, gates: list[str]) -> dict[str, Any]:
    """The spec file with the preset and the gates of the command line put over it."""
    try:
        spec = yaml.safe_load(path.read_text()) if path else {}
    except (OSError, yaml.YAMLError) as error:
        raise ClientError(f"{path}: {error}") from None
    if not isinstance(spec, dict):
        raise ClientError(f"{path}: the spec is no mapping")
    if preset is not None:
        spec["preset"] = preset
    for gate in gates:
        name, _, value = gate.partition("=")
        try:
            spec.setdefault("gates", {})[name] = float(value)
        except ValueError:
            raise ClientError(f"--gate {gate}: accepted: NAME=NUMBER, such as min_output_sqnr_db=20") from None
    return spec


def _put(made: Path, output: Path) -> None:
    """The model where it is wanted, and beside it the file of its weights, where it has one."""
    model, data = (made / name for name in MODEL_FILES)
    beside = output.with_name(data.name)
    if data.exists():
        if beside.exists() and not output.exists():
            raise ClientError(f"{beside} holds another model's weights; write this one to another folder")
        shutil.move(data, beside)
    shutil.copyfile(model, output)


def _quantize_remote(
    model: Path, spec: dict[str, Any], calibration: Path | None, evaluation: Path | None, out: Path, quiet: bool
) -> dict[str, Any]:
    with _client() as client:
        with UploadProgress(err_console, quiet) as progress:
            ids = [
                client.upload_dataset(path, progress.of(path.name))["id"] if path else None
                for path in (calibration, evaluation)
            ]
            model_id = client.upload_model(model, progress.of(model.name))["id"]
        job = client.submit(model_id, spec, *ids)
        events = client.follow(job["id"])
        if not quiet:
            show_progress(err_console, events)
        job = client.succeeded(client.wait(job["id"]))
        for name in sorted({item["name"] for item in client.artifacts(job["id"])} & {*MODEL_FILES, *REPORTS}):
            client.download(job["id"], name, out / name)
    return job


def _quantize_local(
    model: Path, spec: dict[str, Any], calibration: Path | None, evaluation: Path | None, out: Path, quiet: bool
) -> dict[str, Any]:
    job = LocalJob(model, spec, calibration, evaluation, out)
    if quiet:
        for _ in job.events():
            pass
    else:
        show_progress(err_console, job.events())
    return job.end
