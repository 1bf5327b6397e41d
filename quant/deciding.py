"""From a normalised model to its quantized one: every decision that is made on weights and calibration data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from quant.expected_inputs import expected_shifts
from quant.graph.inventory import Layer
from quant.layers import QuantizedLayer, quantize_layers
from quant.mixed_precision import Choices, choices, describe, fit_budget, quantize_at_widths
from quant.spec import Weights
from quant.tuning import Setting, Tuned, assemble, tune
from quant.twin import channel_axis, output_channels

Work = Sequence[tuple[Layer, Weights]]
Progress = Callable[[str, int, int, str], None]
"""Called with stage, steps done, steps in all, and what is being worked on."""


@dataclass(frozen=True)
class Decision:
    """The quantized model and its layers; how they were chosen among others, where there was a choice.

    `allocation` is the report's; `max_bytes` the most that the exported file may take.
    """

    model: ir.Model
    layers: list[QuantizedLayer]
    tuned: Tuned | None = None
    allocation: dict[str, Any] | None = None
    max_bytes: int | None = None


@dataclass(frozen=True)
class Sizes:
    """The float model's bytes, and what an exported model takes."""

    before: int
    of_export: Callable[[ir.Model], int]


def decide(setting: Setting, work: Work, sizes: Sizes, progress: Progress) -> Decision:
    """Quantize the layers by their sections of the spec, or with the bits that its budget pays for.

    Raises:
        BudgetTooSmall: the file cannot become as small as the budget asks.
        ExportError: a quantized model does not run.
    """

    def correcting(done: int, total: int, what: str) -> None:
        progress("correcting", done, total, f"{what}, {done} of {total} samples")

    if setting.spec.budget is None:
        layers = quantize_layers(work, setting.moments, setting.spec, lambda *step: progress("fitting", *step))
        return _finished(setting, work, layers, correcting)
    found = _choices(setting, work, sizes, progress)
    limit = setting.spec.budget.limit(sizes.before)
    point = fit_budget(found, limit, setting.spec, lambda layers: _size(setting, layers, sizes))
    layers = found.layers_at(point)
    allocation = describe(found, point, sizes.before, limit)
    done = _finished(setting, _with_bits(work, layers), layers, correcting)
    return Decision(done.model, done.layers, done.tuned, allocation, limit)


def _choices(setting: Setting, work: Work, sizes: Sizes, progress: Progress) -> Choices:
    spec = setting.spec
    widths = quantize_at_widths(work, setting.moments, spec, lambda *step: progress("fitting", *step))
    return choices(
        widths,
        setting.model,
        setting.moments,
        None if setting.calibration is None else setting.fitting,
        spec,
        lambda layers: _size(setting, layers, sizes),
        lambda done, total: progress("correcting", done, total, f"one layer at a time, {done} of {total} samples"),
    )


def _finished(setting: Setting, work: Work, layers: list[QuantizedLayer], progress: Callable[..., None]) -> Decision:
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


def _size(setting: Setting, layers: Sequence[QuantizedLayer], sizes: Sizes) -> int:
    """What the exported file takes at most: with a bias in every layer that bias correction may give one."""
    biases = {}
    if setting.spec.bias_correction != "none":
        mine = [done.layer for done in layers if channel_axis(done.layer) is not None]
        biases = {layer.name: np.ones(output_channels(layer)) for layer in mine}
    made, _ = assemble(setting.model, layers, setting.ranges, biases, setting.spec.export.opset)
    return sizes.of_export(made)
