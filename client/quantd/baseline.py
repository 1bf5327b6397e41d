"""The comparison of a job with a baseline: an earlier job, named by its id or as the newest with a tag."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from quantd.api import Client
from quantd.errors import ClientError
from quantd.figures import METRICS, Document
from quantd.regression import RegressionCheck, check_regressions
from quantd.spec import parse_number
from quantd.tags import parse_tag
from quantd.text import accepted_names


@dataclass(frozen=True)
class Baseline:
    """The wish to compare with an earlier job.

    Attributes:
        tag: the tag of the earlier job, as `key:value`; None if `job_id` names it.
        job_id: the id of the earlier job; None if `tag` names it.
        limits: the largest accepted change for the worse, by the metric's name.
    """

    tag: str | None
    job_id: str | None
    limits: Mapping[str, float]

    @classmethod
    def parse(cls, name: str | None, limits: Iterable[str]) -> Self | None:
        """Return the baseline of the options `--baseline` and `--max-regression`; None without them.

        Raises:
            ClientError: an option has another form, or names no metric.
        """
        parsed = dict(_parse_limit(text) for text in limits)
        if name is None:
            if parsed:
                raise ClientError("--max-regression needs --baseline; accepted: --baseline tag:KEY=VALUE or a job's id")
            return None
        if not name.startswith("tag:"):
            if ":" in name or "=" in name:
                raise ClientError(f"--baseline {name}: accepted: tag:KEY=VALUE, or the id of a job")
            return cls(None, name, parsed)
        return cls(":".join(parse_tag("--baseline", name.removeprefix("tag:"))), None, parsed)

    def __str__(self) -> str:
        """Return the name of the baseline as it is shown."""
        return self.job_id or f"tag {(self.tag or '').replace(':', '=', 1)}"

    def find(self, client: Client, model_name: str | None) -> Document | None:
        """Return the job to compare with; None if no succeeded job with the same model name has the tag yet.

        Args:
            client: a client of the service.
            model_name: the file name of the model that is quantized; with None, models of any name are compared.

        Raises:
            ClientError: the named job does not exist or has not succeeded.
        """
        if self.job_id is not None:
            job = client.job(self.job_id)
            if job.status != "succeeded":
                raise ClientError(f"--baseline {job.id}: this job is {job.status}; accepted: a succeeded job")
            return job.document
        newest = client.newest_jobs(page_size=5, status="succeeded", tag=self.tag, name=model_name)
        jobs = (job.document for job in newest)
        return next((job for job in jobs if model_name is None or job["model_name"] == model_name), None)

    def check(self, baseline: Document, job: Document) -> list[RegressionCheck]:
        """Return the result for every metric with a limit."""
        compared = job.get("comparison")  # the service compares digests; an older one has no comparison
        same_evaluation = compared["same_evaluation"] if compared else baseline["evaluation"] == job["evaluation"]
        return check_regressions(self.limits, baseline["summary"], job["summary"], same_evaluation=same_evaluation)


def _parse_limit(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    if name not in METRICS:
        raise ClientError(f"--max-regression {text}: there is no metric {name!r}; {accepted_names(name, METRICS)}")
    limit = parse_number("--max-regression", text, value)
    if limit < 0:
        raise ClientError(f"--max-regression {text}: accepted: a number of at least 0")
    return name, limit
