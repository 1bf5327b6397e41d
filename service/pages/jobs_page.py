"""The front page: a table of the newest jobs."""

from fastapi import Request, Response

from service.context import Ctx
from service.pages.frame import page_router, render

router = page_router()

SHOWN = 50


@router.get("/")
def index(request: Request, context: Ctx) -> Response:
    """Show the newest jobs with links to their reports."""
    jobs, _ = context.records.jobs(context.tenant, SHOWN, None)
    return render(request, "index.html", jobs=jobs)
