"""Mixed precision: bits for every weight, so that the error at the model's output is least for a file size."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from quant.correction.data_free import expected_shifts
from quant.errors import BudgetTooSmall, FieldError
from quant.evaluation.sqnr import sqnr_db
from quant.export.storage import INT2_OPSET, stored_bytes
from quant.outcome.stages import Stage
from quant.progress import Progress, SampleProgress, correction_progress, stage_progress, subject_progress
from quant.search.allocation import Allocation, WidthOption, allocate, closed_form, pareto_front
from quant.search.candidates import assemble
from quant.search.context import CalibratedContext, SearchContext
from quant.search.sensitivity import SAMPLES, can_be_changed, measure_sensitivity
from quant.search.widths import WIDTHS, SharedWeight, closest_width, quantize_at_widths, relative_error
from quant.spec import Spec
from quant.weights.layers import QuantizedLayer

PROBED_BITS = 4
"""The width at which each weight's sensitivity is measured. The errors of its other widths scale with their errors at
the layer's output."""


@dataclass(frozen=True)
class WeightAtWidths:
    """One weight quantized at each of its widths, and the option that each width is."""

    widths: tuple[SharedWeight, ...]
    options: tuple[WidthOption, ...]

    @property
    def size(self) -> int:
        """The number of the weight's elements."""
        return int(self.widths[0][0].layer.weight.size)

    @property
    def bound(self) -> float:
        """The mean clip bound at the widest width, in the weight's unit."""
        return float(np.mean(self.widths[0][0].quantized.clip))


@dataclass(frozen=True)
class WidthAllocator:
    """The weights of a model, in its order, and the allocations of bits that they allow."""

    context: SearchContext
    weights: tuple[WeightAtWidths, ...]

    @cached_property
    def front(self) -> list[Allocation]:
        """The allocations from which no byte is saved without more error, the smallest first."""
        return pareto_front([weight.options for weight in self.weights])

    def within(self, max_bytes: float) -> Allocation:
        """Return the allocation with the least error that takes at most `max_bytes` by its options' bytes."""
        return allocate([weight.options for weight in self.weights], max_bytes)

    def no_narrower(self, bits: int) -> "WidthAllocator":
        """Return an allocator without widths below `bits`, except for weights that have no other.

        The allocations of both have the same option numbers.
        """
        counts = [max(sum(option.bits >= bits for option in weight.options), 1) for weight in self.weights]
        weights = (
            WeightAtWidths(weight.widths[:count], weight.options[:count])
            for weight, count in zip(self.weights, counts, strict=True)
        )
        return replace(self, weights=tuple(weights))

    def layers_at(self, allocation: Allocation) -> list[QuantizedLayer]:
        """Return the quantized layers of an allocation."""
        chosen = zip(self.weights, allocation.options, strict=True)
        return [layer for weight, number in chosen for layer in weight.widths[number]]

    def file_size(self, allocation: Allocation) -> int:
        """Return the size in bytes that the exported file of an allocation has at most."""
        return export_size(self.context, self.layers_at(allocation))

    def mean_bits(self, allocation: Allocation) -> float:
        """Return the bits of an allocation, averaged over the elements of all weights."""
        bits = [weight.options[number].bits for weight, number in zip(self.weights, allocation.options, strict=True)]
        return float(np.average(bits, weights=[weight.size for weight in self.weights]))

    def by_closed_form(self, mean_bits: float) -> Allocation:
        """Return the allocation that ACIQ's rule derives from the clip bounds, with at most `mean_bits` on average."""
        widths = [[option.bits for option in weight.options] for weight in self.weights]
        bounds, sizes = [weight.bound for weight in self.weights], [weight.size for weight in self.weights]
        bits = closed_form(bounds, sizes, widths, mean_bits)
        numbers = tuple(accepted.index(width) for accepted, width in zip(widths, bits, strict=True))
        options = [weight.options[number] for weight, number in zip(self.weights, numbers, strict=True)]
        return Allocation(numbers, sum(option.bytes for option in options), sum(option.error for option in options))


def width_allocator(context: SearchContext, progress: Progress) -> WidthAllocator:
    """Return the allocator of a model: every weight at every width, with its bytes and its error at the output.

    The error at the output is the error at the layer's output times a gain. With calibration data the gain is
    measured at one width of each weight alone: the errors of single weights add up to about the error of all. It is
    1 without data, and for weights in the body of an If, a Loop or a Scan.

    Raises:
        ModelError: the model does not run on the calibration set.
    """
    spec = context.spec
    weights = quantize_at_widths(context.work, context.moments, spec, stage_progress(progress, Stage.FITTING))
    errors = [[relative_error(width, context.moments, spec) for width in widths] for widths in weights]
    if isinstance(context, CalibratedContext) and not context.deadline.skips("the sensitivity of single weights"):
        reported = subject_progress(correction_progress(progress), "one weight at a time")
        gains = _gains(context, weights, errors, reported)
        errors = [[error * gain for error in by_width] for by_width, gain in zip(errors, gains, strict=True)]
    overheads = _overheads(context, weights)
    options = (
        tuple(
            WidthOption(width[0].quantized.bits, _stored_bytes(width, spec) + overheads[index], error)
            for index, (width, error) in enumerate(zip(widths, by_width, strict=True))
        )
        for widths, by_width in zip(weights, errors, strict=True)
    )
    return WidthAllocator(context, tuple(map(WeightAtWidths, weights, options)))


