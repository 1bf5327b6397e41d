"""Mixed precision: a format for every weight, so that the error at the model's output is least for a file size."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from quant.correction.data_free import expected_shifts
from quant.errors import BudgetTooSmall, FieldError
from quant.evaluation.sqnr import sqnr_db
from quant.export.storage import INT2_OPSET
from quant.outcome.stages import Stage
from quant.progress import Progress, SampleProgress, StepProgress, correction_progress, stage_progress, subject_progress
from quant.search.allocation import Allocation, FormatOption, allocate, closed_form, pareto_front
from quant.search.context import CalibratedContext, SearchContext
from quant.search.format_bytes import export_size, format_bytes
from quant.search.format_quantizer import FormatQuantizer, SharedWeight
from quant.search.formats import WeightFormats, weight_formats
from quant.search.sensitivity import SAMPLES, can_be_changed, measure_sensitivity
from quant.weights.layers import QuantizedLayer

PROBED_BITS = 4
"""The width at which each weight is probed where there is no budget."""
MAX_RUNS = 1
"""The most runs of the float model, as a multiple of the samples of the calibration set, with which probes are
measured."""
TRIED_WIDTHS = (3, 4)
"""The least widths of further allocations that are compared as whole models."""
ADDITIVE_DB = 20.0
"""The expected SQNR from which the errors of single weights add up reliably, so that one allocation is enough."""
Options = Sequence[Sequence[FormatOption]]
"""The options of every weight."""


@dataclass(frozen=True)
class FormatAllocator:
    """The weights of a model, in its order, with their formats, and the allocations of bytes that they allow.

    Attributes:
        context: the variant of the float model.
        weights: the weights.
        options: the options of each weight, one for each format.
        quantizer: quantizes weights in the chosen formats.
        progress: receives the layers that are quantized.
    """

    context: SearchContext
    weights: tuple[WeightFormats, ...]
    options: Options
    quantizer: FormatQuantizer
    progress: StepProgress
    _sizes: dict[tuple[int, ...], int] = field(default_factory=dict)

    @cached_property
    def front(self) -> list[Allocation]:
        """The allocations from which no byte is saved without more error, the smallest first."""
        return pareto_front(self.options)

    def within(self, max_bytes: float) -> Allocation:
        """Return the allocation with the least error that takes at most `max_bytes` by its options' bytes."""
        return allocate(self.options, max_bytes)

    def no_narrower(self, bits: int) -> "FormatAllocator":
        """Return an allocator without formats below `bits`, except for weights that have no other.

        The allocations of both have the same option numbers.
        """
        counts = [max(sum(option.bits >= bits for option in options), 1) for options in self.options]
        options = tuple(tuple(options[:count]) for options, count in zip(self.options, counts, strict=True))
        return replace(self, options=options)

    def layers_at(self, allocation: Allocation) -> list[QuantizedLayer]:
        """Return the quantized layers of an allocation."""
        weights = self.quantizer.layers(allocation.options, self.progress)
        return [layer for weight in weights for layer in weight]

    def file_size(self, allocation: Allocation) -> int:
        """Return the size in bytes that the exported file of an allocation has at most."""
        numbers = allocation.options
        if numbers not in self._sizes:
            placeholders = self.quantizer.placeholders(numbers)
            self._sizes[numbers] = export_size(self.context, [layer for weight in placeholders for layer in weight])
        return self._sizes[numbers]

    def mean_bits(self, allocation: Allocation) -> float:
        """Return the bits of an allocation, averaged over the elements of all weights."""
        bits = [options[number].bits for options, number in zip(self.options, allocation.options, strict=True)]
        return float(np.average(bits, weights=[weight.size for weight in self.weights]))

    def by_closed_form(self, mean_bits: float) -> Allocation:
        """Return the allocation that ACIQ's rule derives from the clip bounds, with at most `mean_bits` on average.

        Of several formats with as many bits, each weight takes the one with the least error.
        """
        widths = [[option.bits for option in options] for options in self.options]
        bits = closed_form(self.quantizer.bounds, [weight.size for weight in self.weights], widths, mean_bits)
        numbers = tuple(_best_of_width(options, width) for options, width in zip(self.options, bits, strict=True))
        chosen = [options[number] for options, number in zip(self.options, numbers, strict=True)]
        return Allocation(numbers, sum(option.bytes for option in chosen), sum(option.error for option in chosen))


