"""The comparison of two jobs as its page shows it: figures, differences and settings in words."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from quant.outcome.better import Better
from quant.outcome.comparison import Comparison, GateChange, GateSide, LayerChange, LoneLayer
from quant.outcome.metrics import metric_named
from quant.outcome.report.changes import Change, FigureChange
from service.pages.formats import percent, size

LAYERS = 200
"""The most changed layers, and the most layers of one job only, that the page lists."""
DIFFERENCES = 200
"""The most keys of the specs that the page lists."""
EXACT_DB = 200.0
"""The SQNR of values without error."""
NONE = "–"
_FORMATS: Mapping[str, Callable[[float], str]] = {
    "bytes": lambda value: size(round(value)),
    "dB": lambda value: "exact" if value >= EXACT_DB else f"{value:.2f} dB",
    "%": lambda value: f"{value:.2f} %",
    "points": lambda value: f"{value:.2f} points",
    "": lambda value: f"{value:.5g}",
}
"""The text of a figure by its unit."""


@dataclass(frozen=True)
class Pair:
    """A figure of both jobs, and its difference with its direction, as texts."""

    a: str
    b: str
    difference: str
    change: Change | None


@dataclass(frozen=True)
class MetricRow:
    """A metric of the summary."""

    title: str
    description: str
    figures: Pair


@dataclass(frozen=True)
class GateRow:
    """A gate with its figure and limit in each job ("" without the gate)."""

    name: str
    a: str
    b: str
    a_passed: bool | None
    b_passed: bool | None
    change: Change | None


@dataclass(frozen=True)
class LayerRow:
    """A layer that both jobs quantized; `settings` are texts such as "bits 4 → 8"."""

    name: str
    op: str
    output: Pair
    weight: Pair
    share: Pair
    size: Pair
    settings: tuple[str, ...]


@dataclass(frozen=True)
class LoneRow:
    """A layer that only one job quantized."""

    name: str
    op: str
    text: str
    reason: str


@dataclass(frozen=True)
class SpecRow:
    """A key of the specs; "not set" stands for a missing one."""

    pointer: str
    a: str
    b: str


@dataclass(frozen=True)
class ComparisonView:
    """The comparison: the first rows of every table, and the number of those that are left out."""

    notes: tuple[str, ...]
    metrics: tuple[MetricRow, ...]
    gates: tuple[GateRow, ...]
    layers: tuple[LayerRow, ...]
    more_layers: int
    same_layers: int
    only_in_a: tuple[LoneRow, ...]
    only_in_b: tuple[LoneRow, ...]
    more_lone_layers: int
    spec: tuple[SpecRow, ...]
    more_spec: int


def comparison_view(comparison: Comparison) -> ComparisonView:
    """Return the texts of the page."""
    changed = [layer for layer in comparison.layers if layer.is_changed]
    lone = [layers[:LAYERS] for layers in (comparison.only_in_a, comparison.only_in_b)]
    return ComparisonView(
        notes=comparison.notes,
        metrics=tuple(
            MetricRow(
                metric_named(metric.name).title,
                metric_named(metric.name).description,
                pair(metric, metric.unit, metric.difference_unit),
            )
            for metric in comparison.metrics
        ),
        gates=tuple(map(_gate_row, comparison.gates)),
        layers=tuple(map(_layer_row, changed[:LAYERS])),
        more_layers=max(len(changed) - LAYERS, 0),
        same_layers=len(comparison.layers) - len(changed),
        only_in_a=tuple(map(_lone_row, lone[0])),
        only_in_b=tuple(map(_lone_row, lone[1])),
        more_lone_layers=len(comparison.only_in_a) + len(comparison.only_in_b) - sum(map(len, lone)),
        spec=tuple(
            SpecRow(found.pointer, _value(found.a, found.only_in == "b"), _value(found.b, found.only_in == "a"))
            for found in comparison.spec[:DIFFERENCES]
        ),
        more_spec=max(len(comparison.spec) - DIFFERENCES, 0),
    )


def pair(figures: FigureChange, unit: str, difference_unit: str | None = None) -> Pair:
    """Return the texts of a figure of both jobs; the difference is "" if there is none."""
    difference = ""
    if figures.difference is not None and figures.a is not None and figures.b is not None:
        exact = unit == "dB" and max(figures.a, figures.b) >= EXACT_DB  # a difference to infinity
        difference = "" if exact else _signed(figures.difference, unit if difference_unit is None else difference_unit)
    return Pair(_text(figures.a, unit), _text(figures.b, unit), difference, figures.change)


def _text(value: float | None, unit: str) -> str:
    return NONE if value is None else _FORMATS[unit](value).replace("-", "−")


def _signed(value: float, unit: str) -> str:
    """Return a difference with its sign; one that would round to zero keeps one digit."""
    if value == 0:
        return "same"
    magnitude = abs(value)
    tiny = unit not in ("", "bytes") and magnitude < 0.005
    text = f"{magnitude:.1g} {unit}" if tiny else _FORMATS[unit](magnitude)
    return f"{'+' if value > 0 else '−'}{text}"


def _gate_row(gate: GateChange) -> GateRow:
    return GateRow(
        gate.name,
        _side(gate.a, gate),
        _side(gate.b, gate),
        None if gate.a is None else gate.a.passed,
        None if gate.b is None else gate.b.passed,
        gate.change,
    )


def _side(side: GateSide | None, gate: GateChange) -> str:
    if side is None:
        return ""
    value = "not measured" if side.value is None else f"{side.value:.4g} {gate.unit}".rstrip()
    return f"{value}, {Better(gate.better).limit_words} {side.limit:g} {gate.unit}".rstrip()


def _layer_row(layer: LayerChange) -> LayerRow:
    share = layer.error_share
    return LayerRow(
        layer.name,
        layer.op,
        pair(layer.output_sqnr_db, "dB"),
        pair(layer.weight_sqnr_db, "dB"),
        Pair(_share(share.a), _share(share.b), _points(share.difference), None),
        pair(layer.bytes_after, "bytes"),
        tuple(
            f"{setting.key.replace('_', ' ')} {_plain(setting.a)} → {_plain(setting.b)}" for setting in layer.settings
        ),
    )


def _share(value: float | None) -> str:
    return NONE if value is None else percent(value)


def _points(difference: float | None) -> str:
    """Return a difference of shares in percentage points; "" if there is none, or it rounds to zero."""
    if difference is None or abs(difference) < 0.0005:
        return ""
    return f"{100 * difference:+.1f} points".replace("-", "−")


def _lone_row(layer: LoneLayer) -> LoneRow:
    figures = [f"{layer.bits} bits"]
    if layer.output_sqnr_db is not None:
        figures.append(f"output {_text(layer.output_sqnr_db, 'dB')}")
    if layer.weight_sqnr_db is not None:
        figures.append(f"weights {_text(layer.weight_sqnr_db, 'dB')}")
    return LoneRow(layer.name, layer.op, ", ".join(figures), layer.reason)


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    return "x".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _value(value: Any, missing: bool) -> str:
    return "not set" if missing else json.dumps(value, ensure_ascii=False)
