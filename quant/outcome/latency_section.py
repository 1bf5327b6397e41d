"""The section of the report page that shows latency.

The stored page holds only a mark in its place, so that equal jobs store equal bytes. The service and the
command line replace the mark by the figures of the job's record when they show the page.
"""

from collections.abc import Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from quant.outcome.gates import GateResult
from quant.outcome.latency import Latency

MARK = "<!-- latency: measured by each job, not part of the stored page -->"
"""The place of the section in the stored page. Texts of a model cannot contain it, since the page escapes them."""


def with_latency(page: bytes, latency: Latency | None, gates: Sequence[GateResult]) -> bytes:
    """Return the stored report page with the section in its place; unchanged if nothing is known about latency.

    Args:
        page: the stored page.
        latency: the latency of the job's record.
        gates: the checked gates of the record; those on durations are shown.
    """
    if latency is None:
        return page
    timed = [result for result in gates if result.gate.is_timed]
    return page.replace(MARK.encode(), _template().render(latency=latency, gates=timed).encode(), 1)


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("quant.outcome", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("latency.html")
