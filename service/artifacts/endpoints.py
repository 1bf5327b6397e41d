"""Endpoints of a job's artifacts and of its report."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from fastapi.responses import StreamingResponse

from quant.outcome.artifacts import REPORT_PAGE
from quant.outcome.report import Report
from service.artifacts.download import ARTIFACT_DOCS, Conditions, download, download_docs, send
from service.artifacts.report import find_artifact, report_page, timed_report
from service.artifacts.schemas import ArtifactPage, artifact_page
from service.context import Ctx
from service.jobs.path import JobOfPath
from service.problems import RESPONSES, problems

ArtifactName = Annotated[str, Path(description="The name of an artifact, such as `model.onnx`.")]

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["Artifacts and reports"], responses=RESPONSES)


@router.get("/artifacts", responses=problems(404), summary="List artifacts", response_description="The artifacts.")
def list_artifacts(job: JobOfPath) -> ArtifactPage:
    """List the files that a job produced."""
    return artifact_page(job)


@router.get(
    "/artifacts/{name}",
    response_class=StreamingResponse,
    responses=ARTIFACT_DOCS | problems(404, 409, 416),
    summary="Download an artifact",
)
def download_artifact(name: ArtifactName, job: JobOfPath, context: Ctx, conditions: Conditions) -> Response:
    """Download an artifact. Its ETag is its SHA-256."""
    return download(context, find_artifact(job, name), conditions)


@router.get(
    "/report.html",
    response_class=StreamingResponse,
    responses=download_docs(REPORT_PAGE) | problems(404, 409, 416),
    summary="Get the report as HTML",
)
def get_report_page(job: JobOfPath, context: Ctx, conditions: Conditions) -> Response:
    """Return the report as one self-contained page, with the latency that this job measured."""
    return send(report_page(context, job), conditions)


@router.get(
    "/report",
    response_model=None,
    responses={200: {"model": Report, "description": "The report."}, **problems(404, 409)},
    summary="Get the report as JSON",
)
def get_report(job: JobOfPath, context: Ctx) -> dict[str, Any]:
    """Return the report with the measured times: of the job, of the quantization of each layer, and the latency."""
    return timed_report(context, job)
