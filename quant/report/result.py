"""What a way of quantizing a model gives to its report and its manifest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quant.correction.twin import LayerDifference
from quant.data.dataset import Dataset
from quant.digests import FileDigest
from quant.error_bounds.propagate import NO_BOX, Bounds
from quant.evaluation.metrics import OutputComparison, sqnr_db
from quant.graph.inventory import Skipped
from quant.outcome.gates import GateFigures
from quant.outcome.summary import UNMEASURED, SizeFigures, Summary
from quant.search.decide import Decision
from quant.weights.quantize import RowErrors


@dataclass(frozen=True)
class SignalAndNoise:
    """Of all quantized weights, and of their errors."""

    signal: float = 0.0
    noise: float = 0.0

    def plus(self, errors: RowErrors) -> "SignalAndNoise":
        return SignalAndNoise(self.signal + float(errors.energy.sum()), self.noise + float(errors.square.sum()))


@dataclass(frozen=True)
class Result:
    """The files that were written, an entry and the seconds of each layer, and what else the report says.

    `decision` is None where nothing was to be decided on, `outputs` where there is no evaluation data; `differences`
    are those at the layers' outputs, where there is calibration data.
    """

    files: dict[str, FileDigest]
    entries: list[dict[str, Any]]
    seconds: dict[str, float]
    skipped: Sequence[Skipped]
    weights: SignalAndNoise
    warnings: list[str]
    samples: Mapping[str, Any]
    outputs: OutputComparison | None = None
    decision: Decision | None = None
    differences: Mapping[str, LayerDifference] = field(default_factory=dict)
    bounds: Bounds = NO_BOX

    def summary(self, bytes_before: int) -> Summary:
        """Return the summary without its duration, which no artifact holds."""
        sizes = SizeFigures.of(bytes_before, sum(file.size for file in self.files.values()))
        outputs = UNMEASURED if self.outputs is None else self.outputs.figures()
        return Summary(
            **sizes.model_dump(),
            layers=len(self.entries) + len(self.skipped),
            quantized_layers=len(self.entries),
            weight_sqnr_db=sqnr_db(self.weights.signal, self.weights.noise),
            **outputs.model_dump(),
            seconds=None,
        )

    def gate_figures(self, summary: Summary) -> GateFigures:
        """Return the figures that the gates are checked against."""
        return GateFigures(summary, summary, [entry["weight"]["sqnr_db"] for entry in self.entries])


def samples_used(calibration: Dataset | None, evaluation: Dataset | None) -> dict[str, Any]:
    """Which samples calibrated and which evaluated: the first `used` of each set."""
    return {
        role: None if data is None else {"given": data.samples, "used": data.used, "batch": data.batch}
        for role, data in (("calibration", calibration), ("evaluation", evaluation))
    }
