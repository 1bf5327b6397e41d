"""The process of one job (`python -m quant`), which reports in JSON lines on standard output.

The job is one line of JSON on standard input: `{"model": path, "name": str, "spec": {...}, "out": folder}`, with
`"calibration": path` and `"evaluation": path` if there is such data, and with `"baseline"` if the job is compared with
an earlier one (`quant.outcome.baseline`). With `"task": "plan"` or `"task": "inspect"` the
model is not quantized: the answer is written to one file (`ANSWERS`).
The last line of output is `{"event": "done", ...}` or, for such a task, `{"event": "answered"}` (exit status 0), or
`{"event": "error", ...}` (exit status 1).
"""

import json
import os
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from pydantic_core import to_jsonable_python

from quant.digests import write
from quant.errors import QuantdError
from quant.kernel import dispatch
from quant.outcome.baseline import Baseline
from quant.outcome.plan import INSPECTION_FILE, PLAN_FILE, Inspection, Plan
from quant.outcome.stages import Stage
from quant.pipeline import Inputs, quantize_model
from quant.plan.inspection import inspect_model
from quant.plan.plan import plan_model
from quant.progress import Progress
from quant.report.page.render import page
from quant.texts import with_short_texts


@dataclass(frozen=True)
class Answer:
    """A task that does not quantize the model: the function that forms its answer, and the file that holds it."""

    document: Callable[[Inputs, Progress], Plan | Inspection]
    file: str


ANSWERS: Mapping[str, Answer] = {
    "plan": Answer(plan_model, PLAN_FILE),
    "inspect": Answer(inspect_model, INSPECTION_FILE),
}
"""The tasks that do not quantize the model, by name."""


def load() -> None:
    """Load what a job needs besides this module: scipy's special functions, the compiled loops, the report's page."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # for scipy's copy, which is idle here; NumPy's copy is loaded already
    platform.processor()  # h5py asks for it, and Python then starts a command, which the sandbox refuses
    import_module("scipy.special")
    dispatch.load()
    page()


def main() -> int:
    """Run the job on standard input and return the exit status; 0 if the input ends before a job comes."""
    events = _EventWriter()
    line = sys.stdin.readline()
    return _run(json.loads(line), events) if line else 0


class _EventWriter:
    """Writer of the events to standard output.

    Whatever libraries print from then on, from C++ too, goes to standard error, so that it cannot pass for an event.
    """

    def __init__(self) -> None:
        self._lines = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    def write(self, event: str, **fields: Any) -> None:
        """Write one event as one line; its texts are shortened, since the worker reads no line of megabytes."""
        self._lines.write(json.dumps({"event": event, **with_short_texts(fields)}) + "\n")
        self._lines.flush()

    def progress(self, stage: Stage, completed: int, total: int, message: str) -> None:
        """Write a progress event."""
        self.write("progress", stage=stage, done=completed, total=total, message=message)

    def log(self, level: Literal["info", "warning"], message: str) -> None:
        """Write a log event."""
        self.write("log", level=level, message=message)


def _run(job: dict[str, Any], events: _EventWriter) -> int:
    """Quantize the job's model and write its last event; return the exit status."""
    paths = {role: Path(job[role]) for role in ("model", "calibration", "evaluation") if role in job}
    out = Path(job["out"])
    out.mkdir(parents=True, exist_ok=True)
    isolation = tuple(os.environ.get("QUANTD_SANDBOX", "").split())
    baseline = Baseline.model_validate(job["baseline"]) if "baseline" in job else None
    inputs = Inputs(name=job["name"], spec=job["spec"], isolation=isolation, baseline=baseline, **paths)
    try:
        if "task" in job:
            _answer(job["task"], inputs, out, events)
            return 0
        outcome = quantize_model(inputs, out, events.progress, events.log)
    except QuantdError as error:
        faults = [asdict(fault) for fault in error.errors]
        events.write("error", code=error.code, title=error.title, detail=error.detail, errors=faults)
        return 1
    events.write("done", **to_jsonable_python(outcome))
    return 0


def _answer(task: str, inputs: Inputs, out: Path, events: _EventWriter) -> None:
    """Write the answer of a task that does not quantize the model, and its last event."""
    answer = ANSWERS[task]
    document = answer.document(inputs, events.progress)
    write(out / answer.file, document.model_dump_json().encode() + b"\n")
    events.write("answered")
