"""The report: how each layer was quantized and the error that this causes, as JSON and as an HTML page."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup
from pydantic_core import to_json

from quant.calibration.saturation import ClippedShare
from quant.correction.mean_shift import LayerShift, MeanShift, MeanShifts
from quant.correction.twin import LayerDifference
from quant.error_bounds.propagate import NO_BOX, Bounds
from quant.export.storage import stored_bytes
from quant.outcome.gates import GateResult
from quant.outcome.latency_section import MARK
from quant.outcome.summary import Summary
from quant.report.result import NOT_MEASURED, Result
from quant.search.choice import Choice
from quant.spec import Spec
from quant.weights.granularity import PerChannel, PerMatrixChannel
from quant.weights.layers import QuantizedLayer
from quant.weights.quantize import FittedWeight, QuantizedWeight

Differences = Mapping[str, LayerDifference]
NO_DIFFERENCES: Differences = {}
NOT_CLIPPED: Mapping[str, ClippedShare] = {}
NOT_COMPARED = (
    "the output has no channel axis, lies in the body of a node, depends on random numbers, or has a shape that "
    "depends on values"
)
"""Why a layer's output is not compared where others are."""
NOT_EXPECTED = "the rows were not fitted, or none of the fitted distributions has a mean or a variance"
"""Why an expected error of a weight is missing."""
WORST_LAYERS = 5
"""The number of layers that `worst_layers` names."""


def layer_report(
    quantized_layer: QuantizedLayer,
    opset: int,
    shifts: MeanShifts = NOT_MEASURED,
    differences: Differences = NO_DIFFERENCES,
    bounds: Bounds = NO_BOX,
    clipped: Mapping[str, ClippedShare] = NOT_CLIPPED,
) -> dict[str, Any]:
    """Return the report's entry for one quantized layer; sizes in bytes, SQNR in dB, errors in the weight's unit.

    Args:
        quantized_layer: the layer with its fit, its quantized weight and the errors.
        opset: the opset of the exported model, which decides how the weight is stored.
        shifts: the mean shifts at the layers' outputs.
        differences: the differences at the layers' outputs in the finished model, by the layer's name.
        bounds: the bounds on the errors of the layers' outputs.
        clipped: the clipped share of the activation that a layer reads, by the layer's name.
    """
    layer, spec = quantized_layer.layer, quantized_layer.spec
    fitted, weight = quantized_layer.fitted, quantized_layer.quantized
    bound = bounds.layers.get(layer.name)
    return {
        "name": layer.name,
        "op": layer.op,
        "weight_shape": list(layer.shape),
        "parameters": layer.size,
        "bits": weight.bits,
        "granularity": spec.granularity,
        "block_size": weight.block or None,
        "grid": spec.grid.name,
        "clipping": spec.clipping.name,
        "rounding": spec.rounding.name,
        "distribution": dict(sorted(Counter(fitted.fit.family).items())),
        "fits": _fits(fitted),
        "candidates": fitted.fit.candidates_summary(),
        "clip_ratio": weight.error.clip_ratio,
        "clipped_fraction": weight.error.clipped_fraction,
        "weight": _weight_errors(weight),
        "output": _output_errors(layer.name, shifts, differences),
        "output_reason": None if layer.name in differences else _not_compared(shifts),
        "activation": clipped[layer.name].as_dict() if layer.name in clipped else None,
        "bound": None if bound is None else bound.described(),
        "bytes_before": 4 * layer.size,
        "bytes_after": stored_bytes(weight, quantized_layer.form, opset),
        "seconds": None,
        "notes": [*fitted.fit.notes, *quantized_layer.notes],
    }


def _not_compared(shifts: MeanShifts) -> str:
    """Return why a layer's output was not compared: as in no layer, or because of the layer itself."""
    return NOT_COMPARED if shifts.layers or shifts.reason is None else shifts.reason


def model_report(summary: Summary, result: Result, spec: Spec) -> dict[str, Any]:
    """Return the whole report; all its durations are null, so that equal inputs give equal bytes."""
    choice, outputs = result.choice, result.outputs
    worst, worst_by = _worst_layers(result.entries)
    return {
        "summary": summary.model_dump(),
        "spec": spec.model_dump(mode="json"),
        "samples": dict(result.samples),
        "layers": result.entries,
        "worst_layers": worst,
        "worst_layers_by": worst_by,
        "skipped": [{"name": node.name, "op": node.op, "reason": node.reason} for node in result.skipped],
        "warnings": result.warnings,
        "data_findings": [finding.as_dict() for finding in result.findings],
        "total_mean_shift": _total_mean_shift(result.shifts),
        "compared": None if choice is None else _compared(choice),
        "outputs": None if outputs is None else outputs.output_entries(),
        "evaluation": None if outputs is None else outputs.details(spec.metric),
        "allocation": None if choice is None else choice.allocation,
        "search": None if choice is None else choice.search,
        "matmul_accuracy": None if choice is None else choice.matmul_accuracy,
        "error_bound": result.bounds.described(),
    }


