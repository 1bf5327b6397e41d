"""The choice of the ranges of layers' inputs (`activations.mode: auto`): static, dynamic, or no rounding.

All MatMul and Gemm have dynamic ranges if the model's outputs are then clearly better on held-out samples; else those
have them whose error at their own output falls clearly, if that helps. Layers that read the same tensor have the same
range. The input of a few layers stays in float if the error of the model's outputs then falls by much: such a layer
runs at the speed of float. See docs/methods.md, "Dynamic activations".
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quant.calibration.activation_ranges import ActivationRange
from quant.calibration.batch_inputs import BatchInput
from quant.evaluation.metrics import OutputComparison
from quant.graph.inventory import Layer
from quant.progress import Progress, StepProgress, correction_progress
from quant.search.candidates import Candidate, MeasuredCandidate, measure, with_layers
from quant.search.choice import Choice, best
from quant.search.context import CalibratedContext, RangeOption
from quant.search.ranking import gain
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
NEAR_DB = 6.0
"""The most dB by which another variant may be behind the best with static ranges to be tried with dynamic ones."""
COMPARISON = "the comparison of dynamic ranges"
"""The name of the work that a deadline leaves out."""
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


def choose_dynamic_inputs(choices: Sequence[Choice], progress: Progress) -> Choice:
    """Return the best choice, with dynamic ranges or float inputs for some layers if its outputs are clearly better.

    Args:
        choices: the best choice of each variant of the model, with static ranges. The best of them is returned where
            the spec or the model leaves no other ranges to try.
        progress: receives the samples completed.

    Raises:
        ExportError: a quantized model does not run.
    """
    choice = best(choices)
    context = choice.context
    if not isinstance(context, CalibratedContext) or not context.tries_dynamic or choice.outputs is None:
        return choice
    if context.deadline.skips(COMPARISON):
        return choice
    reported, groups = correction_progress(progress), _groups(context, choice)
    everywhere = _names(groups)
    tried = [_tried(rival, everywhere, _NONE, reported) for rival in choices if _is_near(rival, choice)]
    choice = _better(choice, tried, MIN_GAIN_DB, reported)
    if not _dynamic(choice) and _expected_gain_db(groups, _NONE) >= MIN_GAIN_DB:
        # the sample that decides on single layers may lack the rare values that a static range clips
        useful = _names(group for group in groups if group.is_dynamic)
        tried = [] if useful in (everywhere, _NONE) else [_tried(choice, useful, _NONE, reported)]
        choice = _better(choice, tried, MIN_GAIN_DB, reported)
    in_float = _names(_dominant(groups))
    if _expected_gain_db(groups, in_float) - _expected_gain_db(groups, _NONE) < MIN_FLOAT_GAIN_DB:
        return choice
    dynamic = _dynamic(choice) - in_float
    return _better(choice, [_tried(choice, dynamic, in_float, reported)], MIN_FLOAT_GAIN_DB, reported)


def _names(groups: Iterable[_Group]) -> frozenset[str]:
    return frozenset(layer.layer.name for group in groups for layer in group.layers)


def _dynamic(choice: Choice) -> frozenset[str]:
    """Return the names of the layers with dynamic ranges."""
    return frozenset(layer.layer.name for layer in choice.layers if layer.form is StorageForm.DYNAMIC)


def _is_near(rival: Choice, choice: Choice) -> bool:
    """Return True if the worst output of another variant is close enough to be ahead with dynamic ranges."""
    least = [min(each.scores.values(), default=-math.inf) for each in (rival, choice)]
    return rival is choice or rival.name == choice.name or least[0] >= least[1] - NEAR_DB


def _tried(
    choice: Choice, dynamic: frozenset[str], in_float: frozenset[str], progress: StepProgress
) -> tuple[Choice, MeasuredCandidate]:
    """Return the choice, and the candidate with these layers' inputs dynamic and in float, as it is compared.

    Biases are corrected if those of the choice are.
    """
    context = choice.context
    assert isinstance(context, CalibratedContext), "the choice was compared on held-out samples"
    layers = [_with_input(layer, dynamic, in_float) for layer in choice.layers]
    ranged = [
        layer.layer
        for layer in layers
        if has_static_range(layer.layer, context.spec) and layer.layer.name not in dynamic | in_float
    ]
    counts = {"dynamic": len(dynamic), "float": len(in_float)}
    name = ", ".join(f"{kind} inputs: {count}" for kind, count in counts.items() if count)
    name += ", corrected biases" if choice.shifts else ""
    option = context.option_for(choice.option, ranged)
    candidate = with_layers(context, name, layers, option, choice.shifts, progress)
    return choice, measure(context, candidate, progress)


def _better(
    choice: Choice, tried: Sequence[tuple[Choice, MeasuredCandidate]], least_db: float, progress: StepProgress
) -> Choice:
    """Return the candidate with the greatest gain as the choice, if the gain is clear; else the choice.

    Static ranges are judged by the worse of two measurements: with the ranges of the other samples, which clip held-out
    samples as they will clip those of users, and with the ranges that are exported, which may be wider.

    Args:
        choice: the best choice so far.
        tried: candidates, each with the choice of whose variant it is.
        least_db: the least gain.
        progress: receives the samples completed.
    """
    compared = {**(choice.compared or {})}
    compared |= {each.name + base.context.variant.suffix: each.sqnr_db for base, each in tried}
    names = choice.context.spec.evaluation.outputs
    reference = _judgements(choice, progress) if tried else ()
    gains = [gain([each.outputs], reference, names) for _, each in tried]
    for number in sorted(range(len(tried)), key=lambda number: -gains[number].db):
        base, candidate = tried[number]
        after = base.with_candidate(candidate, candidate.name + base.context.variant.suffix, compared)
        if gains[number].is_clear(least_db) and gain(_judgements(after, progress), reference, names).is_clear(least_db):
            return after
    return replace(choice, compared=compared)


def _judgements(choice: Choice, progress: StepProgress) -> tuple[OutputComparison, ...]:
    """Return the outputs of the choice as it was compared, and with the exported ranges where these are others."""
    context, option = choice.context, choice.option
    assert isinstance(context, CalibratedContext), "the choice was compared on held-out samples"
    assert choice.outputs is not None, "the choice was compared"
    if option.ranges == option.judging:
        return (choice.outputs,)
    exported = RangeOption(option.ranges, option.ranges)
    candidate = Candidate(f"{choice.name}, exported ranges", exported, [*choice.layers], choice.model, choice.shifts)
    return choice.outputs, measure(context, candidate, progress).outputs


def _expected_gain_db(groups: Iterable[_Group], in_float: frozenset[str]) -> float:
    """Return the gain in dB that better ranges and float inputs bring, as far as the errors of layers add up."""
    groups = [*groups]
    before = sum(group.static + group.weights for group in groups)
    after = sum(group.weights + (0.0 if _names([group]) <= in_float else group.error) for group in groups)
    return 10 * math.log10(before / after) if after > 0 and before > 0 else 0.0


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
