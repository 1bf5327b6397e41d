"""A request to quantize one model, checked before anything is sent or run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quantd.baseline import Baseline
from quantd.outputs import Outputs, check_readable
from quantd.sources import Source
from quantd.spec import check_spec


@dataclass(frozen=True)
class Request:
    """A model to quantize, and what to do with the result.

    Attributes:
        model: the model's file, or the source that the service fetches it from.
        spec: the quantization spec.
        calibration: the calibration data; None without.
        evaluation: the evaluation data; None without.
        outputs: the files to write.
        tags: the tags of the job by key.
        priority: the priority among the tenant's own jobs, -10 to 10.
        webhook: the URL that is notified when the job ends.
        destination: the location that the artifacts are copied to, as the API takes it; None without.
        baseline: the job to compare with; None for no comparison.
        timeout_s: the seconds after which an unfinished job is cancelled; None for no limit.
        quiet: True to show neither progress nor addresses.
    """

    model: Path | Source
    spec: dict[str, Any]
    calibration: Path | Source | None
    evaluation: Path | Source | None
    outputs: Outputs
    tags: Mapping[str, str] = field(default_factory=dict)
    priority: int = 0
    webhook: str | None = None
    destination: Mapping[str, Any] | None = None
    baseline: Baseline | None = None
    timeout_s: float | None = None
    quiet: bool = False

    def check(self) -> None:
        """Raise if the job would fail for a reason that is known before it starts.

        Raises:
            ClientError: an input cannot be read, an output cannot be written, or the spec is not valid.
        """
        files = {"MODEL": self.model, "--calibration": self.calibration, "--evaluation": self.evaluation}
        paths = {option: path for option, path in files.items() if isinstance(path, Path)}
        for option, path in paths.items():
            check_readable(option, path)
        self.outputs.check(paths.values())
        check_spec(self.spec, calibration=self.calibration is not None, evaluation=self.evaluation is not None)