def _worst_layers(entries: Sequence[Mapping[str, Any]]) -> tuple[list[str], str]:
    """Return the names of the worst layers, the worst first, and the figure that they are judged by.

    That is the SQNR of their outputs where it was measured, else that of their weights.
    """
    measured = [layer for layer in entries if layer["output"] is not None]
    section = "output" if measured else "weight"
    worst = sorted(measured or entries, key=lambda layer: layer[section]["sqnr_db"])[:WORST_LAYERS]
    return [layer["name"] for layer in worst], f"{section}_sqnr_db"


def _compared(choice: Choice) -> dict[str, Any] | None:
    """Return the table of compared candidates; None without calibration data."""
    return None if choice.compared is None else {"kept": choice.name, "output_sqnr_db": dict(choice.compared)}


def _weight_errors(weight: QuantizedWeight) -> dict[str, Any]:
    """Return the measured errors of one weight, and those expected of its distribution and its largest weight."""
    error = weight.error
    known = math.isfinite(error.mae_expected) and math.isfinite(error.mse_expected)
    return {
        "mae": error.mae,
        "mse": error.mse,
        "sqnr_db": error.sqnr_db,
        "mae_expected": _finite(error.mae_expected),
        "mse_expected": _finite(error.mse_expected),
        "expected_reason": None if known else NOT_EXPECTED,
    }


def _output_errors(name: str, shifts: MeanShifts, differences: Differences) -> dict[str, Any] | None:
    """Return the errors at one layer's output on held-out samples; None where they were not measured.

    `mean_shift_before` and `mean_shift_after` are measured on the same samples, those of `total_mean_shift`.
    """
    if name not in differences:
        return None
    difference = differences[name]
    shift = _named(shifts.layers.get(name), "mean_shift_")
    return {**shift, "sqnr_db": difference.sqnr_db, "cosine": difference.cosine}


def _named(shift: LayerShift | None, prefix: str) -> dict[str, float | None]:
    """Return a mean shift before and after correction with their standard errors; their names start with `prefix`."""
    before, after = (None, None) if shift is None else (shift.before, shift.after)
    return {
        f"{prefix}before": _value(before),
        f"{prefix}after": _value(after),
        f"{prefix}before_standard_error": _standard_error(before),
        f"{prefix}after_standard_error": _standard_error(after),
    }


def _value(shift: MeanShift | None) -> float | None:
    return None if shift is None else _finite(shift.value)


def _standard_error(shift: MeanShift | None) -> float | None:
    return None if shift is None or shift.standard_error is None else _finite(shift.standard_error)


def _total_mean_shift(shifts: MeanShifts) -> dict[str, Any]:
    """Return the sum of the layers' mean shifts, the samples that they were measured on, and why a figure is missing.

    `before` is the model without bias correction, and None if no bias was corrected; `after` is the exported model.
    """
    return {**_named(shifts.total(), ""), "samples": shifts.samples, "reason": shifts.reason}


def report_json(report: Mapping[str, Any]) -> bytes:
    """Return the report as JSON, in which NaN and infinity are null."""
    return to_json(report, inf_nan_mode="null") + b"\n"


def report_html(report: Mapping[str, Any], title: str, gates: Sequence[GateResult]) -> bytes:
    """Return the report as an HTML page that loads nothing from a network and escapes every text of the model.

    What differs between equal jobs is left out: gates on durations, and the section on latency, which has a mark.
    """
    stored = [result for result in gates if not result.gate.is_timed]
    return page().render(report=report, title=title, gates=stored, latency_mark=Markup(MARK)).encode()


@cache
def page() -> Template:
    """Return the template of the HTML page, compiled once in a process."""
    environment = Environment(
        loader=PackageLoader("quant.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template("report.html")


def _finite(value: float) -> float | None:
    """Return `value`, or None if it is not finite, such as a moment that the fitted distribution does not have."""
    return value if math.isfinite(value) else None


def _fits(fitted: FittedWeight) -> list[dict[str, Any]]:
    """Return the fit of each row of the weight; `channel` is None where a row is a block or the whole tensor."""
    per_channel = isinstance(fitted.granularity, PerChannel | PerMatrixChannel)
    rows = range(len(fitted.statistics.count))
    return [{"channel": row if per_channel else None, **fitted.fit.describe(row)} for row in rows]
