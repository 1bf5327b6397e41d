"""The whole report, as report.json holds it."""

from typing import Any, Final, Literal

from pydantic import ConfigDict

from quant.outcome.gates import Verdict
from quant.outcome.latency import Latency
from quant.outcome.report.base import ReportModel
from quant.outcome.report.changes import BaselineComparison
from quant.outcome.report.diagnosis import Diagnosis
from quant.outcome.report.layer import LayerEntry
from quant.outcome.report.sections import (
    AllocationSection,
    Compared,
    ErrorShareBasis,
    Evaluation,
    Finding,
    Float16,
    GateEntry,
    MatMulAccuracy,
    ModelIdentity,
    OutputBounds,
    OutputEntry,
    Provenance,
    Samples,
    SearchSection,
    SkippedNode,
    TargetFinding,
    TotalMeanShift,
)
from quant.outcome.summary import Summary

SCHEMA_VERSION: Final = "1.0"
"""Version of the report's schema: the second number rises with new keys, the first with changed or removed ones."""


class Report(ReportModel):
    """The report of a job. All its durations are null where it is stored, so that equal jobs give equal bytes."""

    model_config = ConfigDict(title="quantd report")

    schema_version: Literal["1.0"] = SCHEMA_VERSION
    """Version of this schema."""
    model: ModelIdentity
    """Name, digest and size of the uploaded model."""
    provenance: Provenance
    """Versions of the libraries and digests of the data."""
    verdict: Verdict
    """"pass" if all stored gates passed, "fail" if one did not, null without gates."""
    gates: tuple[GateEntry, ...]
    """The checked gates, without those on durations."""
    diagnosis: Diagnosis
    """The loss and its cause, in one sentence."""
    summary: Summary
    """The most important figures."""
    spec: dict[str, Any]
    """The spec with its preset and defaults filled in."""
    samples: Samples
    """The samples of the data sets."""
    layers: tuple[LayerEntry, ...]
    """The quantized layers, in the order of the network."""
    worst_layers: tuple[str, ...]
    """Names of the worst layers, the worst first."""
    worst_layers_by: Literal["output_sqnr_db", "weight_sqnr_db"]
    """Figure by which they are the worst."""
    error_share_basis: ErrorShareBasis
    """The measurement of the shares of the output error of the layers."""
    skipped: tuple[SkippedNode, ...]
    """The nodes that stay as they are."""
    warnings: tuple[str, ...]
    """Warnings for the owner of the model."""
    data_findings: tuple[Finding, ...]
    """Findings on the data; their sentences are among the warnings."""
    target: tuple[TargetFinding, ...] = ()
    """Parts of the exported model that the machine of the profile does not take; their sentences are among the
    warnings."""
    total_mean_shift: TotalMeanShift
    """The mean shifts summed over the layers."""
    compared: Compared | None
    """The compared candidates; null without calibration data."""
    outputs: tuple[OutputEntry, ...] | None
    """The outputs on the evaluation data; null without evaluation data."""
    evaluation: Evaluation | None
    """Further figures on the evaluation data; null without evaluation data."""
    allocation: AllocationSection | None
    """The allocation of bits; null if the spec sets them."""
    search: SearchSection | None
    """The search for the smallest model within the gates; null without one."""
    matmul_accuracy: MatMulAccuracy | None
    """The accuracy of MatMul; null where no MatMul could have rounded inputs."""
    float16: Float16 | None = None
    """The values that are stored as float16; null if there are none."""
    baseline: BaselineComparison | None = None
    """The comparison with the baseline job; null without a baseline."""
    error_bound: OutputBounds
    """Guaranteed bounds on the errors of the outputs."""
    latency: Latency | None = None
    """Latency of both models; null in the stored report."""
