"""The comparison of two jobs: summary, gates, layers and specs side by side."""

from fastapi import Request, Response

from jobs.job import Status
from jobs.records import JobFilter
from service.comparison.reports import compare_jobs
from service.context import Ctx
from service.pages.compare_view import comparison_view
from service.pages.frame import page_router, render
from service.pages.job_row import job_row

CHOICES = 50
"""The newest succeeded jobs that the form offers."""

router = page_router()


@router.get("/compare")
def show_comparison(request: Request, context: Ctx, a: str = "", b: str = "") -> Response:
    """Show the comparison of the jobs `a` and `b`, or a form that asks for them if one is missing."""
    if not (a and b):
        jobs, _ = context.records.jobs(context.tenant, CHOICES, None, JobFilter(status=Status.SUCCEEDED))
        return render(request, "compare_choice.html", rows=[job_row(job) for job in jobs], a=a, b=b)
    baseline, other = (context.records.job(job_id, context.tenant) for job_id in (a, b))
    comparison = compare_jobs(context, baseline, other)
    return render(
        request,
        "compare.html",
        a=job_row(baseline),
        b=job_row(other),
        comparison=comparison,
        view=comparison_view(comparison),
    )
