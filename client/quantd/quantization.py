"""The work of `quantd quantize`: run one job, write its files, and say what came of it."""

import json
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import typer

from quantd import artifacts
from quantd.api import Client
from quantd.commands.options import connect, page_address
from quantd.console import err_console, out_console
from quantd.errors import GATE_FAILED, Interrupted, JobTimedOut, TimeUp
from quantd.fetching import fetch_artifacts
from quantd.figures import Document
from quantd.following import run_to_end
from quantd.job import Job
from quantd.local import LocalJob
from quantd.markdown import comparison_markdown
from quantd.models import Dataset, Model
from quantd.progress import UploadProgress
from quantd.regression import RegressionCheck
from quantd.request import Request
from quantd.results import destination_rows, gate_rows, regression_rows, report_rows, summary_rows
from quantd.rows import FAIL, Row, print_rows
from quantd.signals import time_limit
from quantd.sources import Source, local_file


@dataclass(frozen=True)
class Result:
    """A job that has succeeded.

    Attributes:
        job: the job's document.
        baseline: the job that it was compared with; None without one.
        regressions: the metrics that have a limit on their change.
    """

    job: Document
    baseline: Document | None = None
    regressions: tuple[RegressionCheck, ...] = ()

    @property
    def failed(self) -> list[str]:
        """The names of the gates and of the metrics that failed."""
        gates = [gate["name"] for gate in self.job["gates"] if not gate["passed"]]
        return gates + [check.name for check in self.regressions if not check.passed]


def submit(request: Request) -> int:
    """Submit a job and print its id, without waiting for its end; return the exit code."""
    request.check()
    with connect() as client:
        job = _submit(client, request, _upload(client, request), str(uuid.uuid4()))
    if request.quiet:
        typer.echo(json.dumps(job.document))
    else:
        typer.echo(job.id)
        print_rows(err_console, [Row("report", page_address(job.id))])
    return 0


def quantize(request: Request, *, local: bool) -> int:
    """Run a job, write the requested files, print the result, and return the exit code.

    Args:
        request: the job.
        local: True to run it on this machine, without a service.
    """
    request.check()
    with tempfile.TemporaryDirectory(prefix="quantd-") as name:
        folder = Path(name)
        result = _run_locally(request, folder) if local else _run_remotely(request, folder)
        document = _document(request, result)
        comparison = comparison_markdown(result.baseline, result.regressions) if request.baseline else ""
        request.outputs.write(folder, document, result.regressions, comparison)
        report = json.loads((folder / artifacts.REPORT).read_text())
    if request.quiet:
        typer.echo(json.dumps(document))
    else:
        print_rows(out_console, _rows(request, result, report))
    return GATE_FAILED if result.failed else 0


def _run_remotely(request: Request, folder: Path) -> Result:
    """Run the job on the service and download the artifacts that the files are written from."""
    with connect() as client:
        if request.baseline and request.baseline.job_id:
            request.baseline.find(client, None)  # a job that does not exist is refused before the upload
        uploaded = _upload(client, request)
        baseline = request.baseline.find(client, uploaded.model.filename) if request.baseline else None
        post = partial(_submit, client, request, uploaded, str(uuid.uuid4()), str(baseline["id"]) if baseline else None)
        job = run_to_end(post, request.timeout_s, quiet=request.quiet).require_success()
        fetch_artifacts(job, request.outputs, folder)
        if request.destination:
            job.wait_for_copy()
    checks = request.baseline.check(baseline, job.document) if request.baseline and baseline else []
    return Result(job.document, baseline, tuple(checks))


@dataclass(frozen=True)
class _Uploaded:
    """The files of a request as the service knows them."""

    model: Model
    calibration: Dataset | None
    evaluation: Dataset | None


def _upload(client: Client, request: Request) -> _Uploaded:
    """Upload the model and its data."""
    with UploadProgress(err_console, request.quiet) as progress:

        def dataset(file: Path | Source | None) -> Dataset | None:
            if isinstance(file, Source):
                return client.add_dataset(file.location, credentials=file.credentials)
            return None if file is None else client.upload_dataset(file, progress.of(file.name))

        def model(file: Path | Source) -> Model:
            if isinstance(file, Source):
                return client.add_model(file.location, credentials=file.credentials)
            return client.upload(file, progress.of(file.name))

        calibration, evaluation = dataset(request.calibration), dataset(request.evaluation)
        return _Uploaded(model(request.model), calibration, evaluation)


def _submit(client: Client, request: Request, uploaded: _Uploaded, key: str, baseline: str | None = None) -> Job:
    """Submit the job and return it; a second call with the same key returns the same job."""
    return client.quantize(
        uploaded.model, request.spec, calibration=uploaded.calibration, evaluation=uploaded.evaluation,
        tags=request.tags, priority=request.priority, webhook=request.webhook, destination=request.destination,
        baseline=baseline,
        idempotency_key=key,
    )  # fmt: skip


def _run_locally(request: Request, folder: Path) -> Result:
    """Run the quantizer on this machine; it ends with the command."""
    calibration, evaluation = map(local_file, (request.calibration, request.evaluation))
    model = local_file(request.model)
    assert model is not None
    job = LocalJob(model, request.spec, calibration, evaluation, folder)
    try:
        with time_limit(request.timeout_s):
            job.run(quiet=request.quiet)
    except Interrupted as interruption:
        raise Interrupted(interruption.signal_number, "interrupted: the job was stopped") from None
    except TimeUp:
        limit = f"{request.timeout_s:g} s (--timeout)"
        raise JobTimedOut(f"the job did not end within {limit} and was stopped") from None
    if request.outputs.needs_page:
        job.fill_report_page()
    return Result(job.end)


def _document(request: Request, result: Result) -> Document:
    """Return the JSON document of the result: the job, and the comparison with the baseline if one was asked for."""
    if request.baseline is None:
        return result.job
    checks = [check.document() for check in result.regressions]
    return {**result.job, "baseline": result.baseline and result.baseline["id"], "regressions": checks}


def _rows(request: Request, result: Result, report: Document) -> Iterator[Row]:
    """Yield the rows of the result: the verdict of each gate first, the exit code of a failure last."""
    job, baseline = result.job, result.baseline
    yield from gate_rows(job["gates"])
    if request.baseline:
        yield from regression_rows(str(request.baseline), baseline, result.regressions)
    yield from summary_rows(job["summary"], job["latency"], baseline and baseline["summary"])
    yield from report_rows(report)
    yield from destination_rows(job)
    if result.failed:
        yield Row("FAILED", f"{', '.join(result.failed)} (exit code {GATE_FAILED})", FAIL)