def format_allocator(context: SearchContext, limit: int | None, progress: Progress) -> FormatAllocator:
    """Return the allocator of a model: every weight in every format, with its bytes and its error at the output.

    1. Measure the error of each weight in each format at its layer's output, with rounding to the nearest levels.
    2. With calibration data, quantize each weight as the spec says in one format, which the budget allows by these
       errors, and measure the error that it causes alone at the model's output on a few samples.
    3. The errors of the weight's other formats are in the same proportion to it as those of step 1.

    The errors of single weights add up to about the error of all. Without data, and for weights in the body of an If, a
    Loop or a Scan, the errors are those at the layers' outputs.

    Args:
        context: the variant of the float model.
        limit: the budget of the file in bytes, if there is one.
        progress: receives the stages and their steps.

    Raises:
        ModelError: the model does not run on the calibration set.
    """
    weights = weight_formats(context.work, context.spec)
    quantizer = FormatQuantizer(context, weights)
    fitting = stage_progress(progress, Stage.FITTING)
    errors = quantizer.weight_errors(fitting)
    sizes = format_bytes(context, weights, quantizer)
    options = _options(weights, sizes, errors)
    if isinstance(context, CalibratedContext) and not context.deadline.skips("the sensitivity of single weights"):
        probes = _probes(options, limit)
        quantized = quantizer.probes(probes, fitting)
        reported = subject_progress(correction_progress(progress), "one weight at a time")
        measured = _output_errors(context, quantizer, quantized, reported)
        errors = [
            [error * measured[index] / by_format[probes[index]] for error in by_format] if by_format[probes[index]] > 0
            else by_format
            for index, by_format in enumerate(errors)
        ]  # fmt: skip
        options = _options(weights, sizes, errors)
    return FormatAllocator(context, weights, options, quantizer, fitting)


def budget_limit(context: SearchContext) -> int | None:
    """Return the budget of the file in bytes; None without one.

    With `mean_bits` it is the size of the file in which all weights have their widest format, 8 bits where no rule says
    otherwise, less the bits that are saved.
    """
    budget = context.spec.budget
    if budget is None or budget.mean_bits is None:
        return None if budget is None else budget.limit(context.source.size)
    weights = weight_formats(context.work, context.spec)
    widest = FormatQuantizer(context, weights).placeholders([0] * len(weights))
    size = export_size(context, [layer for weight in widest for layer in weight])
    free = [weight for weight in weights if len(weight.sections) > 1]
    saved = sum(weight.size * (weight.sections[0][0].bits - budget.mean_bits) / 8 for weight in free)
    return int(size - saved)


def fit_budget(allocator: FormatAllocator, limit: int) -> Allocation:
    """Return the allocation with the least error whose exported file takes at most `limit` bytes.

    Raises:
        BudgetTooSmall: no allocation is that small.
    """
    allowed, smallest = float(limit), allocator.within(0)
    while True:
        allocation = allocator.within(allowed)
        size = allocator.file_size(allocation)
        if size <= limit:
            return allocation
        if allocation == smallest:
            older = allocator.context.spec.export.opset < INT2_OPSET
            hint = f"; export.opset {INT2_OPSET} has 2-bit weights" if older else ""
            detail = f"the budget is {limit} bytes; the smallest file that can be reached has {size}{hint}"
            raise BudgetTooSmall(detail, [FieldError("/budget", f"accepted: at least {size} bytes")])
        allowed = allocation.bytes - (size - limit)


