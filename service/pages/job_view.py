"""A job as its own page shows it: stages, gates, figures, files and artifacts in words."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlsplit

from jobs.events import Event
from jobs.job import Job, Progress, Status, Upload
from quant.outcome.artifacts import artifact_named
from quant.outcome.stages import Stage
from quant.outcome.task_values import worst_entries
from service.pages.formats import decibels, duration, figure, percent, size
from service.uploads.inputs import INPUT_KINDS

ROLES = {"model": "Model", "calibration": "Calibration data", "evaluation": "Evaluation data"}


@dataclass(frozen=True)
class StageView:
    """A stage: its name, its duration in words, and whether it is over, runs, is still to come, or was broken off."""

    name: str
    state: Literal["done", "current", "pending", "ended"]
    time: str


@dataclass(frozen=True)
class LogLine:
    """A line of the job's log: the time of day (UTC), the level, and the message."""

    time: str
    level: str
    message: str


@dataclass(frozen=True)
class Course:
    """The course of a job: its stages, its log, and the id of the last event that they contain ("0" without one)."""

    stages: tuple[StageView, ...]
    log: tuple[LogLine, ...]
    last_event: str


@dataclass(frozen=True)
class GateView:
    """A checked gate; every figure is text with its unit."""

    name: str
    description: str
    limit: str
    value: str
    margin: str
    passed: bool


@dataclass(frozen=True)
class Figure:
    """A figure of the summary: its name, its text with the unit, and a note on what it means."""

    name: str
    text: str
    note: str = ""


@dataclass(frozen=True)
class FileView:
    """A file that the job uses: its role, name, size ("" if it was deleted), and where its record is."""

    role: str
    name: str
    size: str
    url: str


@dataclass(frozen=True)
class ArtifactView:
    """A file that the job produced."""

    name: str
    description: str
    size: str
    sha256: str
    url: str


def job_course(job: Job, events: Sequence[Event]) -> Course:
    """Return the course of the job's latest attempt.

    The events expire a day after the job's end; the course of an older job is empty.
    """
    spent: dict[str, float] = {}
    log: list[LogLine] = []
    current, last, since = None, None, 0.0
    for event in events:
        data, time = json.loads(event.data), _seconds(event.id)
        if event.kind == "log":
            log.append(
                LogLine(f"{datetime.fromtimestamp(time, UTC):%H:%M:%S}", str(data["level"]), str(data["message"]))
            )
            continue
        if current is not None:
            last = current
            spent[current] = spent.get(current, 0.0) + time - since
        current, since = data.get("stage"), time
        if event.kind == "state" and data["status"] == Status.RUNNING:
            spent.clear()  # a new attempt begins
            current = Stage.LOADING
    if current is not None:
        spent[current] = spent.get(current, 0.0)
    return Course(_stages(job, spent, last), tuple(log), events[-1].id if events else "0")


def progress_text(progress: Progress | None) -> str:
    """Return the progress of a stage in words; a message that has the numbers itself is enough."""
    if progress is None:
        return ""
    numbers = f"{progress.done} of {progress.total}"
    return progress.message if numbers in progress.message else f"{numbers}: {progress.message}".removesuffix(": ")


def gate_views(job: Job) -> list[GateView]:
    """Return the job's gates."""
    views = []
    for result in job.gates:
        gate = result.gate
        number = figure(".4g", gate.unit)
        limit = f"{gate.better.limit_words} {number(result.limit)}"
        missing = f"not judged: {result.reason}" if result.reason else "not measured"
        value, spare = number(result.value) or missing, figure("+.3g", gate.unit)(result.margin)
        views.append(GateView(gate.name, gate.description, limit, value, spare, result.passed))
    return views


def webhook_host(job: Job) -> str:
    """Return the host of the job's webhook; "" without one. The rest of its address may be a secret."""
    return (urlsplit(job.webhook.url).hostname or "") if job.webhook else ""


def figures(job: Job) -> list[Figure]:
    """Return the measured figures of the summary; those that were not measured are left out."""
    summary, fraction = job.summary, figure(".4f")
    if summary is None:
        return []
    points = summary.top1_drop_points
    ratio = job.latency.ratio if job.latency else None
    shown = [
        Figure("Size", size(summary.bytes_after), f"{percent(summary.size_ratio)} of {size(summary.bytes_before)}"),
        Figure("Output SQNR", decibels(summary.output_sqnr_db), "on the evaluation data"),
        Figure("Top-1 agreement", "" if summary.top1_agreement is None else percent(summary.top1_agreement),
               "same class as the float model"),
        Figure("Top-1 accuracy", "" if summary.top1_quantized is None else f"{summary.top1_quantized:.2f} %",
               "" if points is None else f"{-points:+z.2f} points against float"),
        *(Figure(entry.figure.title, entry.text, entry.note) for entry in worst_entries(summary.task_metrics)),
        Figure("Output cosine", fraction(summary.output_cosine), "of both models' outputs"),
        Figure("Weight SQNR", decibels(summary.weight_sqnr_db), "over all quantized weights"),
        Figure("Latency", "" if ratio is None else f"{ratio:.2f} ×", "of the float model's, as measured"),
        Figure("Quantized layers", f"{summary.quantized_layers} of {summary.layers}", "layers with a weight"),
        Figure("Duration", "" if summary.seconds is None else duration(summary.seconds), "of the job"),
    ]  # fmt: skip
    return [entry for entry in shown if entry.text]


def file_views(job: Job, files: Mapping[str, Upload]) -> list[FileView]:
    """Return the files of the job; `files` holds those that still exist by role."""
    views = []
    for role, title in ROLES.items():
        upload_id = getattr(job, role)
        if upload_id is None:
            continue
        upload = files.get(role)
        known = upload.filename if upload else job.model_name if role == "model" else None
        address = f"/v1/{INPUT_KINDS[role]}s/{upload_id}" if upload else ""
        views.append(FileView(title, known or upload_id, _file_size(upload), address))
    return views


def _file_size(upload: Upload | None) -> str:
    """Return the size of a file in words; one that is being fetched has no key yet."""
    if upload is None:
        return ""
    return size(upload.size) if upload.key else "being fetched"


def artifact_views(job: Job) -> list[ArtifactView]:
    """Return the files that the job produced."""
    return [
        ArtifactView(
            artifact.name,
            artifact_named(artifact.name).description,
            size(artifact.size),
            artifact.sha256,
            f"/v1/jobs/{job.id}/artifacts/{artifact.name}",
        )
        for artifact in job.artifacts
    ]


def _stages(job: Job, spent: Mapping[str, float], last: str | None) -> tuple[StageView, ...]:
    """Return the stages as they began, then those that may still come; the job failed or was cancelled in `last`."""
    if job.final:
        broken_off = last if job.status != Status.SUCCEEDED else None
        return tuple(
            StageView(name, "ended" if name == broken_off else "done", duration(seconds))
            for name, seconds in spent.items()
        )
    begun = [
        StageView(name, "current" if name == job.stage else "done", "" if name == job.stage else duration(seconds))
        for name, seconds in spent.items()
    ]
    if job.stage is not None and job.stage not in spent:
        begun.append(StageView(job.stage, "current", ""))
    names = {stage.name for stage in begun}
    return (*begun, *(StageView(stage, "pending", "") for stage in Stage if stage not in names))


def _seconds(event_id: str) -> float:
    return int(event_id.partition("-")[0]) / 1000
