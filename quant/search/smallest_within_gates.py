"""The smallest model that passes its gates, searched on calibration samples held out of the fit."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from quant.evaluation.metrics import OutputComparison
from quant.outcome.gates import MAX_SIZE_RATIO, GateFigures, GateLimits, GateResult, check_gates
from quant.outcome.summary import SizeFigures
from quant.progress import StepProgress
from quant.search.allocation import Allocation
from quant.search.candidates import MeasuredCandidate, best_corrected
from quant.search.context import CalibratedContext
from quant.search.mixed_precision import FormatAllocator, fit_budget

CAUTION = 1.0
"""Standard errors that are taken off a measured share, because the gate has to hold on other samples, too."""

TOLERANCE = 0.02
"""The largest relative difference between an allocation's bytes and the size of its exported file."""


@dataclass(frozen=True)
class GateTrial:
    """One allocation of the front with its gates on the held-out samples; `size_ratio` is that of its file."""

    allocation: Allocation
    size_ratio: float
    mean_bits: float
    gates: tuple[GateResult, ...]

    @property
    def passed(self) -> bool:
        """True if all gates pass."""
        return all(gate.passed for gate in self.gates)

    @property
    def shortfall(self) -> str:
        """The gates that fail and by how much, as text; empty where all pass."""
        return ", ".join(gate.failure for gate in self.gates if not gate.passed)

    def as_dict(self) -> dict[str, Any]:
        """Return the trial as the report shows it."""
        gates = [gate.model_dump(exclude={"reason"}) for gate in self.gates]
        return {"size_ratio": self.size_ratio, "mean_bits": self.mean_bits, "passed": self.passed, "gates": gates}


@dataclass(frozen=True)
class GateSearch:
    """The trials of a search in the order of their sizes, and the one that was chosen."""

    chosen: GateTrial
    trials: Sequence[GateTrial]

    def as_dict(self) -> dict[str, Any]:
        """Return the report's `search`: every trial, and by how much the best one fails where none passes."""
        return {
            "passed": self.chosen.passed,
            "fails_by": self.chosen.shortfall or None,
            "tried": [trial.as_dict() for trial in self.trials],
        }


def smallest_within_gates(
    context: CalibratedContext, allocator: FormatAllocator, limit: int | None, progress: StepProgress
) -> GateSearch:
    """Return the smallest allocation of the front that passes the gates on held-out calibration samples.

    The search halves the front and takes quality to rise along it. Where no allocation passes, it returns the largest
    one within the limits, which fails by the least. The limits are `limit` in bytes, if there is a budget, and the
    gate on the size.

    Raises:
        BudgetTooSmall: no allocation is as small as `limit`.
        ExportError: a quantized model does not run.
    """
    allocations = _within_limits(context, allocator, limit)
    trials: dict[int, GateTrial] = {}

    def passes(number: int) -> bool:
        trials[number] = _trial(context, allocator, allocations[number], progress)
        return trials[number].passed

    def is_over() -> bool:
        return context.deadline.skips("a part of the search for the smallest model")

    first = first_that_passes(len(allocations), passes, is_over)
    chosen = len(allocations) - 1 if first is None else first
    return GateSearch(trials[chosen], [trials[number] for number in sorted(trials)])


def first_that_passes(
    count: int, passes: Callable[[int], bool], is_over: Callable[[], bool] = lambda: False
) -> int | None:
    """Return the least number below `count` that passes, by bisection; None where the last one fails.

    Once `is_over` returns True, the least number that has passed so far is returned.

    Requires that every number above one that passes does so, too.
    """
    if not passes(count - 1):
        return None
    low, high = -1, count - 1
    while high - low > 1 and not is_over():
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high


def held_out_gates(limits: GateLimits, candidate: MeasuredCandidate, sizes: SizeFigures) -> list[GateResult]:
    """Return the gates' results on held-out samples; shares are one standard error on the safe side.

    Where the samples have no labels, every changed answer counts as a wrong one, which bounds the drop from above.
    Gates on durations are left out: no candidate is timed.
    """
    outputs = candidate.outputs
    figures = outputs.figures()
    agreement = _cautious_share(outputs.agreed, outputs.samples) if figures.top1_agreement is not None else None
    drop = _cautious_drop(outputs, agreement)
    cautious = figures.model_copy(
        update={
            "top1_agreement": agreement,
            "top1_float": None if drop is None else 100.0,  # only the difference of both accuracies counts
            "top1_quantized": None if drop is None else 100 - 100 * drop,
        }
    )
    layer_sqnr_db = [layer.quantized.error.sqnr_db for layer in candidate.layers]
    return check_gates(limits, GateFigures(sizes, cautious, layer_sqnr_db), timed=False, of_baseline=False)


def _within_limits(context: CalibratedContext, allocator: FormatAllocator, limit: int | None) -> list[Allocation]:
    """Return the front's allocations within the budget and the gate on the size; the smallest where none is."""
    limits = []
    if limit is not None:
        fit_budget(allocator, limit)
        limits.append(limit)
    max_ratio = context.spec.gates.limit_of(MAX_SIZE_RATIO)
    if max_ratio is not None:
        limits.append(int(max_ratio * context.source.size))
    front = allocator.front
    fitting = [allocation for allocation in front if _fits(allocator, allocation, min(limits))] if limits else front
    return fitting or front[:1]


def _fits(allocator: FormatAllocator, allocation: Allocation, limit: int) -> bool:
    """Return True if the file takes at most `limit` bytes; a file is only made where the estimate is close to it."""
    if allocation.bytes <= (1 - TOLERANCE) * limit:
        return True
    return allocation.bytes <= (1 + TOLERANCE) * limit and allocator.file_size(allocation) <= limit


def _trial(
    context: CalibratedContext, allocator: FormatAllocator, allocation: Allocation, progress: StepProgress
) -> GateTrial:
    candidate = best_corrected(context, allocator.layers_at(allocation), progress)
    sizes = SizeFigures.of(context.source.size, allocator.file_size(allocation))
    gates = held_out_gates(context.spec.gates, candidate, sizes)
    return GateTrial(allocation, sizes.size_ratio, allocator.mean_bits(allocation), tuple(gates))


def _cautious_drop(outputs: OutputComparison, agreement: float | None) -> float | None:
    """Return the drop of top-1 accuracy as a fraction, one standard error on the safe side; None without classes."""
    if outputs.labelled:
        return CAUTION * outputs.paired.standard_error - outputs.paired.difference
    return None if agreement is None else 1 - agreement


def _cautious_share(count: int, samples: int) -> float:
    """Return the share `count` / `samples`, less its standard error."""
    share = count / samples
    return share - CAUTION * math.sqrt(share * (1 - share) / samples)
