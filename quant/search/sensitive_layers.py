"""Layers that gain more in float than their bytes would bring elsewhere (`keep_float: auto`).

The error of every layer's weights and of every activation is measured alone. Layers are then taken out of the quantized
model by their error per byte, and the result is compared with the model before on held-out samples. See
docs/methods.md, 'Layers in float'.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from quant.correction.data_free import expected_shifts
from quant.data.dataset import Dataset
from quant.evaluation.sqnr import EXACT_DB
from quant.export.storage import stored_bytes
from quant.graph.biases import Shifts
from quant.graph.inventory import Skipped
from quant.graph.placement import fused_output
from quant.graph.random_values import random_tensors
from quant.progress import Progress, StepProgress, correction_progress, subject_progress
from quant.search.candidates import Candidate, MeasuredCandidate, assemble, measure, measured_shifts
from quant.search.choice import Choice
from quant.search.context import CalibratedContext, SearchContext
from quant.search.sensitivity import ACTIVATION, can_be_changed, measure_sensitivity
from quant.weights.layers import QuantizedLayer
from quant.weights.storage_form import StorageForm, has_static_range

DB_PER_SIZE = 6.02 * 32
"""The least gain in dB for each added byte, as a fraction of the float model's size: one more bit in all weights brings
6.02 dB for 1/32 of that size."""
MIN_GAIN_DB = 1.0
"""The least gain of all layers together."""
POOR_DB, POOR_KERNEL_DB = 30.0, 20.0
"""The score of the worst output from which no layer is left in float, and no layer that has an integer kernel: such a
layer runs slower in float, the others do not."""
MAX_TRIALS = 4
"""The most models that are compared."""
MAX_RUNS, MAX_SAMPLES = 4, 8
"""The most runs of the float model, as a multiple of the samples of the calibration set, and the most samples, with
which the errors of the parts are measured."""
REASON = "its error at the output weighs more than its bytes (keep_float: auto)"


def keep_sensitive_layers_float(choice: Choice, progress: Progress) -> Choice:
    """Return the choice without the layers whose error at the output weighs more than their bytes.

    The choice is returned as it is without calibration data, for a model that draws random numbers, where its outputs
    are good, where there are too few samples for its number of layers, and where nothing gains enough.

    Raises:
        ExportError: a quantized model does not run.
    """
    context = choice.context
    if not isinstance(context, CalibratedContext) or random_tensors(context.model.graph) or not choice.layers:
        return choice
    reported = correction_progress(progress)
    scores, compared = choice.scores, {**(choice.compared or {})}
    if not scores:  # it was the only candidate, so it was compared with nothing
        before = measure(context, _without(choice, context, (), reported), reported)
        scores, compared[choice.name] = before.scores, before.sqnr_db
    least = min(scores.values(), default=math.inf)
    errors = _measure_errors(choice, context, progress) if least < _poor_db(choice) else None
    sequence = [] if errors is None else worthwhile(errors, least)
    if not sequence:
        return choice
    for count in _trial_lengths(len(sequence)):
        names = {name for move in sequence[:count] for name in move}
        candidate = measure(context, _without(choice, context, names, reported), reported)
        compared[candidate.name] = candidate.sqnr_db
        gain = min(candidate.scores.values(), default=math.inf) - least
        size = _bytes_in_float(choice, names) / context.source.size
        if gain >= max(MIN_GAIN_DB, DB_PER_SIZE * size):
            return _chosen(choice, context, candidate, names, compared)
    return replace(choice, compared=compared)


@dataclass(frozen=True)
class Errors:
    """The errors of the parts of a quantized model at its output, each quantized alone.

    Attributes:
        weights: the error of each layer's weights.
        activations: the error of each activation.
        readers: the quantized layers for whose kernels each activation is quantized.
        sizes: the bytes that each layer adds in float, as a fraction of the float model's size.
        kernels: the layers that an integer kernel computes.
    """

    weights: Mapping[str, float]
    activations: Mapping[str, float]
    readers: Mapping[str, frozenset[str]]
    sizes: Mapping[str, float]
    kernels: frozenset[str]

    def left(self, in_float: Collection[str]) -> float:
        """Return the error that is left with the named layers in float, as far as errors add up."""
        names = frozenset(in_float)
        weights = sum(error for name, error in self.weights.items() if name not in names)
        return weights + sum(error for name, error in self.activations.items() if not self.readers[name] <= names)


def worthwhile(errors: Errors, score: float) -> list[frozenset[str]]:
    """Return sets of layers to take out one after the other, while each gains enough for its bytes.

    A set is one layer, or all layers that need one quantized activation: its error vanishes with the last of them.

    Args:
        errors: the errors of the parts.
        score: the score of the worst output in dB with all layers quantized.
    """
    moves = [frozenset((name,)) for name in errors.weights]
    moves += [readers for readers in dict.fromkeys(errors.readers.values()) if len(readers) > 1]
    in_float: frozenset[str] = frozenset()
    sequence: list[frozenset[str]] = []
    while True:
        reached = score + _gain_db(errors, (), in_float)
        open_moves = [
            move
            for move in moves
            if not move <= in_float and reached < (POOR_KERNEL_DB if move & errors.kernels else POOR_DB)
        ]
        if not open_moves:
            return sequence

        def rate(move: frozenset[str], present: frozenset[str] = in_float) -> float:
            size = sum(errors.sizes[name] for name in move - present)
            return _gain_db(errors, present, present | move) / max(size, 1e-9)

        best = max(open_moves, key=rate)
        if rate(best) < DB_PER_SIZE:
            return sequence
        in_float |= best
        sequence.append(best)


def _gain_db(errors: Errors, before: Collection[str], after: Collection[str]) -> float:
    left, present = errors.left(after), errors.left(before)
    if present <= 0:
        return 0.0
    return EXACT_DB if left <= 0 else 10 * math.log10(present / left)


def _trial_lengths(count: int) -> list[int]:
    """Return the numbers of moves that are tried: all, a half, a quarter, down to one."""
    lengths = [count]
    while lengths[-1] > 1 and len(lengths) < MAX_TRIALS:
        lengths.append(lengths[-1] // 2)
    return lengths


def _poor_db(choice: Choice) -> float:
    """Return the score from which no layer of the choice is left in float, so that nothing has to be measured."""
    kernels = {name for names in _readers(choice).values() for name in names}
    return POOR_KERNEL_DB if kernels.issuperset(layer.layer.name for layer in choice.layers) else POOR_DB


def _measure_errors(choice: Choice, context: CalibratedContext, progress: Progress) -> Errors | None:
    """Return the errors of the parts on held-out samples; None where there are too few samples, or no noise."""
    layers = {layer.layer.name: layer for layer in choice.layers if can_be_changed(layer.layer, context.model)}
    readers = _readers(choice)
    ranges = {name: activation for name, activation in choice.ranges.items() if name in readers}
    samples = _few_samples(context, len(layers) + len(ranges))
    if samples is None or not layers:
        return None
    shifts = expected_shifts([*layers.values()], context.means) if choice.shifts else {}
    sensitivity = measure_sensitivity(
        context.model,
        {name: [layer] for name, layer in layers.items()},
        shifts,
        samples,
        subject_progress(correction_progress(progress), "one layer at a time"),
        ranges=ranges,
        side_by_side=True,
    )
    noise = sensitivity.noise
    if not all(math.isfinite(error) for error in noise.values()):
        return None
    weights = {name: noise[name] for name in layers}
    activations = {name: noise[ACTIVATION + name] for name in ranges if ACTIVATION + name in noise}
    return Errors(
        weights=weights,
        activations=activations,
        readers=readers,
        sizes={name: _bytes_in_float(choice, (name,)) / context.source.size for name in layers},
        kernels=frozenset(name for names in readers.values() for name in names),
    )


def _few_samples(context: CalibratedContext, parts: int) -> Dataset | None:
    """Return the held-out samples that are run for each part, in batches as small as the model allows; None if none."""
    runs = MAX_RUNS * context.calibration.used
    samples = context.held_out
    while (smaller := samples.halved()).batch < samples.batch:
        samples = smaller
    samples = samples.spread(min(MAX_SAMPLES, runs // max(parts, 1)))
    return samples if samples.used * parts <= runs else None


def _readers(choice: Choice) -> dict[str, frozenset[str]]:
    """Return the names of the quantized layers for whose kernels each activation is quantized.

    These are the layers that read it, and a layer whose kernel writes integers.
    """
    readers: dict[str, set[str]] = {}
    for quantized in choice.layers:
        layer = quantized.layer
        if not _is_static(quantized, choice.context):
            continue
        values = [layer.operand(layer.input_index)]
        values += [] if layer.operator.writes_float else [fused_output(layer.node)]
        for name in (str(value.name) for value in values):
            if name in choice.ranges:
                readers.setdefault(name, set()).add(layer.name)
    return {name: frozenset(names) for name, names in readers.items()}


def _is_static(quantized: QuantizedLayer, context: SearchContext) -> bool:
    return quantized.form is not StorageForm.DYNAMIC and has_static_range(quantized.layer, context.spec)


def _bytes_in_float(choice: Choice, names: Collection[str]) -> int:
    """Return the bytes that the named layers take more in float than quantized."""
    opset = choice.context.spec.export.opset
    layers = [layer for layer in choice.layers if layer.layer.name in names]
    return sum(4 * layer.layer.size - stored_bytes(layer.quantized, layer.form, opset) for layer in layers)


def _without(choice: Choice, context: CalibratedContext, names: Collection[str], progress: StepProgress) -> Candidate:
    """Return the choice as a candidate without the named layers, and without the activations that only they need.

    Measured corrections of biases are measured again: those of later layers made up for the errors that are gone.
    """
    if not names:
        return Candidate(choice.name, choice.option, [*choice.layers], choice.model, choice.shifts)
    layers = [layer for layer in choice.layers if layer.layer.name not in names]
    static = [layer.layer for layer in layers if _is_static(layer, context)]
    option = context.option_for(choice.option, static)
    shifts: Shifts = {name: shift for name, shift in choice.shifts.items() if name not in names}
    if choice.shifts and context.spec.bias_correction != "data_free":
        uncorrected, _ = assemble(context.model, layers, option.ranges, {}, context.spec.export.opset)
        shifts = measured_shifts(context, uncorrected, progress)
    model, exported = assemble(context.model, layers, option.ranges, shifts, context.spec.export.opset)
    plural = "layer" if len(names) == 1 else "layers"
    return Candidate(f"{choice.name}, {len(names)} {plural} in float", option, exported, model, shifts)


def _chosen(
    choice: Choice,
    context: CalibratedContext,
    candidate: MeasuredCandidate,
    names: Collection[str],
    compared: Mapping[str, float | None],
) -> Choice:
    """Return the candidate as the choice, with the reason at each layer that stays in float."""
    skipped = [
        Skipped(layer.layer.name, layer.layer.op, REASON) for layer in choice.layers if layer.layer.name in names
    ]
    in_float = replace(choice, context=replace(context, skipped=[*context.skipped, *skipped]))
    return in_float.with_candidate(candidate, candidate.name, compared)
