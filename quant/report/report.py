"""The report: how each layer was quantized and the error that this causes, as typed models and as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from quant.correction.mean_shift import MeanShifts
from quant.digests import FileDigest
from quant.export.serialize import VERSION
from quant.outcome.gates import GateResult, verdict
from quant.outcome.report import Report
from quant.outcome.report.base import ReportModel
from quant.outcome.report.changes import BaselineComparison
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
    SyntheticSamples,
    TotalMeanShift,
)
from quant.outcome.summary import Summary
from quant.report.diagnosis import Findings, diagnose
from quant.report.layer_entry import mean_shift_error, mean_shift_value
from quant.report.manifest import library_versions
from quant.report.result import Result
from quant.search.choice import Choice
from quant.search.context import DataFreeContext
from quant.search.error_shares import ErrorShares
from quant.spec import Spec

WORST_LAYERS = 5
"""The number of layers that `worst_layers` names."""


def build_report(
    name: str,
    digests: Mapping[str, FileDigest],
    summary: Summary,
    gates: Sequence[GateResult],
    result: Result,
    spec: Spec,
    comparison: BaselineComparison | None = None,
) -> Report:
    """Return the whole report; all its durations are null, so that equal inputs give equal bytes.

    Args:
        name: the file name of the uploaded model, as its owner knows it.
        digests: the digests of the uploaded files by role: model, calibration, evaluation.
        summary: the summary, without its duration.
        gates: the checked gates; those on durations are left out.
        result: the result of the run.
        spec: the resolved spec.
        comparison: the comparison with the baseline; its latency is left out.
    """
    choice, outputs, measured = result.choice, result.outputs, result.measured
    worst, worst_by = _worst_layers(result.entries)
    stored = [gate for gate in gates if not gate.gate.is_timed]
    shares = _share_basis(measured.shares)
    output_entries = None if outputs is None else [OutputEntry.model_validate(e) for e in outputs.output_entries()]
    return Report(
        model=ModelIdentity(name=name, sha256=digests["model"].sha256, bytes=digests["model"].size),
        provenance=_provenance(digests),
        verdict=verdict(stored),
        gates=tuple(map(_gate_entry, stored)),
        diagnosis=diagnose(Findings(result.entries, len(result.skipped), shares, output_entries, summary, spec)),
        summary=summary,
        spec=spec.model_dump(mode="json"),
        samples=Samples.model_validate({**result.samples, "synthetic": _synthetic_samples(choice)}),
        layers=tuple(result.entries),
        worst_layers=worst,
        worst_layers_by=worst_by,
        error_share_basis=shares,
        skipped=tuple(SkippedNode(name=node.name, op=node.op, reason=node.reason) for node in result.skipped),
        warnings=result.all_warnings,
        data_findings=tuple(Finding.model_validate(finding.as_dict()) for finding in result.findings),
        target=tuple(result.target),
        total_mean_shift=_total_mean_shift(measured.shifts),
        compared=None if choice is None else _compared(choice),
        outputs=None if output_entries is None else tuple(output_entries),
        evaluation=None if outputs is None else Evaluation.model_validate(outputs.details(spec.metric)),
        allocation=_section(AllocationSection, None if choice is None else choice.allocation),
        search=_section(SearchSection, None if choice is None else choice.search),
        matmul_accuracy=_section(MatMulAccuracy, None if choice is None else choice.matmul_accuracy),
        float16=_section(Float16, None if choice is None else choice.float16),
        baseline=comparison and comparison.model_copy(update={"latency_ratio": None}),
        error_bound=OutputBounds.model_validate(measured.bounds.described()),
    )


def report_json(report: Report) -> bytes:
    """Return the report as JSON, in which NaN and infinity are null."""
    return report.model_dump_json().encode() + b"\n"


def _provenance(digests: Mapping[str, FileDigest]) -> Provenance:
    calibration, evaluation = digests.get("calibration"), digests.get("evaluation")
    return Provenance(
        quantd=VERSION,
        libraries=library_versions(),
        calibration_sha256=None if calibration is None else calibration.sha256,
        evaluation_sha256=None if evaluation is None else evaluation.sha256,
    )


def _gate_entry(result: GateResult) -> GateEntry:
    """Return the report's entry of a gate."""
    gate = result.gate
    return GateEntry(
        name=result.name,
        unit=gate.unit,
        better=gate.better.value,
        limit=result.limit,
        value=result.value,
        margin=result.margin,
        passed=result.passed,
        reason=result.reason,
    )


def _worst_layers(
    entries: Sequence[LayerEntry],
) -> tuple[tuple[str, ...], Literal["output_sqnr_db", "weight_sqnr_db"]]:
    """Return the names of the worst layers, the worst first, and the figure that they are judged by.

    That is the SQNR of their outputs where it was measured, else that of their weights.
    """
    measured = {entry.name: entry.output.sqnr_db for entry in entries if entry.output is not None}
    sqnr_db = measured or {entry.name: entry.weight.sqnr_db for entry in entries}
    worst = sorted(sqnr_db, key=lambda name: sqnr_db[name])[:WORST_LAYERS]
    return tuple(worst), "output_sqnr_db" if measured else "weight_sqnr_db"


def _share_basis(shares: ErrorShares) -> ErrorShareBasis:
    return ErrorShareBasis(
        samples=shares.samples,
        reason=shares.reason,
        weights=shares.weights,
        activations=shares.activations,
        all=shares.all,
        covered_layers=len(shares.layers),
    )


def _synthetic_samples(choice: Choice | None) -> SyntheticSamples | None:
    """Return the synthetic inputs that the moments of a job without data come from; None where none were needed."""
    synthetic = choice.context.synthetic if choice and isinstance(choice.context, DataFreeContext) else None
    return None if synthetic is None else SyntheticSamples(samples=synthetic.samples, reason=synthetic.reason)


def _compared(choice: Choice) -> Compared | None:
    """Return the table of compared candidates; None without calibration data."""
    return None if choice.compared is None else Compared(chosen=choice.name, output_sqnr_db=dict(choice.compared))


def _total_mean_shift(shifts: MeanShifts) -> TotalMeanShift:
    """Return the sum of the layers' mean shifts, the samples that they were measured on, and why a figure is missing.

    `before` is the model without bias correction, and None if no bias was corrected; `after` is the exported model.
    """
    total = shifts.total()
    before, after = (None, None) if total is None else (total.before, total.after)
    return TotalMeanShift(
        before=mean_shift_value(before),
        after=mean_shift_value(after),
        before_standard_error=mean_shift_error(before),
        after_standard_error=mean_shift_error(after),
        samples=shifts.samples,
        reason=shifts.reason,
    )


SectionModel = TypeVar("SectionModel", bound=ReportModel)


def _section(model: type[SectionModel], content: Mapping[str, Any] | None) -> SectionModel | None:
    """Return a section of the report from what the search says; None where there is none."""
    return None if content is None else model.model_validate(content)
