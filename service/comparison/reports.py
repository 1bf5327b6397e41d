"""The reports of two jobs, read as the documents of an unknown process, and their comparison."""

from pydantic import ValidationError

from jobs.errors import Conflict
from jobs.job import Job
from quant.outcome.artifacts import REPORT
from quant.outcome.compare import compare_reports
from quant.outcome.comparison import Comparison
from quant.outcome.report import SCHEMA_VERSION, Report
from service.artifacts.report import find_artifact
from service.context import Context

MAX_REPORT = 32 << 20
"""Bytes of the largest report that is compared. Its figures take several times as much memory."""


def compare_jobs(context: Context, a: Job, b: Job) -> Comparison:
    """Return the comparison of a baseline job with another.

    Raises:
        Conflict: a job has no report, or a report that cannot be compared.
    """
    return compare_reports(read_report(context, a), read_report(context, b))


def read_report(context: Context, job: Job) -> Report:
    """Return the stored report of a job.

    Raises:
        Conflict: the job has no report, or the report is too large, or has another form than this version writes.
    """
    artifact = find_artifact(job, REPORT.name)
    if artifact.size > MAX_REPORT:
        raise Conflict(
            f"the report of job {job.id!r} has {artifact.size} bytes; accepted for a comparison: at most {MAX_REPORT}"
        )
    try:
        return Report.model_validate_json(context.blobs.read(artifact.key))
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = "/" + "/".join(map(str, fault["loc"]))
        raise Conflict(
            f"the report of job {job.id!r} does not have the schema {SCHEMA_VERSION} of this version of quantd "
            f"({place[:100]}: {fault['msg'][:200]}); run the job again with `Cache-Control: no-cache` to compare it"
        ) from None
