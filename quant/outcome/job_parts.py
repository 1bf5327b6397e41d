"""The parts of the report page that belong to one job: the verdict of all gates, the latency, and the job's id.

Equal jobs store equal pages, so the stored page holds these parts without durations and without an id, each between two
marks. The service and the command line replace them by those of the job's record when they show the page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from quant.outcome.gates import GateResult
from quant.outcome.latency import Latency


class Part(StrEnum):
    """A part of the page; the value is its name in the marks."""

    VERDICT = "verdict"
    LATENCY_FIGURE = "latency figure"
    LATENCY = "latency"
    JOB_ID = "job id"

    @property
    def begin(self) -> str:
        """The mark before the part. Texts of a model cannot contain it, since the page escapes them."""
        return f"<!-- begin: {self} -->"

    @property
    def end(self) -> str:
        """The mark behind the part."""
        return f"<!-- end: {self} -->"


@dataclass(frozen=True)
class JobFacts:
    """The facts of one job that its page shows.

    Attributes:
        gates: the checked gates; of a stored page, those that are not on durations.
        latency: the latency of both models; None where it was not measured, and in a stored page.
        job_id: the id of the job; None in a stored page and without a service.
        timed_gates: the number of gates on durations that `gates` leaves out.
    """

    gates: Sequence[GateResult]
    latency: Latency | None = None
    job_id: str | None = None
    timed_gates: int = 0


@dataclass(frozen=True)
class _GateRow:
    """The texts of one gate."""

    name: str
    required: str
    value: str
    margin: str
    passed: bool


def job_parts(facts: JobFacts) -> Mapping[Part, Markup]:
    """Return every part as HTML between its marks."""
    macros = _macros()
    rows = [_gate_row(gate) for gate in facts.gates]
    parts = {
        Part.VERDICT: macros.verdict(rows, facts.timed_gates),
        Part.LATENCY_FIGURE: macros.latency_figure(facts.latency),
        Part.LATENCY: macros.latency_section(facts.latency),
        Part.JOB_ID: macros.job_id(facts.job_id),
    }
    return {part: Markup(part.begin) + html + Markup(part.end) for part, html in parts.items()}


def fill_page(page: bytes, facts: JobFacts) -> bytes:
    """Return the stored page with the parts of one job; a part whose marks are missing stays as it is."""
    for part, html in job_parts(facts).items():
        before, begin, rest = page.partition(part.begin.encode())
        _, end, after = rest.partition(part.end.encode())
        if begin and end:
            page = before + html.encode() + after
    return page


def _gate_row(result: GateResult) -> _GateRow:
    gate = result.gate
    unit = gate.unit and f" {gate.unit}"
    required = f"{gate.better.limit_words} {result.limit:g}{unit}"
    if result.reason is not None:
        return _GateRow(result.name, required, f"not judged: {result.reason}", "", result.passed)
    if result.value is None or result.margin is None:
        return _GateRow(result.name, required, "not measured", "", result.passed)
    text = f"{result.margin:+.3g}{unit}".replace("-", "−")
    return _GateRow(result.name, required, f"{result.value:.4g}{unit}", text, result.passed)


@cache
def _macros() -> Any:
    """Return the macros of the template, compiled once in a process."""
    environment = Environment(
        loader=PackageLoader("quant.outcome", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("job_parts.html").module