def export_size(context: SearchContext, layers: Sequence[QuantizedLayer]) -> int:
    """Return the size in bytes that the exported file of the layers has at most.

    It counts a bias in every layer that bias correction may give one, and the rule of activation ranges with the
    largest file.
    """
    biases = {}
    if context.spec.bias_correction != "none":
        corrected = [quantized.layer for quantized in layers if quantized.layer.output_axis is not None]
        biases = {layer.name: np.ones(layer.output_channels) for layer in corrected}
    opset = context.spec.export.opset
    options = context.range_options.values()
    models = (assemble(context.model, layers, option.ranges, biases, opset)[0] for option in options)
    return max(len(context.export(model)) for model in models)


def fit_budget(allocator: WidthAllocator, limit: int) -> Allocation:
    """Return the allocation with the least error whose exported file takes at most `limit` bytes.

    Raises:
        BudgetTooSmall: no allocation is that small.
    """
    smallest = allocator.file_size(allocator.within(0))
    if smallest > limit:
        older = allocator.context.spec.export.opset < INT2_OPSET
        hint = f"; export.opset {INT2_OPSET} has 2-bit weights" if older else ""
        detail = f"the budget is {limit} bytes; the smallest file that can be reached has {smallest}{hint}"
        raise BudgetTooSmall(detail, [FieldError("/budget", f"accepted: at least {smallest} bytes")])
    allowed = limit
    while True:
        allocation = allocator.within(allowed)
        excess = allocator.file_size(allocation) - limit
        if excess <= 0:
            return allocation
        allowed -= excess


def promising(allocator: WidthAllocator, limit: int) -> list[Allocation]:
    """Return the allocations with the least error within `limit` bytes: of all widths, of 4 bits and more, and so on.

    The errors of 2-bit weights add up the least reliably, so allocations without them are compared, too, as long as
    such files are small enough.

    Raises:
        BudgetTooSmall: no allocation is that small.
    """
    allocations = [fit_budget(allocator, limit)]
    for bits in sorted(WIDTHS)[1:]:
        wider = allocator.no_narrower(bits)
        if wider.file_size(wider.within(0)) > limit:
            break
        allocations.append(fit_budget(wider, limit))
    return list(dict.fromkeys(allocations))


def describe_allocation(allocator: WidthAllocator, allocation: Allocation, limit: int | None) -> dict[str, Any]:
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


def _gains(
    context: CalibratedContext,
    weights: Sequence[tuple[SharedWeight, ...]],
    errors: Sequence[Sequence[float]],
    progress: SampleProgress,
) -> list[float]:
    """Return, for each weight, the error at the model's output over that at the layer's output; both are fractions."""
    probed = [closest_width(widths, PROBED_BITS) for widths in weights]
    changes = {
        str(number): widths[index]
        for number, (widths, index) in enumerate(zip(weights, probed, strict=True))
        if all(can_be_changed(quantized.layer, context.model) for quantized in widths[index])
    }
    layers = [layer for change in changes.values() for layer in change]
    shifts = {} if context.spec.bias_correction == "none" else expected_shifts(layers, context.moments)
    sensitivity = measure_sensitivity(context.model, changes, shifts, context.fitting.spread(SAMPLES), progress)
    gains = [1.0] * len(weights)
    for name, noise in sensitivity.noise.items():
        local = errors[int(name)][probed[int(name)]]
        measurable = local > 0 and sensitivity.signal > 0
        gains[int(name)] = noise / sensitivity.signal / local if measurable else 0.0
    return gains


def _stored_bytes(weight: SharedWeight, spec: Spec) -> int:
    """Return the bytes of the weight's codes and scales, stored once for all layers that share it."""
    return stored_bytes(weight[0].quantized, weight[0].form, spec.export.opset)


def _overheads(context: SearchContext, weights: Sequence[tuple[SharedWeight, ...]]) -> list[float]:
    """Return the file's bytes per weight other than codes and scales, for each width that all weights may have."""
    overheads = []
    for index in range(max(len(widths) for widths in weights)):
        at_width = [widths[min(index, len(widths) - 1)] for widths in weights]
        total = export_size(context, [layer for weight in at_width for layer in weight])
        stored = sum(_stored_bytes(weight, context.spec) for weight in at_width)
        overheads.append((total - stored) / len(weights))
    return overheads
