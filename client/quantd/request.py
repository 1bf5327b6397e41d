"""A request to quantize one model, checked before anything is sent or run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quantd.baseline import Baseline
from quantd.outputs import Outputs, check_readable
from quantd.spec import check_spec


@dataclass(frozen=True)
class Request:
    """A model to quantize, and what to do with the result.

    Attributes:
        model: the model's file.
        spec: the quantization spec.
        calibration: the calibration data; None without.
        evaluation: the evaluation data; None without.
        outputs: the files to write.
        tags: the tags of the job by key.
        priority: the priority among the tenant's own jobs, -10 to 10.
        webhook: the URL that is notified when the job ends.
        baseline: the job to compare with; None for no comparison.
        timeout_s: the seconds after which an unfinished job is cancelled; None for no limit.
        quiet: True to show neither progress nor addresses.
    """

    model: Path
    spec: dict[str, Any]
    calibration: Path | None
    evaluation: Path | None
    outputs: Outputs
    tags: Mapping[str, str] = field(default_factory=dict)
    priority: int = 0
    webhook: str | None = None
    baseline: Baseline | None = None
    timeout_s: float | None = None
    quiet: bool = False

    def check(self) -> None:
        """Raise if the job would fail for a reason that is known before it starts.

        Raises:
            ClientError: an input cannot be read, an output cannot be written, or the spec is not valid.
        """
        check_readable("MODEL", self.model)
        check_readable("--calibration", self.calibration)
        check_readable("--evaluation", self.evaluation)
        self.outputs.check([path for path in (self.model, self.calibration, self.evaluation) if path])
        check_spec(self.spec, calibration=self.calibration is not None, evaluation=self.evaluation is not None)
