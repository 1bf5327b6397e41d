"""The ranking of candidates by the errors of every output.

One figure over all outputs would let a large output decide for a small one: the boxes of a detector, in pixels, have a
million times the energy of its scores. So each output has a score, and the candidate is chosen whose greatest loss on
any output, compared with the best candidate there, is least. See docs/methods.md, 'Comparison of candidates'.

What is tried beyond the ordinary candidates must gain more than the uncertainty of the held-out samples: of many
candidates that differ by chance, the best is better on these samples only.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.errors import FieldError, SpecError
from quant.evaluation.metrics import OutputComparison
from quant.evaluation.output_errors import OutputErrors
from quant.evaluation.sqnr import EXACT_DB

CLEAR = 1.0
"""The standard errors by which a gain is clear (the one-standard-error rule: Breiman et al., 1984)."""
FLOOR = 1e-4
"""The ratio of noise to signal that counts as no noise beside larger ones: an output at 40 dB should not decide where
another is at 15 dB."""

Scores = Mapping[str, float]
"""The score of each output, and of each group of its channels, by name; the larger the better."""


def scores(comparison: OutputComparison, names: Collection[str] = ()) -> Scores:
    """Return the scores of the outputs: -10 log10(noise / signal + FLOOR) in dB, or minus infinity without a bound.

    Float outputs count. Where no output holds floats, 8- and 16-bit integers do; where none of these do, the score of
    an output is the percentage of equal values.

    Args:
        comparison: the outputs of a candidate, compared with the float model's.
        names: the outputs that count; all where there are none.
    """
    outputs = [errors for errors in comparison.pooled if not names or errors.name in names]
    if outputs:
        return {name: score for errors in outputs for name, score in _scores_of(errors).items()}
    counted = [errors for errors in comparison.errors if not names or errors.name in names]
    return {errors.name: 100 * errors.agreement for errors in counted if errors.agreement is not None}


def require_outputs(model: ir.Model, names: Sequence[str]) -> None:
    """Raise unless the model has every named output.

    Raises:
        SpecError: an output is missing; `errors` has its JSON pointer.
    """
    known = [str(value.name) for value in model.graph.outputs]
    faults = [
        FieldError(f"/evaluation/outputs/{number}", f"the model has no output {name!r}; accepted: {', '.join(known)}")
        for number, name in enumerate(names)
        if name not in known
    ]
    if faults:
        raise SpecError("; ".join(f"{fault.pointer} {fault.detail}" for fault in faults), faults)


def best_position(candidates: Sequence[Scores]) -> int:
    """Return the position of the candidate with the least loss on its worst output; of equal ones, the first.

    The loss on an output is the score of the best candidate there less that of the candidate. An output on which no
    candidate has a score does not count.
    """
    best = {
        name: max(candidate.get(name, -math.inf) for candidate in candidates)
        for name in dict.fromkeys(name for candidate in candidates for name in candidate)
    }
    counted = {name: score for name, score in best.items() if score > -math.inf}

    def loss(position: int) -> float:
        return max((score - candidates[position].get(name, -math.inf) for name, score in counted.items()), default=0.0)

    return min(range(len(candidates)), key=loss)


@dataclass(frozen=True)
class Gain:
    """The mean gain over the outputs in dB, and its standard error."""

    db: float
    standard_error: float

    def is_clear(self, least_db: float = 0.0) -> bool:
        """Return True if the gain is at least `least_db` and its standard error."""
        return self.db > 0 and self.db >= max(least_db, CLEAR * self.standard_error)


def gain(
    candidates: Sequence[OutputComparison], references: Sequence[OutputComparison], names: Collection[str] = ()
) -> Gain:
    """Return the gain of a candidate over a reference on the same held-out samples.

    With n samples and g_i the gain without sample i, the standard error is that of the jackknife (Tukey, 1958),

        sqrt((n - 1)/n sum_i (g_i - mean g)^2),

    the mean over the outputs. It is infinite where samples cannot be told apart, and for outputs without floats.

    Args:
        candidates: the outputs of the candidate; of several measurements with other ranges, the worst counts.
        references: those of the reference.
        names: the outputs that count; all with floats where there are none.
    """
    mine, others = (_worst(comparisons, names) for comparisons in (candidates, references))
    gains = [_gain_of(errors, others[name]) for name, errors in mine.items() if name in others]
    if not gains:
        return Gain(0.0, math.inf)
    return Gain(*(sum(values) / len(gains) for values in zip(*gains, strict=True)))


def _worst(comparisons: Sequence[OutputComparison], names: Collection[str]) -> dict[str, OutputErrors]:
    """Return each output with its errors in the measurement where these are largest."""
    worst: dict[str, OutputErrors] = {}
    for errors in (errors for comparison in comparisons for errors in comparison.pooled):
        if errors.floats and (not names or errors.name in names):
            before = worst.setdefault(errors.name, errors)
            worst[errors.name] = max(before, errors, key=lambda each: (each.unbounded, each.noise))
    return worst


def _gain_of(errors: OutputErrors, reference: OutputErrors) -> tuple[float, float]:
    """Return the gain on one output and its standard error in dB."""
    total = [_score(side.signal, side.noise, unbounded=bool(side.unbounded)) for side in (errors, reference)]
    if not all(map(math.isfinite, total)):
        return (0.0 if total[0] == total[1] else math.copysign(EXACT_DB, total[0] - total[1])), 0.0
    samples = [side.samples for side in (errors, reference)]
    if any(side is None or len(side.noise) < 2 for side in samples):
        return total[0] - total[1], math.inf
    scores_without = [
        -10 * np.log10(_without_each(side.noise) / np.maximum(_without_each(side.signal), 1e-300) + FLOOR)
        for side in samples
        if side is not None
    ]
    gains = scores_without[0] - scores_without[1]
    return total[0] - total[1], float(np.sqrt((len(gains) - 1) * gains.var()))


def _without_each(energies: Sequence[float]) -> NDArray[np.float64]:
    """Return the sum of the energies without each of them."""
    values = np.asarray(energies, np.float64)
    rest: NDArray[np.float64] = np.maximum(values.sum() - values, 0.0)
    return rest


def _scores_of(errors: OutputErrors) -> dict[str, float]:
    """Return the score of one output, and those of its two groups of channels, if its channels have unlike ranges."""
    unbounded = bool(errors.unbounded)
    by_name = {errors.name: _score(errors.signal, errors.noise, unbounded=unbounded)}
    groups = errors.channels.energies() if errors.channels is not None else []
    for group, (signal, noise) in zip(("small", "large"), groups, strict=False):
        by_name[f"{errors.name}, channels of {group} range"] = _score(signal, noise, unbounded=unbounded)
    return by_name


def _score(signal: float, noise: float, *, unbounded: bool) -> float:
    if unbounded or not math.isfinite(noise) or not signal > 0:
        return -math.inf
    return -10 * math.log10(noise / signal + FLOOR)
