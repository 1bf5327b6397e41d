"""The comparison of two jobs as rows for people: what differs, the largest differences first."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from quantd.figures import Document
from quantd.rows import FAIL, PASS, WARN, Row

LAYERS = 5
"""The most layers that are listed."""
STYLES: Mapping[str | None, str] = {"better": PASS, "worse": FAIL}


def comparison_rows(comparison: Document) -> Iterator[Row]:
    """Yield the rows of a comparison of the API."""
    for side in ("a", "b"):
        job = comparison[side]
        verdict = f"verdict {job['verdict']}" if job["verdict"] else "no gates"
        yield Row(side, f"{job['model']['name']} ({verdict}): {job['diagnosis']}")
    for note in comparison["notes"]:
        yield Row("note", note, WARN)
    for metric in comparison["metrics"]:
        text = f"{metric['name']}: {_figures(metric, metric['unit'], metric['difference_unit'])}"
        yield Row(metric["change"] or "", text, _style(metric))
    for gate in comparison["gates"]:
        sides = f"a {_side(gate['a'], gate['unit'])}, b {_side(gate['b'], gate['unit'])}"
        yield Row("gate", f"{gate['name']}: {sides}", _style(gate))
    yield from _layer_rows(comparison)
    for key in comparison["spec"]:
        yield Row("spec", f"{key['pointer']}: {json.dumps(key['a'])} -> {json.dumps(key['b'])}")


def _layer_rows(comparison: Document) -> Iterator[Row]:
    changed = [layer for layer in comparison["layers"] if _is_changed(layer)]
    for layer in changed[:LAYERS]:
        output = layer["output_sqnr_db"]
        name, figure = ("output", output) if output["difference"] is not None else ("weight", layer["weight_sqnr_db"])
        yield Row("layer", f"{layer['name']}: {name} SQNR {_figures(figure, 'dB', 'dB')}", _style(figure))
    if len(changed) > LAYERS:
        yield Row("layers", f"{len(changed) - LAYERS} more differ: --json lists them")
    for side in ("a", "b"):
        for lone in comparison[f"only_in_{side}"]:
            yield Row(f"only in {side}", f"{lone['name']} ({lone['op']}): {lone['reason']}")


def _is_changed(layer: Document) -> bool:
    figures = (layer[name] for name in ("output_sqnr_db", "weight_sqnr_db", "bytes_after"))
    return bool(layer["settings"]) or any(figure["a"] != figure["b"] for figure in figures)


def _style(entry: Document) -> str:
    return STYLES.get(entry["change"], "")


def _figures(figure: Document, unit: str, difference_unit: str) -> str:
    a, b, difference = _number(figure["a"], unit), _number(figure["b"], unit), figure["difference"]
    return f"{a} -> {b}" if difference is None else f"{a} -> {b} ({_number(difference, difference_unit, sign='+')})"


def _side(side: Mapping[str, Any] | None, unit: str) -> str:
    if side is None:
        return "without this gate"
    verdict = "pass" if side["passed"] else "FAIL"
    return f"{verdict} ({_number(side['value'], unit)}, limit {_number(side['limit'], unit)})"


def _number(value: float | None, unit: str, sign: str = "") -> str:
    if value is None:
        return "none"
    digits = {"": ".4g", "bytes": ",.0f"}.get(unit, ".2f")
    return f"{value:{sign}{digits}} {unit}".rstrip()
