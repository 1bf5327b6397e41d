"""A job's own page: its course, result, report, artifacts and commands; cancelling and deleting it."""

from collections.abc import Sequence

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from jobs.errors import Conflict, NotFound
from jobs.events import Event
from jobs.job import Job, Status, Upload
from jobs.records import JobFilter
from quant.outcome.artifacts import MODEL
from service.context import Context, Ctx
from service.jobs.path import JobOfPath
from service.jobs.schemas import destination_out
from service.pages.commands import curl_command, quantd_command
from service.pages.formats import age, elapsed
from service.pages.frame import page_router, render
from service.pages.job_row import JobRow, job_name, job_row
from service.pages.job_view import (
    artifact_views,
    figures,
    file_views,
    gate_views,
    job_course,
    progress_text,
    webhook_host,
)
from service.pages.new_job_form import as_yaml
from service.shares.links import list_shares
from service.uploads.inputs import INPUT_KINDS, input_upload

router = page_router()

COMPARABLE = 20
"""The page offers this many of the newest other results of the same model for a comparison."""


@router.get("/jobs/{job_id}")
async def show_job(request: Request, job: JobOfPath, context: Ctx) -> Response:
    """Show a job."""
    events = await context.events.history(job.id)
    return await run_in_threadpool(_page, request, context, job, events)


@router.post("/jobs/{job_id}/cancel")
def cancel_job(job: JobOfPath, context: Ctx) -> Response:
    """Cancel a job and show it."""
    context.records.cancel(job)
    return RedirectResponse(f"/jobs/{job.id}", 303)


@router.get("/jobs/{job_id}/delete")
def confirm_deletion(request: Request, job: JobOfPath) -> Response:
    """Ask whether the job is to be deleted."""
    return render(request, "job_delete.html", job=job, row=job_row(job))


@router.post("/jobs/{job_id}/delete")
def delete_job(job: JobOfPath, context: Ctx) -> Response:
    """Delete an ended job and its artifacts, and show the list."""
    context.records.delete_job(job)
    context.archive.drop_job(job)
    return RedirectResponse("/", 303)


def _page(request: Request, context: Context, job: Job, events: Sequence[Event]) -> Response:
    files, artifacts = _files(context, job), artifact_views(job)
    queued = job.status == Status.QUEUED
    url = str(request.base_url).rstrip("/")
    needs_key = context.settings.auth == "required"
    return render(
        request,
        "job.html",
        job=job,
        name=job_name(job),
        row=job_row(job),
        course=job_course(job, events),
        progress=progress_text(job.progress) if job.status == Status.RUNNING else "",
        place=context.records.queue_position(job.id) if queued else None,
        workers=len(context.workers.all()) if queued else None,
        created=age(job.created_at),
        elapsed=elapsed(job.started_at, job.finished_at),
        gates=gate_views(job),
        figures=figures(job),
        files=file_views(job, files),
        artifacts=artifacts,
        model=next((artifact for artifact in artifacts if artifact.name == MODEL.name), None),
        others=_others(context, job),
        shares=list_shares(context, job) if job.artifacts else [],
        webhook_host=webhook_host(job),
        webhook=context.records.webhook_attempts(job.id) if job.webhook else None,
        destination=destination_out(job),
        spec=as_yaml(job.spec) if job.spec else "",
        quantd=quantd_command(job, files, url, needs_key),
        curl=curl_command(job, url, needs_key),
    )


def _files(context: Context, job: Job) -> dict[str, Upload]:
    """Return the files of the job by role; one that was deleted, or not fetched, is missing."""
    files = {}
    for role, kind in INPUT_KINDS.items():
        upload_id = getattr(job, role)
        if upload_id is None:
            continue
        try:
            files[role] = input_upload(context, kind, upload_id)
        except (NotFound, Conflict):
            continue
    return files


def _others(context: Context, job: Job) -> list[JobRow]:
    """Return other results of the same model, newest first."""
    if not job.artifacts:
        return []
    conditions = JobFilter(status=Status.SUCCEEDED, model=job.model)
    jobs, _ = context.records.jobs(job.tenant, COMPARABLE + 1, None, conditions)
    return [job_row(other) for other in jobs if other.id != job.id][:COMPARABLE]
