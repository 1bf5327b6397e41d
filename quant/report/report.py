"""The report: what was done to each layer and what it cost, as JSON and as one self-contained page."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from pydantic_core import to_json

from quant.correction.twin import Correction, LayerDifference
from quant.error_bounds.propagate import NO_BOX, Bounds
from quant.export.storage import stored_bytes
from quant.outcome.gates import GateResult
from quant.outcome.summary import Summary
from quant.report.result import Result
from quant.search.choice import Choice
from quant.spec import Spec
from quant.weights.granularity import PerChannel
from quant.weights.layers import QuantizedLayer
from quant.weights.quantize import FittedWeight

Differences = Mapping[str, LayerDifference]
NONE: Differences = {}
Corrections = Mapping[str, Correction]
WORST = 5
"""How many layers `worst_layers` names."""


def layer_report(
    done: QuantizedLayer,
    opset: int,
    corrections: Corrections | None = None,
    after: Differences = NONE,
    bounds: Bounds = NO_BOX,
) -> dict[str, Any]:
    """One layer's entry; sizes in bytes, SQNR in dB, errors in the weight's unit.

    `after` are the differences at the layers' outputs that remain.
    """
    bound = bounds.layers.get(done.layer.name)
    layer, spec, fitted, quantized = done.layer, done.spec, done.fitted, done.quantized
    error = quantized.error
    return {
        "name": layer.name,
        "op": layer.op,
        "weight_shape": list(layer.shape),
        "parameters": layer.size,
        "bits": quantized.bits,
        "granularity": spec.granularity,
        "block_size": quantized.block or None,
        "grid": spec.grid.name,
        "clipping": spec.clipping.name,
        "rounding": spec.rounding.name,
        "distribution": dict(sorted(Counter(fitted.fit.family).items())),
        "fits": _fits(fitted),
        "candidates": fitted.fit.candidates_summary(),
        "clip_ratio": error.clip_ratio,
        "clipped_fraction": error.clipped_fraction,
        "weight": {
            "mae": error.mae,
            "mse": error.mse,
            "sqnr_db": error.sqnr_db,
            "mae_expected": _finite(error.mae_expected),
            "mse_expected": _finite(error.mse_expected),
        },
        "output": _output(layer.name, corrections or {}, after),
        "bound": None if bound is None else bound.described(),
        "bytes_before": 4 * layer.size,
        "bytes_after": stored_bytes(quantized, done.form, opset),
        "seconds": None,
        "notes": [*fitted.fit.notes, *done.notes],
    }


def model_report(
    summary: Summary,
    result: Result,
    spec: Spec,
) -> dict[str, Any]:
    """The whole report; it holds no clock, so that equal input gives equal bytes (`seconds` is null)."""
    choice, outputs = result.choice, result.outputs
    worst = sorted(result.entries, key=lambda layer: layer["weight"]["sqnr_db"])[:WORST]
    return {
        "summary": summary.model_dump(),
        "spec": spec.model_dump(mode="json"),
        "samples": dict(result.samples),
        "layers": result.entries,
        "worst_layers": [layer["name"] for layer in worst],
        "skipped": [{"name": s.name, "op": s.op, "reason": s.reason} for s in result.skipped],
        "warnings": result.warnings,
        "total_mean_shift": None if choice is None else _total_mean_shift(choice, result.differences),
        "compared": None if choice is None else _compared(choice),
        "evaluation": None if outputs is None else outputs.details(spec.metric),
        "allocation": None if choice is None else choice.allocation,
        "search": None if choice is None else choice.search,
        "error_bound": result.bounds.described(),
    }


def _compared(choice: Choice) -> dict[str, Any] | None:
    """Return the table of compared candidates; None without calibration data."""
    return None if choice.compared is None else {"kept": choice.name, "output_sqnr_db": dict(choice.compared)}


def _output(name: str, corrections: Corrections, differences: Differences) -> dict[str, Any] | None:
    """The error at one layer's output on held-out samples; shifts are means over channels of |E[quantized - float]|.

    `mean_shift_before` is the layer's own, with the layers before it corrected; null without bias correction.
    """
    if name not in differences:
        return None
    after = differences[name]
    before = corrections.get(name)
    return {
        "mean_shift_before": None if before is None else float(abs(before.shift).mean()),
        "mean_shift_after": _finite(float(abs(after.shift).mean())),
        "sqnr_db": after.sqnr_db,
        "cosine": after.cosine,
    }


def _total_mean_shift(choice: Choice, differences: Differences) -> dict[str, float | None] | None:
    """The layers' mean shifts, added up."""
    if choice.compared is None:
        return None
    before, after = (
        sum(float(abs(layer.shift).mean()) for layer in layers.values()) for layers in (choice.corrections, differences)
    )
    return {"before": before if choice.corrections else None, "after": _finite(after) if differences else None}


def report_json(report: Mapping[str, Any]) -> bytes:
    return to_json(report, inf_nan_mode="null") + b"\n"


def report_html(report: Mapping[str, Any], title: str, gates: Sequence[GateResult]) -> bytes:
    """The report as one page that needs no network; every text from the model is escaped."""
    return page().render(report=report, title=title, gates=gates).encode()


@cache
def page() -> Template:
    """The page's template, compiled once a process."""
    environment = Environment(
        loader=PackageLoader("quant.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template("report.html")


def _finite(value: float) -> float | None:
    """JSON has no NaN: null stands for the moment of distributions that have none."""
    return value if math.isfinite(value) else None


def _fits(fitted: FittedWeight) -> list[dict[str, Any]]:
    """The chosen family's figures row by row; `channel` is null where a row is a block or the whole tensor."""
    per_channel = isinstance(fitted.granularity, PerChannel)
    rows = range(len(fitted.statistics.count))
    return [{"channel": row if per_channel else None, **fitted.fit.describe(row)} for row in rows]
