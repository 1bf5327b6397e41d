"""The smallest model that passes its gates, found on calibration data that the quantizer did not fit to."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from quant.evaluation.metrics import OutputComparison
from quant.outcome.gates import MAX_SIZE_RATIO, GateFigures, GateLimits, GateResult, check_gates
from quant.outcome.summary import SizeFigures
from quant.progress import Samples
from quant.search.allocation import Point
from quant.search.candidates import Candidate, SearchContext, best_corrected
from quant.search.mixed_precision import Choices, fit_budget

CAUTION = 1.0
"""Standard errors by which a share must hold: the same gate is to hold on other samples."""

NEAR = 0.02
"""How far a point's own count of its bytes may be off, relative to the file."""


@dataclass(frozen=True)
class GateTrial:
    """One point of the front with the gates as the held-out samples have them; sizes are exact."""

    point: Point
    size_ratio: float
    mean_bits: float
    gates: tuple[GateResult, ...]

    @property
    def passed(self) -> bool:
        return all(gate.passed for gate in self.gates)

    def as_dict(self) -> dict[str, Any]:
        gates = [gate.model_dump() for gate in self.gates]
        return {"size_ratio": self.size_ratio, "mean_bits": self.mean_bits, "passed": self.passed, "gates": gates}


def smallest_within_gates(
    setting: SearchContext,
    found: Choices,
    size: Callable[[Point], int],
    bytes_before: int,
    progress: Samples,
) -> tuple[GateTrial, list[GateTrial]]:
    """The smallest point of the front that passes the gates on held-out calibration samples, and all that were tried.

    Quality is taken to rise along the front. Where no point passes, it is the largest that the budget and the gate of
    the size allow: the one that fails by the least.

    Raises:
        BudgetTooSmall: no choice is as small as the budget asks.
        ExportError: a quantized model does not run.
    """
    spec = setting.spec
    limits = [] if spec.budget is None else [spec.budget.limit(bytes_before)]
    if limits:
        fit_budget(found, limits[0], spec, size)
    max_ratio = spec.gates.limit_of(MAX_SIZE_RATIO)
    if max_ratio is not None:
        limits.append(int(max_ratio * bytes_before))
    front = found.front
    points = [point for point in front if _fits(point, min(limits), size)] if limits else front
    points = points or front[:1]
    tries: dict[int, GateTrial] = {}

    def passes(number: int) -> bool:
        layers = found.layers_at(points[number])
        candidate = best_corrected(setting, layers, progress)
        sizes = SizeFigures.of(bytes_before, size(points[number]))
        gates = held_out_gates(spec.gates, candidate, sizes)
        tries[number] = GateTrial(points[number], sizes.size_ratio, found.mean_bits(points[number]), tuple(gates))
        return tries[number].passed

    kept = first_that_passes(len(points), passes)
    return tries[len(points) - 1 if kept is None else kept], [tries[number] for number in sorted(tries)]


def first_that_passes(count: int, passes: Callable[[int], bool]) -> int | None:
    """The first of `count` numbers that passes, where all behind it pass, too; None where the last does not."""
    if not passes(count - 1):
        return None
    low, high = -1, count - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high


def held_out_gates(limits: GateLimits, candidate: Candidate, sizes: SizeFigures) -> list[GateResult]:
    """The gates by what was measured on held-out samples, shares by a standard error on the safe side.

    Where these have no labels, each changed answer counts as a lost one: the drop is at most that.
    """
    outputs = candidate.outputs
    assert outputs is not None, "only what was measured is held against gates"
    figures = outputs.figures()
    agreement = _at_least(outputs.agreed, outputs.samples) if figures.top1_agreement is not None else None
    drop = _drop(outputs, agreement)
    cautious = figures.model_copy(
        update={
            "top1_agreement": agreement,
            "top1_float": None if drop is None else 100.0,  # only the difference of both accuracies counts
            "top1_quantized": None if drop is None else 100 - 100 * drop,
        }
    )
    layer_sqnr_db = [layer.quantized.error.sqnr_db for layer in candidate.layers]
    return check_gates(limits, GateFigures(sizes, cautious, layer_sqnr_db))


def shortfall(tried: GateTrial) -> str:
    """By how much the gates fail, in words."""
    return ", ".join(gate.failure for gate in tried.gates if not gate.passed)


def describe_search(kept: GateTrial, tries: Sequence[GateTrial]) -> dict[str, Any]:
    """The report's `search`: every point that was tried, and what the best one fails by where none passes."""
    return {"passed": kept.passed, "fails_by": shortfall(kept) or None, "tried": [one.as_dict() for one in tries]}


def _fits(point: Point, limit: int, size: Callable[[Point], int]) -> bool:
    """By its own count of bytes, or by the file itself where that is near the limit."""
    return point.bytes <= (1 - NEAR) * limit or (point.bytes <= (1 + NEAR) * limit and size(point) <= limit)


def _drop(outputs: OutputComparison, agreement: float | None) -> float | None:
    if outputs.labelled:
        return CAUTION * outputs.paired.standard_error - outputs.paired.difference
    return None if agreement is None else 1 - agreement


def _at_least(count: int, samples: int) -> float:
    share = count / samples
    return share - CAUTION * math.sqrt(share * (1 - share) / samples)
