"""Messages from a job's process to its worker: JSON lines, validated because the process is untrusted."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic_core import from_json

from jobs.http_status import make_problem
from jobs.job import FieldProblem, Gate, Problem, Progress
from quant.outcome.gates import Verdict
from quant.outcome.latency import Latency
from quant.outcome.report.changes import BaselineComparison
from quant.outcome.stages import Stage
from quant.outcome.summary import Summary
from quant.texts import with_short_texts


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True)


class ProgressLine(_Line):
    """The progress of the current stage."""

    event: Literal["progress"]
    stage: Stage
    done: int = Field(ge=0)
    total: int = Field(ge=0)
    message: str

    @property
    def progress(self) -> Progress:
        """Return the progress as the job's record stores it."""
        fraction = min(self.done / self.total, 1.0) if self.total else 0.0
        return Progress(fraction=fraction, done=self.done, total=self.total, message=self.message)


class Logged(_Line):
    """A log message; its text may come from the uploaded model."""

    event: Literal["log"]
    level: Literal["info", "warning"]
    message: str


class Done(_Line):
    """The last line of a job that produced its artifacts."""

    event: Literal["done"]
    summary: Summary
    verdict: Verdict
    gates: tuple[Gate, ...]
    timings: dict[str, float]
    latency: Latency | None = None
    comparison: BaselineComparison | None = None


class Answered(_Line):
    """The last line of a plan that was written."""

    event: Literal["answered"]


class Refused(_Line):
    """The last line of a job that failed; `detail` says why and what would be accepted."""

    event: Literal["error"]
    code: str = Field(pattern=r"^[a-z_]+(\.[a-z_]+)*$")
    title: str
    detail: str
    errors: tuple[FieldProblem, ...] = ()

    @property
    def problem(self) -> Problem:
        """Return the failure as RFC 9457 problem details."""
        return make_problem(self.code, self.title, self.detail, self.errors)


Line = Annotated[ProgressLine | Logged | Done | Answered | Refused, Field(discriminator="event")]
_LINE: TypeAdapter[Line] = TypeAdapter(Line)


def read_line(line: bytes) -> Line | None:
    """Return the message in a line, with shortened texts.

    None, if the line is no message: libraries may print to the same stream.
    """
    try:
        return _LINE.validate_python(with_short_texts(from_json(line)))
    except ValueError:
        return None
