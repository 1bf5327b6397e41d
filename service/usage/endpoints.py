"""The endpoint that shows what the tenant of the caller used."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict

from jobs.errors import BadRequest
from jobs.records.usage import FIGURES, Figures
from quant.errors import FieldError
from service.context import Ctx
from service.problems import RESPONSES

MOST_DAYS = 400
"""The counts of a day are kept for this many days."""
DEFAULT_DAYS = 30


def _check_iso(text: str) -> str:
    """Return a date unchanged if it has the form YYYY-MM-DD; pydantic takes seconds since 1970, too.

    Raises:
        ValueError: it has another form.
    """
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text) is None:
        raise ValueError("accepted: YYYY-MM-DD")
    return text


Day = Annotated[date, BeforeValidator(_check_iso)]
router = APIRouter(prefix="/v1", tags=["Service"], responses=RESPONSES)


class UsageFigures(BaseModel):
    """The usage of a tenant."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    jobs_succeeded: int
    """The jobs that succeeded, with those whose result was stored."""
    jobs_failed: int
    """The jobs that failed."""
    jobs_cancelled: int
    """The jobs that were cancelled."""
    jobs_cached: int
    """The jobs that succeeded at once, with the result of an equal job."""
    job_seconds: float
    """The time that jobs ran, in seconds of a clock: from the start of the last attempt to the end."""
    artifact_bytes: int
    """The bytes of the artifacts that were stored."""
    uploads: int
    """The models and datasets that were stored; equal bytes are stored once."""
    uploaded_bytes: int
    """The bytes of these models and datasets."""


class UsagePeriod(UsageFigures):
    """The usage of a tenant in a day or a month."""

    period: str
    """The day, such as `2026-11-28`, or the month, such as `2026-11`, in UTC."""


class UsageOut(BaseModel):
    """The usage of the caller's tenant. Jobs count on the day of their end."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    tenant: str
    """The tenant."""
    items: list[UsagePeriod]
    """The periods with any usage, oldest first."""
    total: UsageFigures
    """The sum of all periods."""


@router.get("/usage", summary="Show usage", response_description="The usage.")
def get_usage(
    context: Ctx,
    first: Annotated[
        Day | None, Query(alias="from", description="The first day, in UTC; 29 days before the last day by default.")
    ] = None,
    last: Annotated[Day | None, Query(alias="to", description="The last day, in UTC; today by default.")] = None,
    by: Annotated[Literal["day", "month"], Query(description="The periods to show.")] = "day",
) -> UsageOut:
    """Show the jobs, their time and the stored bytes of the caller's tenant, by day or month.

    The counts are kept for 400 days. They do not include downloads, which the object store may answer itself.
    """
    last = last or context.records.today()
    first = first or max(date.min + timedelta(DEFAULT_DAYS), last) - timedelta(DEFAULT_DAYS - 1)
    if not 0 <= (last - first).days < MOST_DAYS:
        fault = f"{first} to {last}; accepted: at most {MOST_DAYS} days, the first one first"
        raise BadRequest(f"query: the days are {fault}", [FieldError("/from", fault)])
    periods: dict[str, Counter[str]] = defaultdict(Counter)
    total: Counter[str] = Counter(dict.fromkeys(FIGURES, 0))
    for day, figures in context.records.usage(context.tenant, first, last).items():
        periods[day.isoformat() if by == "day" else f"{day:%Y-%m}"].update(_rounded(figures))
        total.update(_rounded(figures))
    items = [UsagePeriod.model_validate({"period": period, **sums}) for period, sums in periods.items()]
    return UsageOut(tenant=context.tenant, items=items, total=UsageFigures.model_validate(total))


def _rounded(figures: Figures) -> Mapping[str, float]:
    """Return the figures with seconds to the millisecond; all others are whole numbers."""
    return {name: round(amount, 3) if name == "job_seconds" else int(amount) for name, amount in figures.items()}
