"""The decisions on one variant of the model: the bits of its weights, then the candidate with the best outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from quant.outcome.stages import Stage
from quant.progress import Progress, StepProgress, correction_progress, stage_progress
from quant.search.allocation import Allocation
from quant.search.candidates import (
    best_corrected,
    best_measured,
    build_candidates,
    data_free_candidate,
    measure_in_time,
)
from quant.search.choice import Choice
from quant.search.context import CalibratedContext, SearchContext, Work
from quant.search.mixed_precision import WidthAllocator, describe_allocation, promising, width_allocator
from quant.search.ranking import Scores, best_position
from quant.search.smallest_within_gates import smallest_within_gates
from quant.weights.layers import QuantizedLayer, quantize_layers


@dataclass(frozen=True)
class QuantizedWeights:
    """The quantized layers with their sections of the spec; how their bits were allocated, where they were.

    `allocation` and `search` are entries of the report, `max_bytes` is the budget of the exported file.
    """

    work: Work
    layers: list[QuantizedLayer]
    allocation: Mapping[str, Any] | None = None
    search: Mapping[str, Any] | None = None
    max_bytes: int | None = None
    warnings: tuple[str, ...] = ()


def quantize_weights(context: SearchContext, progress: Progress) -> QuantizedWeights:
    """Fit, clip and round every weight, with the bits that its section of the spec, the budget or the gates give it.

    Raises:
        BudgetTooSmall: the file cannot become as small as the budget asks.
        ExportError: a quantized model does not run.
    """
    spec = context.spec
    limit = None if spec.budget is None else spec.budget.limit(context.source.size)
    if isinstance(context, CalibratedContext) and spec.objective == "smallest_within_gates":
        return _smallest_weights(context, limit, progress)
    if limit is not None:
        return _weights_within_budget(context, limit, progress)
    fitting = stage_progress(progress, Stage.FITTING)
    layers = quantize_layers(context.work, context.moments, spec, fitting, deadline=context.deadline)
    return QuantizedWeights(context.work, layers)


def choose(context: SearchContext, weights: QuantizedWeights, progress: Progress, *, compare: bool = False) -> Choice:
    """Correct the biases and return the candidate with the best outputs on held-out samples.

    Args:
        context: the variant of the float model, with its statistics.
        weights: its quantized weights.
        progress: receives the samples completed.
        compare: True if the outputs are measured even where there is one candidate only.

    Raises:
        ExportError: a quantized model does not run.
    """
    compared: dict[str, float | None] | None = None
    scores: Scores = {}
    if isinstance(context, CalibratedContext):
        reported = correction_progress(progress)
        candidates = build_candidates(context, weights.work, weights.layers, reported)
        chosen, compared = candidates[0], {}
        if ((compare or context.tries_dynamic) and not context.deadline.is_over) or len(candidates) > 1:
            measured = measure_in_time(context, candidates, reported)
            best = best_measured(measured)
            chosen, scores = best, best.scores
            compared = {candidate.name + context.variant.suffix: candidate.sqnr_db for candidate in measured}
    else:
        chosen = data_free_candidate(context, weights.layers)
    return Choice(
        context=context,
        name=chosen.name + context.variant.suffix,
        model=chosen.model,
        layers=chosen.layers,
        option=chosen.option,
        shifts=chosen.shifts,
        compared=compared,
        allocation=weights.allocation,
        search=weights.search,
        max_bytes=weights.max_bytes,
        warnings=weights.warnings,
        scores=scores,
    )


def _weights_within_budget(context: SearchContext, limit: int, progress: Progress) -> QuantizedWeights:
    """Return the weights with the bits that a budget of `limit` bytes allows."""
    allocator = width_allocator(context, progress)
    allocations = promising(allocator, limit)
    allocation = allocations[0]
    several = len(allocations) > 1
    if isinstance(context, CalibratedContext) and several and not context.deadline.skips("the choice of bits"):
        allocation = _best_allocation(context, allocator, allocations, correction_progress(progress))
    return _allocated(allocator, allocation, limit)


def _best_allocation(
    context: CalibratedContext, allocator: WidthAllocator, allocations: Sequence[Allocation], progress: StepProgress
) -> Allocation:
    """Return the allocation with the best outputs on held-out samples, biases corrected."""
    tried = [best_corrected(context, allocator.layers_at(allocation), progress).scores for allocation in allocations]
    return allocations[best_position(tried)]


def _smallest_weights(context: CalibratedContext, limit: int | None, progress: Progress) -> QuantizedWeights:
    """Return the weights with the fewest bytes that pass the gates, within the budget if there is one."""
    allocator = width_allocator(context, progress)
    search = smallest_within_gates(context, allocator, limit, correction_progress(progress))
    weights = _allocated(allocator, search.chosen.allocation, limit)
    warnings: tuple[str, ...] = ()
    if not search.chosen.passed:
        warnings = (f"no choice of bits passes the gates on calibration data; the best: {search.chosen.shortfall}",)
    return replace(weights, search=search.as_dict(), warnings=warnings)


def _allocated(allocator: WidthAllocator, allocation: Allocation, limit: int | None) -> QuantizedWeights:
    """Return the weights of an allocation, their sections with the bits and the grid that they were given."""
    layers = allocator.layers_at(allocation)
    choices = {layer.layer.name: {"bits": layer.spec.bits, "grid": layer.spec.grid} for layer in layers}
    work = [(layer, section.model_copy(update=choices[layer.name])) for layer, section in allocator.context.work]
    return QuantizedWeights(work, layers, describe_allocation(allocator, allocation, limit), max_bytes=limit)
