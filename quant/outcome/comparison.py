"""The comparison of two jobs, a baseline `a` and another job `b`, as the gateway and the client show it.

A difference is the figure of `b` less that of `a`.
"""

from typing import Any, Literal

from quant.outcome.gates import Verdict
from quant.outcome.report.base import Figure, ReportModel
from quant.outcome.report.changes import Change, FigureChange, MetricChange
from quant.outcome.report.sections import ModelIdentity, Provenance


class SettingChange(ReportModel):
    """One property of a layer that differs between the jobs."""

    key: str
    """Its key in the layer's entry of report.json."""
    a: str | int | tuple[int, ...] | None
    """Its value in the baseline."""
    b: str | int | tuple[int, ...] | None
    """Its value in the other job."""


class LayerChange(ReportModel):
    """One layer that both jobs quantized."""

    name: str
    """Name of the layer."""
    op: str
    """ONNX operator, in `b`."""
    output_sqnr_db: FigureChange
    """SQNR at the layer's output in dB, measured on held-out calibration samples."""
    weight_sqnr_db: FigureChange
    """SQNR of the layer's weights in dB."""
    error_share: FigureChange
    """Share of the output error, 0 to 1. It depends on all other layers and has no better direction."""
    bytes_after: FigureChange
    """Bytes of the quantized weights."""
    settings: tuple[SettingChange, ...]
    """The properties that differ, such as the bits."""

    @property
    def is_changed(self) -> bool:
        """True if a figure or a property of the layer differs."""
        figures = (self.output_sqnr_db, self.weight_sqnr_db, self.bytes_after)
        return bool(self.settings) or any(figure.a != figure.b for figure in figures)


class LoneLayer(ReportModel):
    """One layer that only one of the jobs quantized."""

    name: str
    """Name of the layer."""
    op: str
    """ONNX operator."""
    bits: int
    """Bits of its weights."""
    output_sqnr_db: Figure
    """SQNR at its output in dB."""
    weight_sqnr_db: Figure
    """SQNR of its weights in dB."""
    reason: str
    """Why the other job did not quantize it."""


class GateSide(ReportModel):
    """One gate in one job."""

    limit: float
    """The limit that the spec sets."""
    value: float | None
    """The measured value; null if it was not measured."""
    passed: bool
    """True if the value keeps the limit."""


class GateChange(ReportModel):
    """One gate of both jobs, or of one of them."""

    name: str
    """Key in the spec's `gates` section."""
    unit: str
    """Unit of limit and value; empty for a fraction."""
    better: Literal["higher", "lower"]
    """Direction in which the figure improves."""
    a: GateSide | None
    """The gate in the baseline; null if its spec does not set it."""
    b: GateSide | None
    """The gate in the other job; null if its spec does not set it."""
    change: Change | None
    """"better" if it passes in `b` only, "worse" if it passes in `a` only, null if one spec does not set it."""


class SpecDifference(ReportModel):
    """One key of the resolved specs that differs."""

    pointer: str
    """JSON pointer to the key (RFC 6901)."""
    a: Any
    """Its value in the baseline; null if it is missing there."""
    b: Any
    """Its value in the other job; null if it is missing there."""
    only_in: Literal["a", "b"] | None
    """The job that has the key, if the other does not."""


class ComparedJob(ReportModel):
    """One of the two jobs."""

    model: ModelIdentity
    """The uploaded model."""
    provenance: Provenance
    """The versions and the data that its result depends on."""
    verdict: Verdict
    """The result of its gates; null without gates."""
    diagnosis: str
    """Its diagnosis in one sentence."""


class Comparison(ReportModel):
    """The comparison of two jobs."""

    a: ComparedJob
    """The baseline."""
    b: ComparedJob
    """The job that is compared with it."""
    same_model: bool
    """True if both quantized the same bytes."""
    same_calibration: bool
    """True if both have the same calibration data, or none. Otherwise SQNRs at layers' outputs have no difference."""
    same_evaluation: bool
    """True if both have the same evaluation data, or none. Otherwise figures on outputs have no difference."""
    notes: tuple[str, ...]
    """Sentences on what limits the comparison."""
    metrics: tuple[MetricChange, ...]
    """The metrics of the summary that at least one job has."""
    gates: tuple[GateChange, ...]
    """The gates, without those on durations."""
    layers: tuple[LayerChange, ...]
    """The layers that both quantized: the largest difference of the output SQNR first, then that of the weights."""
    only_in_a: tuple[LoneLayer, ...]
    """The layers that only the baseline quantized, in the order of the network."""
    only_in_b: tuple[LoneLayer, ...]
    """The layers that only the other job quantized, in the order of the network."""
    spec: tuple[SpecDifference, ...]
    """The keys of the resolved specs that differ."""
