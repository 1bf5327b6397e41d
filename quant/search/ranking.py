"""The ranking of candidates by the errors of every output.

One figure over all outputs would let a large output decide for a small one: the boxes of a detector, in pixels, have a
million times the energy of its scores. So each output has a score, and the candidate is chosen whose greatest loss on
any output, compared with the best candidate there, is least. See docs/methods.md, 'Comparison of candidates'.
"""

import math
from collections.abc import Collection, Mapping, Sequence

import onnx_ir as ir

from quant.errors import FieldError, SpecError
from quant.evaluation.metrics import OutputComparison
from quant.evaluation.output_errors import OutputErrors

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
