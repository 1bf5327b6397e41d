"""The result of a run, as the report and the manifest need it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quant.data.dataset import Dataset
from quant.data.findings import DataFinding
from quant.digests import FileDigest
from quant.evaluation.metrics import OutputComparison
from quant.evaluation.sqnr import sqnr_db
from quant.graph.inventory import Skipped
from quant.outcome.baseline import regressions
from quant.outcome.gates import GateFigures
from quant.outcome.latency import Latency
from quant.outcome.report.changes import BaselineComparison
from quant.outcome.report.layer import LayerEntry
from quant.outcome.report.sections import TargetFinding
from quant.outcome.summary import UNMEASURED, JobWarning, SizeFigures, Summary
from quant.report.measurements import NOTHING_MEASURED, Measurements
from quant.search.choice import Choice
from quant.weights.errors import RowErrors


@dataclass(frozen=True)
class SignalAndNoise:
    """The energy of all quantized weights, and the energy of their errors."""

    signal: float = 0.0
    noise: float = 0.0

    def plus(self, errors: RowErrors) -> "SignalAndNoise":
        """Return the energies with those of one more weight added."""
        return SignalAndNoise(self.signal + float(errors.energy.sum()), self.noise + float(errors.square.sum()))


@dataclass(frozen=True)
class Result:
    """The result of a run.

    Attributes:
        files: the digests of the written model files by their name.
        entries: the report's entry for each quantized layer.
        seconds: the time that each quantized layer took, by the layer's name.
        skipped: the nodes that stay as they are, with reasons.
        weights: the energies of all quantized weights and of their errors.
        warnings: sentences for the owner of the model.
        findings: what the owner has to know about the data; their sentences are among the warnings.
        target: what the exported model has that the machine of the profile does not take; as sentences, too.
        samples: the report's `samples`.
        outputs: the comparison with the float model's outputs; None without evaluation data.
        choice: the choice between candidates; None where the model was quantized layer by layer.
        measured: the measurements of the quantized model.
        job_warnings: the warnings of the summary; their sentences are not among `warnings`.
        latency: the latency of both models, which no artifact holds; None where the spec asks for no measurement.
    """

    files: dict[str, FileDigest]
    entries: list[LayerEntry]
    seconds: dict[str, float]
    skipped: Sequence[Skipped]
    weights: SignalAndNoise
    warnings: list[str]
    samples: Mapping[str, Any]
    outputs: OutputComparison | None = None
    choice: Choice | None = None
    measured: Measurements = NOTHING_MEASURED
    findings: Sequence[DataFinding] = ()
    target: Sequence[TargetFinding] = ()
    latency: Latency | None = None
    job_warnings: Sequence[JobWarning] = ()

    @property
    def bytes(self) -> int:
        """The size of the quantized model with its external data."""
        return sum(file.size for file in self.files.values())

    @property
    def all_warnings(self) -> tuple[str, ...]:
        """The sentences of all warnings."""
        return (*self.warnings, *(warning.detail for warning in self.job_warnings))

    def summary(self, bytes_before: int) -> Summary:
        """Return the summary without its duration, which no artifact holds."""
        sizes = SizeFigures.of(bytes_before, self.bytes)
        outputs = UNMEASURED if self.outputs is None else self.outputs.figures()
        return Summary(
            **sizes.model_dump(),
            layers=len(self.entries) + len(self.skipped),
            quantized_layers=len(self.entries),
            weight_sqnr_db=sqnr_db(self.weights.signal, self.weights.noise) if self.entries else None,
            **outputs.model_dump(),
            warnings=tuple(self.job_warnings),
            seconds=None,
        )

    @property
    def latency_ratio(self) -> float | None:
        """The latency of the quantized model divided by that of the float model; None if it was not measured."""
        return None if self.latency is None else self.latency.ratio

    def gate_figures(self, summary: Summary, comparison: BaselineComparison | None) -> GateFigures:
        """Return the figures that the gates are checked against."""
        layer_sqnr_db = [entry.weight.sqnr_db for entry in self.entries]
        changes = None if comparison is None else regressions(comparison)
        return GateFigures(summary, summary, layer_sqnr_db, self.latency_ratio, changes)


def samples_used(calibration: Dataset | None, evaluation: Dataset | None) -> dict[str, Any]:
    """Return the report's `samples`: how many of each set were given and used, and the batch; the first are used."""
    return {
        role: None if data is None else {"given": data.samples, "used": data.used, "batch": data.batch}
        for role, data in (("calibration", calibration), ("evaluation", evaluation))
    }
