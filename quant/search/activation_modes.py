"""The choice of the ranges of layers' inputs (`activations.mode: auto`): static, dynamic, or no rounding.

A layer's input has a dynamic range if that lowers the error at the layer's output on held-out samples clearly. Layers
that read the same tensor have the same range. The input of a few layers stays in float if the error of the model's
outputs then falls by much: such a layer runs at the speed of float. See docs/methods.md, "Dynamic activations".
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quant.calibration.activation_ranges import ActivationRange
from quant.calibration.batch_inputs import BatchInput
from quant.graph.inventory import Layer
from quant.progress import Progress, StepProgress, correction_progress
from quant.search.candidates import MeasuredCandidate, best_measured, corrected_candidates, measure_in_time
from quant.search.choice import Choice
from quant.search.context import CalibratedContext
from quant.search.ranking import Scores
from quant.weights.layers import QuantizedLayer
from quant.weights.quantize import decoded
from quant.weights.storage_form import StorageForm, has_static_range, is_plain_matmul

USEFUL_ERROR = 0.8
"""A dynamic range is used if the error at the layers' outputs falls below this share of that with the static range."""
DOMINANT = 4.0
"""The error of a rounded input, in units of that of the weights, from which the layer is tried with a float input."""
MAX_FLOAT_SHARE = 0.1
"""The largest share of the linear layers' weights in layers with float inputs, which run at the speed of float."""
MIN_GAIN_DB, MIN_FLOAT_GAIN_DB = 0.5, 1.0
"""The least mean gain of the outputs in dB for which ranges are dynamic, and for which inputs stay in float."""
FLOAT_INPUT_NOTE = "its input stays in float: rounding it costs more than all other rounding (activations.mode auto)"
"""The note for the report at a layer whose input stays in float."""

_NONE: frozenset[str] = frozenset()

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class _Group:
    """The layers that read one tensor, with their error on held-out samples.

    Errors are energies at the layers' outputs as fractions of the energy of these outputs, summed over the layers.

    Attributes:
        layers: the quantized layers.
        static: the error of the input's static range.
        dynamic: the error of a dynamic range.
        weights: the error of the weights.
    """

    layers: tuple[QuantizedLayer, ...]
    static: float
    dynamic: float
    weights: float

    @property
    def is_dynamic(self) -> bool:
        """True if a dynamic range is clearly better."""
        return self.dynamic < USEFUL_ERROR * self.static

    @property
    def error(self) -> float:
        """The error of the better range."""
        return self.dynamic if self.is_dynamic else self.static

    @property
    def size(self) -> int:
        """The number of weights."""
        return sum(layer.layer.size for layer in self.layers)


def choose_dynamic_inputs(choice: Choice, progress: Progress) -> Choice:
    """Return the choice with dynamic ranges or float inputs for some of the layers, if its outputs are clearly better.

    Args:
        choice: the best choice with static ranges; it is returned where the spec does not say `auto`.
        progress: receives the samples completed.

    Raises:
        ExportError: a quantized model does not run.
    """
    context = choice.context
    if not isinstance(context, CalibratedContext) or not context.tries_dynamic or not choice.scores:
        return choice
    search, groups = _Search(context, correction_progress(progress)), _groups(context, choice)
    everywhere, useful = _names(groups), _names(group for group in groups if group.is_dynamic)
    # the sample that decides on single layers may lack the rare values that a static range clips
    pairs = [(everywhere, _NONE), *([] if useful in (everywhere, _NONE) else [(useful, _NONE)])]
    choice = search.better(choice, pairs if everywhere else [], MIN_GAIN_DB)
    in_float = _names(_dominant(groups))
    dynamic = frozenset(layer.layer.name for layer in choice.layers if layer.form is StorageForm.DYNAMIC) - in_float
    return search.better(choice, [(dynamic, in_float)] if in_float else [], MIN_FLOAT_GAIN_DB)


def _names(groups: Iterable[_Group]) -> frozenset[str]:
    return frozenset(layer.layer.name for group in groups for layer in group.layers)


