"""Layers that gain more in float than their bytes would bring elsewhere (`keep_float: auto`).

The error of every layer's weights and of every activation is measured alone. Layers are then left in float, or given
float inputs, by their error per byte, and the result is compared with the model before on held-out samples. See
docs/methods.md, 'Layers in float'.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from quant.correction.data_free import expected_shifts
from quant.data.dataset import Dataset
from quant.evaluation.sqnr import EXACT_DB
from quant.export.storage import stored_bytes
from quant.graph.biases import Shifts
from quant.graph.inventory import Skipped
from quant.graph.placement import fused_output
from quant.graph.random_values import random_tensors
from quant.progress import Progress, StepProgress, correction_progress, subject_progress
from quant.search.candidates import (
    CORRECTION,
    Candidate,
    MeasuredCandidate,
    best_measured,
    measure,
    with_layers,
)
from quant.search.choice import Choice
from quant.search.context import CalibratedContext, SearchContext
from quant.search.sensitivity import ACTIVATION, can_be_changed, measure_sensitivity
from quant.weights.layers import QuantizedLayer
from quant.weights.storage_form import StorageForm, has_static_range, targets_ort

DB_PER_SIZE = 6.02 * 32
"""The least gain in dB for each added byte, as a fraction of the float model's size: one more bit in all weights brings
6.02 dB for 1/32 of that size."""
FLOAT_INPUT_SIZE = 0.25 / DB_PER_SIZE
"""The bytes, as a fraction of the float model's size, that a float input of an integer kernel counts as. It takes none,
but the layer then runs at the speed of float, so that it must gain a quarter of a dB."""
MIN_GAIN_DB = 1.0
"""The least gain of all layers together."""
POOR_DB, POOR_KERNEL_DB = 30.0, 20.0
"""The score of the worst output from which no layer is left in float, and no layer that has an integer kernel: such a
layer runs slower in float, the others do not."""
MAX_TRIALS, MAX_ROUNDS = 4, 3
"""The most models that are compared in a round, and the most rounds: where errors do not add up, outputs may be poorer
than expected with some layers in float, so that others follow."""
MAX_RUNS, MAX_SAMPLES = 6, 8
"""The most runs of the float model, as a multiple of the samples of the calibration set, and the most samples, with
which the errors of the parts are measured."""
REASON = "its error at the output weighs more than its bytes (keep_float: auto)"
FLOAT_INPUT_NOTE = "its input stays in float: rounding it costs much of the output (keep_float: auto)"
"""The note for the report at a quantized layer whose input stays in float."""


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
        before = measure(context, choice.candidate, reported)
        scores, compared[choice.name] = before.scores, before.sqnr_db
    least = min(scores.values(), default=math.inf)
    errors = _measure_errors(choice, context, progress) if least < _poor_db(choice) else None
    if errors is None:
        return choice
    best: tuple[Floats, MeasuredCandidate] | None = None
    for _ in range(MAX_ROUNDS):
        trials = _Trials(choice, context, best, least, reported)
        better = trials.first_useful(worthwhile(errors, least, trials.floats), compared)
        if better is None:
            break
        best, least = better, min(better[1].scores.values(), default=math.inf)
    return replace(choice, compared=compared) if best is None else _chosen(choice, context, *best, compared)


@dataclass(frozen=True)
class _Trials:
    """The comparison of the choice with layers in float on held-out samples.

    Attributes:
        choice: the choice with all layers quantized.
        context: its context.
        best: what is in float so far, and the candidate with that; None in the first round.
        least: the score of the worst output so far.
        progress: receives the samples completed.
    """

    choice: Choice
    context: CalibratedContext
    best: tuple["Floats", MeasuredCandidate] | None
    least: float
    progress: StepProgress

    @property
    def floats(self) -> "Floats":
        """The layers that are in float so far."""
        return NOTHING if self.best is None else self.best[0]

    def first_useful(
        self, sequence: Sequence["Floats"], compared: dict[str, float | None]
    ) -> tuple["Floats", MeasuredCandidate] | None:
        """Return the first part of the sequence that gains enough for its bytes, or None; `compared` lists all."""
        for count in _trial_lengths(len(sequence)):
            floats = reduce(Floats.plus, sequence[:count], self.floats)
            measured = [self._measured(floats, correct=correct) for correct in self._corrections()]
            compared |= {candidate.name: candidate.sqnr_db for candidate in measured}
            candidate = best_measured(measured)
            gain = min(candidate.scores.values(), default=math.inf) - self.least
            added = _bytes_in_float(self.choice, floats.weights - self.floats.weights) / self.context.source.size
            if gain >= max(MIN_GAIN_DB, DB_PER_SIZE * added):
                return floats, candidate
        return None

    def _measured(self, floats: "Floats", *, correct: bool) -> MeasuredCandidate:
        candidate = _with_floats(self.choice, self.context, floats, self.progress, correct=correct)
        return measure(self.context, candidate, self.progress)

    def _corrections(self) -> tuple[bool, ...]:
        """Return which candidates are tried: with biases corrected where those of the choice are not, or without.

        Corrections that do harm beside large errors of activations may help where these are gone.
        """
        if self.best is not None:
            return (bool(self.best[1].shifts) and not self.choice.shifts,)
        may_correct = self.context.spec.bias_correction == "auto" and bool(self.context.comparable_layers)
        both = not self.choice.shifts and may_correct and not self.context.deadline.skips(CORRECTION)
        return (False, True) if both else (False,)


@dataclass(frozen=True)
class Floats:
    """The layers with float inputs, and those of them whose weights are in float, too: these compute in float."""

    inputs: frozenset[str] = frozenset()
    weights: frozenset[str] = frozenset()

    @classmethod
    def layers(cls, names: Collection[str]) -> "Floats":
        """Return the named layers in float."""
        return cls(frozenset(names), frozenset(names))

    def plus(self, other: "Floats") -> "Floats":
        """Return the layers of both."""
        return Floats(self.inputs | other.inputs, self.weights | other.weights)

    @property
    def rounded(self) -> frozenset[str]:
        """The layers with float inputs and quantized weights."""
        return self.inputs - self.weights


NOTHING = Floats()


@dataclass(frozen=True)
class Errors:
    """The errors of the parts of a quantized model at its output, each quantized alone.

    Attributes:
        weights: the error of each layer's weights.
        activations: the error of each activation.
        readers: the quantized layers for whose kernels each activation is quantized.
        sizes: the bytes that each layer adds in float, as a fraction of the float model's size.
        kernels: the layers that an integer kernel computes.
        float_inputs: True if a layer with quantized weights may read floats.
    """

    weights: Mapping[str, float]
    activations: Mapping[str, float]
    readers: Mapping[str, frozenset[str]]
    sizes: Mapping[str, float]
    kernels: frozenset[str]
    float_inputs: bool = False

    def left(self, floats: Floats) -> float:
        """Return the error that is left with these layers in float, as far as errors add up."""
        weights = sum(error for name, error in self.weights.items() if name not in floats.weights)
        inputs = (error for name, error in self.activations.items() if not self.readers[name] <= floats.inputs)
        return weights + sum(inputs)

    def moves(self) -> list[Floats]:
        """Return what may be in float: one layer, or the inputs of all layers that need one quantized activation.

        Where a layer with quantized weights cannot read floats, these layers are in float as a whole.
        """
        readers = dict.fromkeys(self.readers.values())
        together = [Floats(names) if self.float_inputs else Floats.layers(names) for names in readers]
        return [*(Floats.layers((name,)) for name in self.weights), *together]

    def limit(self, move: Floats, present: Floats) -> float:
        """Return the score in dB from which a move is not made: a lower one if it takes layers from integer kernels."""
        return POOR_KERNEL_DB if (move.inputs - present.inputs) & self.kernels else POOR_DB

    def size(self, floats: Floats) -> float:
        """Return the bytes that count for these layers in float, as a fraction of the float model's size."""
        slower = floats.inputs & self.kernels
        return sum(self.sizes[name] for name in floats.weights) + FLOAT_INPUT_SIZE * len(slower)


