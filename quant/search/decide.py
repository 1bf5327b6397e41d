"""The decisions on one variant of the model: the bits of its weights, then the candidate with the best outputs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from quant.calibration.synthetic_calibration import SyntheticCalibration
from quant.evaluation.metrics import OutputComparison
from quant.outcome.stages import Stage
from quant.progress import Progress, correction_progress, stage_progress
from quant.search.allocation import Allocation
from quant.search.candidates import (
    MeasuredCandidate,
    best_measured,
    build_candidates,
    measure_in_time,
    measured_corrected,
)
from quant.search.choice import Choice
from quant.search.context import CalibratedContext, SearchContext, Work
from quant.search.data_free import PLAIN, PLAIN_REASON, PLAIN_WARNING, data_free_candidate
from quant.search.mixed_precision import FormatAllocator, budget_limit, describe_allocation, format_allocator, promising
from quant.search.ranking import Scores, best_position
from quant.search.smallest_within_gates import smallest_within_gates
from quant.weights.layers import QuantizedLayer, quantize_layers


@dataclass(frozen=True)
class QuantizedWeights:
    """The quantized layers with their sections of the spec; how their bits were allocated, where they were.

    `allocation` and `search` are entries of the report, `max_bytes` is the budget of the exported file. `measured` are
    candidates of these layers with the first ranges of activations, where they were compared already.
    """

    work: Work
    layers: list[QuantizedLayer]
    allocation: Mapping[str, Any] | None = None
    search: Mapping[str, Any] | None = None
    max_bytes: int | None = None
    warnings: tuple[str, ...] = ()
    measured: tuple[MeasuredCandidate, ...] = ()


def quantize_weights(context: SearchContext, progress: Progress) -> QuantizedWeights:
    """Fit, clip and round every weight, with the bits that its section of the spec, the budget or the gates give it.

    Raises:
        BudgetTooSmall: the file cannot become as small as the budget asks.
        ExportError: a quantized model does not run.
    """
    spec, limit = context.spec, budget_limit(context)
    if isinstance(context, CalibratedContext) and spec.objective == "smallest_within_gates":
        return _smallest_weights(context, limit, progress)
    if limit is not None:
        return _weights_within_budget(context, limit, progress)
    fitting = stage_progress(progress, Stage.FITTING)
    calibrated = isinstance(context, CalibratedContext)
    layers = quantize_layers(
        context.work, context.moments, spec, fitting, deadline=context.deadline, calibrated=calibrated
    )
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
    outputs: OutputComparison | None = None
    if isinstance(context, CalibratedContext):
        reported = correction_progress(progress)
        measured = weights.measured if len(context.range_options) == 1 else ()
        candidates = [*measured] or build_candidates(context, weights.work, weights.layers, reported)
        chosen, compared = candidates[0], {}
        if ((compare or context.tries_dynamic) and not context.deadline.is_over) or len(candidates) > 1:
            compared_candidates = measure_in_time(context, candidates, reported)
            best = best_measured(compared_candidates)
            chosen, scores, outputs = best, best.scores, best.outputs
            compared = {each.name + context.variant.suffix: each.sqnr_db for each in compared_candidates}
    else:
        chosen = data_free_candidate(context, weights.work, weights.layers)
        if chosen.name == PLAIN:
            weights = replace(weights, warnings=(*weights.warnings, PLAIN_WARNING))
            context = replace(context, synthetic=SyntheticCalibration(reason=PLAIN_REASON))
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
        outputs=outputs,
    )


def _weights_within_budget(context: SearchContext, limit: int, progress: Progress) -> QuantizedWeights:
    """Return the weights in the formats that a budget of `limit` bytes allows.

    With calibration data, the promising allocations are compared as whole models on held-out samples.
    """
    allocator = format_allocator(context, limit, progress)
    allocations = promising(allocator, limit)
    if not isinstance(context, CalibratedContext) or context.deadline.skips("the choice of bits"):
        return _allocated(allocator, allocations[0], limit)
    reported = correction_progress(progress)
    tried = [measured_corrected(context, allocator.layers_at(allocation), reported) for allocation in allocations]
    best = best_position([best_measured(candidates).scores for candidates in tried])
    return replace(_allocated(allocator, allocations[best], limit), measured=tuple(tried[best]))


def _smallest_weights(context: CalibratedContext, limit: int | None, progress: Progress) -> QuantizedWeights:
    """Return the weights with the fewest bytes that pass the gates, within the budget if there is one."""
    allocator = format_allocator(context, limit, progress)
    search = smallest_within_gates(context, allocator, limit, correction_progress(progress))
    weights = _allocated(allocator, search.chosen.allocation, limit)
    warnings: tuple[str, ...] = ()
    if not search.chosen.passed:
        warnings = (f"no choice of bits passes the gates on calibration data; the best: {search.chosen.shortfall}",)
    return replace(weights, search=search.as_dict(), warnings=warnings)


def _allocated(allocator: FormatAllocator, allocation: Allocation, limit: int | None) -> QuantizedWeights:
    """Return the weights of an allocation, their sections with the bits and the grid that they were given."""
    layers = allocator.layers_at(allocation)
    choices = {layer.layer.name: {"bits": layer.spec.bits, "grid": layer.spec.grid} for layer in layers}
    work = [(layer, section.model_copy(update=choices[layer.name])) for layer, section in allocator.context.work]
    return QuantizedWeights(work, layers, describe_allocation(allocator, allocation, limit), max_bytes=limit)
