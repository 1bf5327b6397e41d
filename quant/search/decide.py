"""From a normalised model to its quantized one: every decision that is made on weights and calibration data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from quant.correction.data_free import expected_shifts
from quant.graph.inventory import Layer
from quant.outcome.stages import Stage
from quant.progress import Progress, correction_progress
from quant.search.allocation import Point
from quant.search.candidates import SearchContext, Tuned, assemble, best_corrected, tune
from quant.search.mixed_precision import Choices, choices, describe, promising, quantize_at_widths
from quant.search.smallest_within_gates import describe_search, shortfall, smallest_within_gates
from quant.spec import Weights
from quant.weights.layers import QuantizedLayer, quantize_layers

Work = Sequence[tuple[Layer, Weights]]


@dataclass(frozen=True)
class Decision:
    """The quantized model and its layers; how they were chosen among others, where there was a choice.

    `allocation` and `search` are the report's; `max_bytes` is the most that the exported file may take.
    """

    model: ir.Model
    layers: list[QuantizedLayer]
    tuned: Tuned | None = None
    allocation: dict[str, Any] | None = None
    search: dict[str, Any] | None = None
    max_bytes: int | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sizes:
    """The float model's bytes, and what an exported model takes."""

    before: int
    of_export: Callable[[ir.Model], int]


def decide(setting: SearchContext, work: Work, sizes: Sizes, progress: Progress) -> Decision:
    """Quantize the layers by their sections of the spec, or with bits that its budget or its gates decide.

    Raises:
        BudgetTooSmall: the file cannot become as small as the budget asks.
        ExportError: a quantized model does not run.
    """
    spec, correcting = setting.spec, correction_progress(progress)
    if not spec.allocates:
        layers = quantize_layers(work, setting.moments, spec, lambda *step: progress(Stage.FITTING, *step))
        return _finished(setting, work, layers, correcting)
    found = _choices(setting, work, sizes, progress)

    def size(point: Point) -> int:
        return _size(setting, found.layers_at(point), sizes)

    limit = None if spec.budget is None else spec.budget.limit(sizes.before)
    search: dict[str, Any] | None = None
    warnings: tuple[str, ...] = ()
    if spec.objective == "smallest_within_gates":
        kept, tries = smallest_within_gates(setting, found, size, sizes.before, correcting)
        point, search = kept.point, describe_search(kept, tries)
        warnings = () if kept.passed else (f"no choice of bits passes on calibration data; best: {shortfall(kept)}",)
    else:
        assert limit is not None, "bits are allocated for a budget or by the gates"
        points = promising(found, limit, spec, size)
        point = _best(setting, found, points, correcting) if setting.calibration is not None else points[0]
    layers = found.layers_at(point)
    return replace(
        _finished(setting, _with_bits(work, layers), layers, correcting),
        allocation=describe(found, point, sizes.before, limit),
        search=search,
        max_bytes=limit,
        warnings=warnings,
    )


def _choices(setting: SearchContext, work: Work, sizes: Sizes, progress: Progress) -> Choices:
    spec = setting.spec
    widths = quantize_at_widths(work, setting.moments, spec, lambda *step: progress(Stage.FITTING, *step))
    return choices(
        widths,
        setting.model,
        setting.moments,
        None if setting.calibration is None else setting.fitting,
        spec,
        lambda layers: _size(setting, layers, sizes),
        lambda done, total: progress(Stage.CORRECTING, done, total, f"one layer at a time, {done} of {total} samples"),
    )


def _best(setting: SearchContext, found: Choices, points: Sequence[Point], progress: Callable[..., None]) -> Point:
    """The point that leaves the greatest output SQNR on held-out samples, biases corrected."""
    if len(points) == 1:
        return points[0]
    return max(points, key=lambda point: best_corrected(setting, found.layers_at(point), progress).sqnr_db)


def _finished(
    setting: SearchContext, work: Work, layers: list[QuantizedLayer], progress: Callable[..., None]
) -> Decision:
    """The layers corrected and written into the model."""
    if setting.calibration is not None:
        tuned = tune(setting, work, layers, progress)
        return Decision(tuned.kept.model, tuned.kept.layers, tuned)
    shifts = {} if setting.spec.bias_correction == "none" else expected_shifts(layers, setting.expected)
    return Decision(*assemble(setting.model, layers, setting.ranges, shifts, setting.spec.export.opset))


def _with_bits(work: Work, layers: Sequence[QuantizedLayer]) -> Work:
    """The sections with the bits and the grid that the layers were given."""
    given = {done.layer.name: {"bits": done.spec.bits, "grid": done.spec.grid} for done in layers}
    return [(layer, section.model_copy(update=given[layer.name])) for layer, section in work]


def _size(setting: SearchContext, layers: Sequence[QuantizedLayer], sizes: Sizes) -> int:
    """What the exported file takes at most: with a bias in every layer that bias correction may give one, and with the
    ranges that leave the most activations in it."""
    biases = {}
    if setting.spec.bias_correction != "none":
        mine = [done.layer for done in layers if done.layer.output_axis is not None]
        biases = {layer.name: np.ones(layer.output_channels) for layer in mine}
    opset = setting.spec.export.opset
    made = (assemble(setting.model, layers, alone.ranges, biases, opset)[0] for alone in setting.each.values())
    return max(map(sizes.of_export, made))