@dataclass(frozen=True)
class _Search:
    """The comparison of choices on held-out samples."""

    context: CalibratedContext
    progress: StepProgress

    def better(self, choice: Choice, inputs: Sequence[tuple[frozenset[str], frozenset[str]]], gain_db: float) -> Choice:
        """Return the best choice with other inputs if it gains enough, else the choice itself; both list all others.

        Args:
            choice: the best choice so far.
            inputs: for each comparison the names of layers with dynamic ranges, and of those with float inputs.
            gain_db: the least mean gain over the scores of the outputs.
        """
        measured: list[MeasuredCandidate] = []
        for dynamic, in_float in inputs:
            if self.context.deadline.skips("the comparison of dynamic ranges"):
                break
            measured += self._measured(choice, dynamic, in_float)
        suffix = self.context.variant.suffix
        compared = {**(choice.compared or {}), **{tried.name + suffix: tried.sqnr_db for tried in measured}}
        clear = [tried for tried in measured if _gain(tried.scores, choice.scores) >= gain_db]
        if not clear:
            return replace(choice, compared=compared)
        best = best_measured(clear)
        return choice.with_candidate(best, best.name + suffix, compared)

    def _measured(self, choice: Choice, dynamic: frozenset[str], in_float: frozenset[str]) -> list[MeasuredCandidate]:
        """Return the candidate with these layers' inputs dynamic and in float, with and without corrected biases."""
        context, layers = self.context, [_with_input(layer, dynamic, in_float) for layer in choice.layers]
        ranged = [
            layer.layer
            for layer in layers
            if has_static_range(layer.layer, context.spec) and layer.layer.name not in dynamic | in_float
        ]
        option = context.option_for(choice.option, ranged)
        counts = {"dynamic": len(dynamic), "float": len(in_float)}
        name = ", ".join(f"{kind} inputs: {count}" for kind, count in counts.items() if count)
        candidates = corrected_candidates(context, {"": option}, {name: layers}, self.progress)
        return measure_in_time(context, candidates, self.progress)


def _gain(scores: Scores, other: Scores) -> float:
    """Return the mean gain over the scores that both candidates have, in their unit; 0 if there are none."""
    gains = [score - other[name] for name, score in scores.items() if name in other and math.isfinite(other[name])]
    return sum(gains) / len(gains) if gains else 0.0


def _with_input(layer: QuantizedLayer, dynamic: frozenset[str], in_float: frozenset[str]) -> QuantizedLayer:
    """Return the layer in the form for its input."""
    if layer.layer.name in dynamic:
        return replace(layer, form=StorageForm.DYNAMIC)
    if layer.layer.name in in_float:
        return replace(layer, form=StorageForm.FOLDED, notes=(*layer.notes, FLOAT_INPUT_NOTE))
    return layer


def _groups(context: CalibratedContext, choice: Choice) -> list[_Group]:
    """Return the layers that can have dynamic ranges, grouped by the tensor that they read."""
    by_input: dict[str, list[QuantizedLayer]] = {}
    for layer in choice.layers:
        source = str(layer.layer.operand(layer.layer.input_index).name)
        plain = is_plain_matmul(layer.layer) and layer.layer.graph is context.model.graph
        if plain and context.batch_inputs.get(source):
            by_input.setdefault(source, []).append(layer)
    judging = choice.option.judging
    return [_group(layers, context.batch_inputs[name], judging[name]) for name, layers in by_input.items()]


def _group(layers: Sequence[QuantizedLayer], batches: Sequence[BatchInput], judging: ActivationRange) -> _Group:
    """Return a group with its errors."""
    rows = np.concatenate([batch.rows for batch in batches])
    static = _rounded(rows, judging) - rows
    dynamic = np.concatenate([_rounded(b.rows, ActivationRange(b.low, b.high)) for b in batches]) - rows
    errors = np.zeros(3)
    for layer in layers:
        weight = _matrix(layer.layer, layer.layer.weight)
        change = _matrix(layer.layer, decoded(layer.quantized)) - weight
        energy = _energy(rows @ weight)
        if energy > 0:
            errors += np.array([_energy(static @ weight), _energy(dynamic @ weight), _energy(rows @ change)]) / energy
    return _Group(tuple(layers), *(float(error) for error in errors))


def _dominant(groups: Iterable[_Group]) -> list[_Group]:
    """Return the groups whose rounded input costs far more than their weights, as many as may run at float speed."""
    groups = list(groups)
    left = MAX_FLOAT_SHARE * sum(group.size for group in groups)
    chosen = []
    for group in sorted(groups, key=lambda group: -group.error):
        if group.error > DOMINANT * group.weights and group.size <= left:
            chosen.append(group)
            left -= group.size
    return chosen


def _matrix(layer: Layer, weight: NDArray[np.floating]) -> Rows:
    """Return the weight (K, N) with its inputs along the first axis."""
    return np.asarray(weight.T if layer.axis == 0 else weight, np.float32)


def _energy(values: Rows) -> float:
    return float(np.square(values, dtype=np.float64).sum())


def _rounded(rows: Rows, activation: ActivationRange) -> Rows:
    """Return the rows rounded to the codes of a range."""
    low, high = activation.representable
    clipped: Rows = np.clip(np.rint(rows / activation.scale) * activation.scale, low, high)
    return clipped