def promising(allocator: FormatAllocator, limit: int) -> list[Allocation]:
    """Return the allocations with the least error within `limit` bytes: of all widths, of 3 bits and more, and so on.

    The errors of narrow weights add up the least reliably. Where much error is expected, allocations without them are
    therefore compared, too, as long as such files are small enough.

    Raises:
        BudgetTooSmall: no allocation is that small.
    """
    allocations = [fit_budget(allocator, limit)]
    if sqnr_db(1.0, allocations[0].error) >= ADDITIVE_DB:
        return allocations
    for bits in TRIED_WIDTHS:
        wider = allocator.no_narrower(bits)
        if wider.within(0).bytes > limit:
            break
        try:
            allocations.append(fit_budget(wider, limit))
        except BudgetTooSmall:
            break
    return list(dict.fromkeys(allocations))


def describe_allocation(allocator: FormatAllocator, allocation: Allocation, limit: int | None) -> dict[str, Any]:
    """Return the report's `allocation`: the front, the chosen allocation, and ACIQ's closed form at its mean bits.

    `expected_sqnr_db` follows from the sum of the weights' errors, without those of activations. Sizes are the ones
    expected of the exported file.
    """

    def entry(allocation: Allocation) -> dict[str, float]:
        return {
            "size_ratio": allocation.bytes / allocator.context.source.size,
            "mean_bits": allocator.mean_bits(allocation),
            "expected_sqnr_db": sqnr_db(1.0, allocation.error),
        }

    return {
        "max_bytes": limit,
        "chosen": entry(allocation),
        "closed_form": entry(allocator.by_closed_form(allocator.mean_bits(allocation))),
        "front": [entry(allocation) for allocation in allocator.front],
    }


def _options(
    weights: Sequence[WeightFormats], sizes: Sequence[Sequence[float]], errors: Sequence[Sequence[float]]
) -> Options:
    """Return the options of every weight from the bytes and the error of each format."""
    return tuple(
        tuple(
            FormatOption(sections[0].bits, size, error)
            for sections, size, error in zip(weight.sections, by_size, by_error, strict=True)
        )
        for weight, by_size, by_error in zip(weights, sizes, errors, strict=True)
    )


def _probes(options: Options, limit: int | None) -> tuple[int, ...]:
    """Return the number of the format that each weight is measured in: that which the budget allows, or 4 bits."""
    if limit is not None:
        return allocate(options, limit).options
    return tuple(_closest_width(each, PROBED_BITS) for each in options)


def _closest_width(options: Sequence[FormatOption], bits: int) -> int:
    """Return the number of the first option whose width is the closest to `bits`."""
    return min(range(len(options)), key=lambda number: abs(options[number].bits - bits))


def _best_of_width(options: Sequence[FormatOption], bits: int) -> int:
    """Return the number of the option of `bits` bits with the least error."""
    having = (number for number, option in enumerate(options) if option.bits == bits)
    return min(having, key=lambda number: options[number].error)


def _output_errors(
    context: CalibratedContext, quantizer: FormatQuantizer, weights: Sequence[SharedWeight], progress: SampleProgress
) -> list[float]:
    """Return the error that each weight causes alone at the model's output, as a fraction of the output's energy.

    For weights that cannot be changed alone, it is the error at their layers' outputs.
    """
    changes = {
        str(number): weight
        for number, weight in enumerate(weights)
        if all(can_be_changed(quantized.layer, context.model) for quantized in weight)
    }
    layers = [layer for change in changes.values() for layer in change]
    shifts = {} if context.spec.bias_correction == "none" else expected_shifts(layers, context.moments)
    count = min(SAMPLES, MAX_RUNS * context.calibration.used // max(len(changes), 1))
    samples = context.fitting.spread(count)
    sensitivity = measure_sensitivity(context.model, changes, shifts, samples, progress, side_by_side=True)
    signal = sensitivity.signal
    measured = {int(name): noise / signal for name, noise in sensitivity.noise.items() if signal > 0}
    return [
        measured[number] if np.isfinite(measured.get(number, np.nan)) else quantizer.relative_error(weight)
        for number, weight in enumerate(weights)
    ]
