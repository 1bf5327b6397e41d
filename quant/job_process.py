"""One job in a process of its own (`python -m quant`), told in JSON lines on standard output.

The job comes as one line of JSON on standard input: `{"model": path, "name": str, "spec": {...}, "out": folder}` and,
where there are such, `"calibration": path` and `"evaluation": path`.
The last line is `{"event": "done", ...}` (exit 0) or `{"event": "error", ...}` (exit 1).
"""

import json
import os
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from pydantic_core import to_jsonable_python

from quant.errors import QuantdError
from quant.kernel import dispatch
from quant.outcome.stages import Stage
from quant.pipeline import Inputs, quantize_model
from quant.report.report import page


def load() -> None:
    """Load what a job needs beside this module: scipy's special functions, the compiled loops and the report's page."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # for scipy's, which is idle here; NumPy's is loaded and keeps its threads
    import_module("scipy.special")
    dispatch.load()
    page()


def main() -> int:
    """Run the job that comes as one line on standard input; the exit status."""
    tell = _Teller()
    line = sys.stdin.readline()
    return _run(json.loads(line), tell) if line else 0


class _Teller:
    """The events, as lines; what libraries print themselves, from C++ too, goes to standard error from here on."""

    def __init__(self) -> None:
        self._lines = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    def __call__(self, event: str, **fields: Any) -> None:
        self._lines.write(json.dumps({"event": event, **fields}) + "\n")
        self._lines.flush()

    def progress(self, stage: Stage, done: int, total: int, message: str) -> None:
        self("progress", stage=stage, done=done, total=total, message=message)

    def log(self, level: Literal["info", "warning"], message: str) -> None:
        self("log", level=level, message=message)


def _run(job: dict[str, Any], tell: _Teller) -> int:
    paths = {role: Path(job[role]) for role in ("model", "calibration", "evaluation") if role in job}
    out = Path(job["out"])
    out.mkdir(parents=True, exist_ok=True)
    isolation = tuple(os.environ.get("QUANTD_SANDBOX", "").split())
    inputs = Inputs(name=job["name"], spec=job["spec"], isolation=isolation, **paths)
    try:
        outcome = quantize_model(inputs, out, tell.progress, tell.log)
    except QuantdError as error:
        faults = [asdict(fault) for fault in error.errors]
        tell("error", code=error.code, title=error.title, detail=error.detail, errors=faults)
        return 1
    tell("done", **to_jsonable_python(outcome))
    return 0
