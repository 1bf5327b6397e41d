"""Compare the reports of two jobs: summary, gates, layers and specs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from quant.outcome.better import Better
from quant.outcome.comparison import (
    ComparedJob,
    Comparison,
    GateChange,
    GateSide,
    LayerChange,
    LoneLayer,
    SettingChange,
    SpecDifference,
)
from quant.outcome.metrics import METRICS
from quant.outcome.report import Report
from quant.outcome.report.changes import Change, FigureChange, MetricChange
from quant.outcome.report.layer import LayerEntry
from quant.outcome.report.sections import GateEntry
from quant.outcome.summary import Summary

SETTINGS = ("op", "weight_shape", "bits", "granularity", "block_size", "grid", "clipping", "rounding")
"""The properties of a layer that are compared."""
NO_SUCH_LAYER = "its model has no layer of this name"


def compare_reports(a: Report, b: Report) -> Comparison:
    """Return the comparison of a baseline `a` with another job `b`."""
    same_model = a.model.sha256 == b.model.sha256
    same_calibration = a.provenance.calibration_sha256 == b.provenance.calibration_sha256
    same_evaluation = a.provenance.evaluation_sha256 == b.provenance.evaluation_sha256
    a_layers, b_layers = _by_name(a), _by_name(b)
    return Comparison(
        a=_job(a),
        b=_job(b),
        same_model=same_model,
        same_calibration=same_calibration,
        same_evaluation=same_evaluation,
        notes=tuple(_notes(a, b)),
        metrics=tuple(metric_changes(a.summary, b.summary, comparable=same_evaluation)),
        gates=tuple(_gates(a, b)),
        layers=tuple(_layers(a_layers, b_layers, comparable=same_calibration)),
        only_in_a=tuple(_lone_layers(a_layers, b_layers, b)),
        only_in_b=tuple(_lone_layers(b_layers, a_layers, a)),
        spec=tuple(_differences(a.spec, b.spec, "")),
    )


def _by_name(report: Report) -> dict[str, LayerEntry]:
    return {layer.name: layer for layer in report.layers}


def _job(report: Report) -> ComparedJob:
    return ComparedJob(
        model=report.model,
        provenance=report.provenance,
        verdict=report.verdict,
        diagnosis=report.diagnosis.sentence,
    )


def _notes(a: Report, b: Report) -> Iterator[str]:
    """Yield the sentences on what limits the comparison."""
    before, after = a.provenance, b.provenance
    if a.model.sha256 != b.model.sha256:
        yield "The jobs quantized different models, so differences also come from the models."
    if before.evaluation_sha256 != after.evaluation_sha256:
        yield (
            f"{_data_difference('evaluation', before.evaluation_sha256, after.evaluation_sha256)}, so figures on the "
            "model's outputs cannot be compared."
        )
    if before.calibration_sha256 != after.calibration_sha256:
        yield (
            f"{_data_difference('calibration', before.calibration_sha256, after.calibration_sha256)}, so figures on "
            "the layers' outputs cannot be compared."
        )
    if before.quantd != after.quantd:
        yield f"The jobs ran with different versions of quantd, {before.quantd} and {after.quantd}."


def _data_difference(role: str, a: str | None, b: str | None) -> str:
    if a is None or b is None:
        return f"Only job {'B' if a is None else 'A'} has {role} data"
    return f"The jobs have different {role} data"


def metric_changes(a: Summary, b: Summary, *, comparable: bool) -> Iterator[MetricChange]:
    """Yield every metric that a job has; without `comparable`, those on evaluation data have no difference."""
    for metric in METRICS:
        before, after = metric.figure(a), metric.figure(b)
        if before is None and after is None:
            continue
        figures = FigureChange.of(before, after, metric.better, comparable=comparable or not metric.needs_evaluation)
        yield MetricChange(
            name=metric.name,
            unit=metric.unit,
            difference_unit=metric.unit_of_difference,
            better=metric.better,
            **figures.model_dump(),
        )


def _gates(a: Report, b: Report) -> Iterator[GateChange]:
    """Yield the gates of both jobs in the order of `a`, then those that only `b` has."""
    before, after = ({gate.name: gate for gate in report.gates} for report in (a, b))
    for name, gate in (before | after).items():
        yield GateChange(
            name=name,
            unit=gate.unit,
            better=gate.better,
            a=_side(before.get(name)),
            b=_side(after.get(name)),
            change=_gate_change(before.get(name), after.get(name)),
        )


def _side(gate: GateEntry | None) -> GateSide | None:
    return None if gate is None else GateSide(limit=gate.limit, value=gate.value, passed=gate.passed)


def _gate_change(a: GateEntry | None, b: GateEntry | None) -> Change | None:
    if a is None or b is None:
        return None
    if a.passed == b.passed:
        return "same"
    return "better" if b.passed else "worse"


def _layers(a: Mapping[str, LayerEntry], b: Mapping[str, LayerEntry], *, comparable: bool) -> Sequence[LayerChange]:
    """Return the layers of both jobs, the most changed first, equal ones in the order of the network."""
    changes = [_layer_change(a[name], layer, comparable=comparable) for name, layer in b.items() if name in a]

    def rank(change: LayerChange) -> tuple[float, float]:
        return -abs(change.output_sqnr_db.difference or 0.0), -abs(change.weight_sqnr_db.difference or 0.0)

    return sorted(changes, key=rank)


def _layer_change(a: LayerEntry, b: LayerEntry, *, comparable: bool) -> LayerChange:
    return LayerChange(
        name=b.name,
        op=b.op,
        output_sqnr_db=FigureChange.of(_output_sqnr_db(a), _output_sqnr_db(b), Better.HIGHER, comparable=comparable),
        weight_sqnr_db=FigureChange.of(a.weight.sqnr_db, b.weight.sqnr_db, Better.HIGHER),
        error_share=FigureChange.of(a.error_share, b.error_share, comparable=comparable),
        bytes_after=FigureChange.of(a.bytes_after, b.bytes_after, Better.LOWER),
        settings=tuple(
            SettingChange(key=key, a=getattr(a, key), b=getattr(b, key))
            for key in SETTINGS
            if getattr(a, key) != getattr(b, key)
        ),
    )


def _output_sqnr_db(layer: LayerEntry) -> float | None:
    return None if layer.output is None else layer.output.sqnr_db


def _lone_layers(
    layers: Mapping[str, LayerEntry], others: Mapping[str, LayerEntry], other: Report
) -> Iterator[LoneLayer]:
    """Yield the layers that the other job did not quantize, each with the reason."""
    reasons = {node.name: node.reason for node in other.skipped}
    for name, layer in layers.items():
        if name not in others:
            yield LoneLayer(
                name=name,
                op=layer.op,
                bits=layer.bits,
                output_sqnr_db=_output_sqnr_db(layer),
                weight_sqnr_db=layer.weight.sqnr_db,
                reason=reasons.get(name, NO_SUCH_LAYER),
            )


def _differences(a: Any, b: Any, pointer: str) -> Iterator[SpecDifference]:
    """Yield the values that differ between two JSON documents, each with its JSON pointer."""
    if isinstance(a, list) and isinstance(b, list):
        a, b = dict(enumerate(a)), dict(enumerate(b))
    if not (isinstance(a, dict) and isinstance(b, dict)):
        if a != b:
            yield SpecDifference(pointer=pointer, a=a, b=b, only_in=None)
        return
    for key in [*a, *(key for key in b if key not in a)]:
        token = str(key).replace("~", "~0").replace("/", "~1")
        place = f"{pointer}/{token}"
        if key in a and key in b:
            yield from _differences(a[key], b[key], place)
        else:
            yield SpecDifference(pointer=place, a=a.get(key), b=b.get(key), only_in="a" if key in a else "b")
