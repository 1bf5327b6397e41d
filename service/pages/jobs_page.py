"""The front page: the tenant's jobs with their live progress, filters, and the choice of two to compare."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from jobs.errors import BadRequest
from jobs.job import Status
from jobs.records import JobFilter
from service.context import Ctx, take_place
from service.pages.frame import page_router, render
from service.pages.job_row import job_row
from service.pages.live_jobs import live_jobs

router = page_router()

SHOWN = 25
VERDICTS: dict[str, Literal["pass", "fail"]] = {"pass": "pass", "fail": "fail"}


@dataclass(frozen=True)
class Filters:
    """The filters of the list as the address has them; "" filters nothing, and so does an unknown value."""

    status: str = ""
    verdict: str = ""
    tag: str = ""
    name: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Filters":
        """Return the filters of a query string."""
        values = {field: query.get(field, "").strip() for field in ("status", "verdict", "tag", "name")}
        values["status"] = values["status"] if values["status"] in set(Status) else ""
        values["verdict"] = values["verdict"] if values["verdict"] in VERDICTS else ""
        return cls(**values)

    @property
    def conditions(self) -> JobFilter:
        """The conditions on the records."""
        return JobFilter(
            status=Status(self.status) if self.status else None,
            tags=(self.tag,) if self.tag else (),
            verdict=VERDICTS.get(self.verdict),
            name=self.name or None,
        )

    @property
    def narrow(self) -> bool:
        """True if a filter besides the status is set."""
        return bool(self.verdict or self.tag or self.name)

    def address(self, **changes: str | None) -> str:
        """Return the address of the list with these filters and the changes."""
        values = {name: value for name, value in {**asdict(self), **changes}.items() if value}
        return "/" + (f"?{urlencode(values)}" if values else "")


@router.get("/")
def show_jobs(request: Request, context: Ctx) -> Response:
    """Show a page of jobs, newest first."""
    filters, cursor = Filters.of(request.query_params), request.query_params.get("cursor") or None
    jobs, following = context.records.jobs(context.tenant, SHOWN, cursor, filters.conditions)
    counts = context.records.counts(context.tenant)
    return render(
        request, "jobs.html", filters=filters, rows=[job_row(job) for job in jobs], counts=counts,
        total=sum(counts.values()), cursor=cursor, next_cursor=following,
    )  # fmt: skip


@router.get("/jobs/events", response_class=EventSourceResponse, dependencies=[Depends(take_place)])
async def listed_events(
    context: Ctx, job: Annotated[list[str], Query(max_length=SHOWN)]
) -> AsyncIterator[ServerSentEvent]:
    """Stream the progress of the listed jobs: one stream for the page, whatever their number."""
    async for event in live_jobs(context, job):
        yield event


@router.get("/jobs/compare")
def choose_two(job: Annotated[list[str], Query(default_factory=list)]) -> Response:
    """Go to the comparison of the two chosen jobs.

    Raises:
        BadRequest: not exactly two jobs were chosen.
    """
    if len(job) != 2:
        raise BadRequest(f"{len(job)} jobs were chosen; accepted: two; go back and choose two jobs to compare")
    newer, older = sorted(job, reverse=True)
    return RedirectResponse("/compare?" + urlencode({"a": older, "b": newer}), 303)
