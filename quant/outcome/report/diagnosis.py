"""The diagnosis: one sentence on what was lost and where, with the facts that it states."""

from typing import Literal

from quant.outcome.report.base import Bytes, Decibels, ReportModel, Share

Cause = Literal[
    "exact",
    "non_finite",
    "clipped_inputs",
    "activations",
    "few_layers",
    "spread",
    "weights_only",
    "nothing_quantized",
]
"""The kind of a diagnosis."""


class Diagnosis(ReportModel):
    """The most useful statement on the result, in plain words; facts that it does not state are null."""

    sentence: str
    """One sentence on what was lost and where, and what to do."""
    cause: Cause
    """The kind of the diagnosis: `exact` if nothing was lost, `non_finite` if only the quantized model's values are
    NaN or infinite, `clipped_inputs` if activations are clipped on the evaluation data, `activations` if they cause
    most of the error, `few_layers` or `spread` by the shares of the layers, `weights_only` if only errors of weights
    are known, `nothing_quantized` if all layers stay in float."""
    layers: tuple[str, ...]
    """Layers that the sentence is about, the worst first."""
    error_share: Share | None
    """Share of the output error that comes from these layers."""
    change: str | None
    """Advised change, as in `alternatives` of the first layer."""
    gain_db: Decibels | None
    """Expected gain of the output SQNR by that change."""
    bytes_more: Bytes | None
    """Bytes that the change costs."""
    spec: str | None
    """Lines of YAML for the spec that make the change."""