def worthwhile(errors: Errors, score: float, before: Floats = NOTHING) -> list[Floats]:
    """Return what to leave in float one after the other, while each gains enough for its bytes.

    Where a float input gains enough for the bytes of the layer's weights as well, these are in float, too.

    Args:
        errors: the errors of the parts.
        score: the score of the worst output in dB with `before` in float.
        before: what is in float already.
    """
    moves, present = errors.moves(), before
    sequence: list[Floats] = []
    while True:
        reached = score + _gain_db(errors, before, present)
        open_moves = [move for move in moves if present.plus(move) != present and reached < errors.limit(move, present)]
        if not open_moves:
            return sequence

        def rate(move: Floats, present: Floats = present) -> float:
            after = present.plus(move)
            return _gain_db(errors, present, after) / max(errors.size(after) - errors.size(present), 1e-9)

        best = max(open_moves, key=rate)
        if rate(best) < DB_PER_SIZE:
            return sequence
        gain, whole = _gain_db(errors, present, present.plus(best)), Floats.layers(best.inputs)
        if gain >= DB_PER_SIZE * (errors.size(present.plus(whole)) - errors.size(present)):
            best = whole
        present = present.plus(best)
        sequence.append(best)


def _gain_db(errors: Errors, before: Floats, after: Floats) -> float:
    left, present = errors.left(after), errors.left(before)
    if present <= 0:
        return 0.0
    return EXACT_DB if left <= 0 else 10 * math.log10(present / left)


