"""Usage of tenants by day: counted by the steps that end jobs and store uploads.

The counts are in Redis only. Where it was lost, they are counted again from the jobs and uploads that still exist.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import cast

from jobs.records.store import RecordStore
from jobs.redis_keys import usage_key

FIGURES = (
    "jobs_succeeded", "jobs_failed", "jobs_cancelled", "jobs_cached", "job_seconds", "artifact_bytes", "uploads",
    "uploaded_bytes",
)  # fmt: skip
Figures = dict[str, float]
"""The amount of each figure."""
_EPOCH = date(1970, 1, 1)


class UsageRecords(RecordStore):
    """The usage of all tenants."""

    def usage(self, tenant: str, first: date, last: date) -> dict[date, Figures]:
        """Return the usage of a tenant for each day with some, from `first` to `last` in UTC."""
        pipeline = self._redis.pipeline(transaction=False)
        for day in _days(first, last):
            pipeline.hmget(_key(day), [f"{tenant} {figure}" for figure in FIGURES])
        found = zip(_days(first, last), pipeline.execute(), strict=True)
        return {day: _figures(amounts) for day, amounts in found if any(amounts)}

    def usage_by_tenant(self, first: date, last: date) -> dict[str, Figures]:
        """Return the usage of each tenant with some, from `first` to `last` in UTC together."""
        totals: dict[str, Figures] = defaultdict(lambda: dict.fromkeys(FIGURES, 0.0))
        for day in _days(first, last):
            for name, amount in cast(dict[str, str], self._redis.hgetall(_key(day))).items():
                tenant, figure = name.split(" ")
                totals[tenant][figure] += float(amount)
        return dict(sorted(totals.items()))

    def today(self) -> date:
        """Return the day of the clock of Redis, in UTC."""
        return datetime.fromtimestamp(self._clock(), UTC).date()


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=day) for day in range((last - first).days + 1))


def _key(day: date) -> str:
    return usage_key((day - _EPOCH).days)


def _figures(amounts: list[str | None]) -> Figures:
    return {figure: float(amount or 0) for figure, amount in zip(FIGURES, amounts, strict=True)}
