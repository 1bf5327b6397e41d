"""The results of the tools: the documents of the API, cut to what an agent decides by."""

from collections import Counter
from typing import Any

from jobs.job import Job
from quant.outcome.comparison import Comparison
from quant.outcome.report import Report
from quant.outcome.report.layer import LayerEntry
from quant.outcome.worst_layers import most_harmful
from service.jobs.schemas import job_out
from service.plans.schemas import PlanOut

MOST_SENTENCES = 20
"""The most warnings, notes, nodes or findings of a kind that are listed."""


_TIMES_OF_LAYERS = {"latency": {"layers", "other"}}
_JOB_OF_REPORT = {"id", "model_name", "verdict", "gates", "summary", "latency", "links"}


def job_result(job: Job) -> dict[str, Any]:
    """Return a job without its empty fields and without the times of its layers."""
    return job_out(job).model_dump(mode="json", exclude_none=True, exclude=_TIMES_OF_LAYERS)


def plan_result(plan: PlanOut, layers: int) -> dict[str, Any]:
    """Return a plan with the counts of its layers, and with at most `layers` of them: the lowest SQNR first."""
    result = plan.model_dump(mode="json", exclude_none=True, exclude={"result", "links"})
    found = plan.result
    if found is None:
        return result
    worst = sorted(found.layers, key=lambda layer: (layer.weight.sqnr_db is None, layer.weight.sqnr_db))
    kept = {"needs_calibration", "needs_evaluation", "size", "weight", "presets", "spec"}
    listed = {"name", "op", "bits", "form", "kernel", "weight", "notes"}
    return result | found.model_dump(mode="json", include=kept) | {
        "kernels": dict(Counter(layer.kernel for layer in found.layers)),
        "worst_layers": [layer.model_dump(mode="json", include=listed) for layer in worst[:layers]],
        "left_in_float": dict(Counter(node.reason for node in found.skipped).most_common(MOST_SENTENCES)),
        "target": [finding.model_dump(mode="json") for finding in found.target[:MOST_SENTENCES]],
        "warnings": list(found.warnings[:MOST_SENTENCES]),
    }  # fmt: skip


def report_result(job: Job, report: Report, layers: int) -> dict[str, Any]:
    """Return a job's figures, the diagnosis, and at most `layers` of its layers: the most harmful first."""
    by_name = {layer.name: layer for layer in report.layers}
    shares = {name: layer.error_share for name, layer in by_name.items()}
    worst = most_harmful(shares, report.worst_layers, layers)
    return {
        **{name: value for name, value in job_result(job).items() if name in _JOB_OF_REPORT},
        "diagnosis": report.diagnosis.model_dump(mode="json", exclude_none=True),
        "worst_layers": [_layer_result(by_name[name]) for name in worst if name in by_name],
        "left_in_float": dict(Counter(node.reason for node in report.skipped).most_common(MOST_SENTENCES)),
        "target": [finding.model_dump(mode="json") for finding in report.target[:MOST_SENTENCES]],
        "warnings": list(report.warnings[:MOST_SENTENCES]),
    }


def _layer_result(layer: LayerEntry) -> dict[str, Any]:
    kept = {"name", "op", "bits", "granularity", "grid", "clipping", "error_share", "bytes_after", "alternatives"}
    return layer.model_dump(mode="json", exclude_none=True, include=kept) | {
        "weight_sqnr_db": layer.weight.sqnr_db,
        "output_sqnr_db": layer.output.sqnr_db if layer.output else None,
    }


def comparison_result(comparison: Comparison, layers: int) -> dict[str, Any]:
    """Return a comparison with at most `layers` of the layers that changed."""
    changed = [layer for layer in comparison.layers if layer.is_changed]
    kept = {"a", "b", "same_model", "same_calibration", "same_evaluation", "notes", "metrics", "gates", "spec"}
    return comparison.model_dump(mode="json", exclude_none=True, include=kept) | {
        "changed_layers": len(changed),
        "layers": [layer.model_dump(mode="json", exclude_none=True) for layer in changed[:layers]],
        "only_in_a": [layer.model_dump(mode="json", exclude_none=True) for layer in comparison.only_in_a[:layers]],
        "only_in_b": [layer.model_dump(mode="json", exclude_none=True) for layer in comparison.only_in_b[:layers]],
    }