def _trial_lengths(count: int) -> list[int]:
    """Return the numbers of moves that are tried: all, a half, a quarter, down to one; none of no moves."""
    lengths = [count] if count else []
    while lengths and lengths[-1] > 1 and len(lengths) < MAX_TRIALS:
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
        float_inputs=targets_ort(context.spec),
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


def _with_floats(
    choice: Choice, context: CalibratedContext, floats: Floats, progress: StepProgress, *, correct: bool = False
) -> Candidate:
    """Return the choice as a candidate with these layers in float, and without the activations that only they need.

    With `correct`, biases are corrected even if those of the choice are not.
    """
    layers = [_with_input(layer, floats) for layer in choice.layers if layer.layer.name not in floats.weights]
    static = [layer.layer for layer in layers if _is_static(layer, context) and layer.layer.name not in floats.inputs]
    option = context.option_for(choice.option, static)
    shifts: Shifts = {name: shift for name, shift in choice.shifts.items() if name not in floats.weights}
    name = _name(choice, floats, corrected=correct)
    return with_layers(context, name, layers, option, shifts, progress, correct=correct)


def _with_input(layer: QuantizedLayer, floats: Floats) -> QuantizedLayer:
    """Return the layer in the form for its input."""
    if layer.layer.name not in floats.inputs:
        return layer
    return replace(layer, form=StorageForm.FOLDED, notes=(*layer.notes, FLOAT_INPUT_NOTE))


def _name(choice: Choice, floats: Floats, *, corrected: bool) -> str:
    """Return the name of the candidate in the report."""
    counts = {"in float": len(floats.weights), "with float inputs": len(floats.rounded)}
    parts = [f"{count} {'layer' if count == 1 else 'layers'} {what}" for what, count in counts.items() if count]
    return ", ".join((choice.name, *parts, *(["corrected biases"] if corrected else [])))


def _chosen(
    choice: Choice,
    context: CalibratedContext,
    floats: Floats,
    candidate: MeasuredCandidate,
    compared: Mapping[str, float | None],
) -> Choice:
    """Return the candidate as the choice, with the reason at each layer that stays in float."""
    skipped = [
        Skipped(layer.layer.name, layer.layer.op, REASON)
        for layer in choice.layers
        if layer.layer.name in floats.weights
    ]
    in_float = replace(choice, context=replace(context, skipped=[*context.skipped, *skipped]))
    return in_float.with_candidate(candidate, candidate.name, compared)
