"""The comparison of two jobs as rows for people: what differs, the largest differences first."""

import json
from collections.abc import Iterator
from typing import Any

from quant.outcome.comparison import Comparison, FigureChange, GateSide
from quantd.connection import Document
from quantd.rows import FAIL, PASS, WARN, Row

LAYERS = 5
"""The most layers that are listed."""
STYLES = {"better": PASS, "worse": FAIL, "same": "", None: ""}


def comparison_rows(document: Document) -> Iterator[Row]:
    """Yield the rows of a comparison of the API."""
    comparison = Comparison.model_validate(document)
    for side, job in (("a", comparison.a), ("b", comparison.b)):
        yield Row(
            side, f"{job.model.name} ({f'verdict {job.verdict}' if job.verdict else 'no gates'}): {job.diagnosis}"
        )
    for note in comparison.notes:
        yield Row("note", note, WARN)
    for metric in comparison.metrics:
        text = f"{metric.name}: {_figures(metric, metric.unit, metric.difference_unit)}"
        yield Row(metric.change or "", text, STYLES[metric.change])
    for gate in comparison.gates:
        sides = f"a {_side(gate.a, gate.unit)}, b {_side(gate.b, gate.unit)}"
        yield Row("gate", f"{gate.name}: {sides}", STYLES[gate.change])
    yield from _layer_rows(comparison)
    for key in comparison.spec:
        yield Row("spec", f"{key.pointer}: {_value(key.a)} -> {_value(key.b)}")


def _layer_rows(comparison: Comparison) -> Iterator[Row]:
    changed = [layer for layer in comparison.layers if layer.is_changed]
    for layer in changed[:LAYERS]:
        output = layer.output_sqnr_db
        name, figure = ("output", output) if output.difference is not None else ("weight", layer.weight_sqnr_db)
        yield Row("layer", f"{layer.name}: {name} SQNR {_figures(figure, 'dB', 'dB')}", STYLES[figure.change])
    if len(changed) > LAYERS:
        yield Row("layers", f"{len(changed) - LAYERS} more differ: --json lists them")
    for side, layers in (("a", comparison.only_in_a), ("b", comparison.only_in_b)):
        for lone in layers:
            yield Row(f"only in {side}", f"{lone.name} ({lone.op}): {lone.reason}")


def _figures(figure: FigureChange, unit: str, difference_unit: str) -> str:
    a, b = _number(figure.a, unit), _number(figure.b, unit)
    change = "" if figure.difference is None else f" ({_number(figure.difference, difference_unit, sign='+')})"
    return f"{a} -> {b}{change}"


def _side(side: GateSide | None, unit: str) -> str:
    if side is None:
        return "without this gate"
    return f"{'pass' if side.passed else 'FAIL'} ({_number(side.value, unit)}, limit {_number(side.limit, unit)})"


def _number(value: float | None, unit: str, sign: str = "") -> str:
    if value is None:
        return "none"
    digits = {"": ".4g", "bytes": ",.0f"}.get(unit, ".2f")
    return f"{value:{sign}{digits}} {unit}".rstrip()


def _value(value: Any) -> str:
    return json.dumps(value)
