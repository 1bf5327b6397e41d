"""Allocation of bits to weights: the least error for a number of bytes (Shoham and Gersho, 1988)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEPS = 4096
"""The steps of a budget in which the sizes of options are counted. Rounding up to them loses at most 1 % of the budget
for 40 weights."""


@dataclass(frozen=True)
class FormatOption:
    """One format that a weight may have, its bytes in the exported file and the error that it causes.

    `error` is the expected energy of the error at the model's output, as a fraction of the output's energy.
    """

    bits: int
    bytes: float
    error: float


@dataclass(frozen=True)
class Allocation:
    """One option for every weight, by its index, with the sums of the options' bytes and errors."""

    options: tuple[int, ...]
    bytes: float
    error: float


@dataclass(frozen=True)
class _Upgrade:
    """A change of weight `weight` to its option `option`, which costs `bytes` and removes `error`."""

    weight: int
    option: int
    bytes: float
    error: float

    @property
    def gain(self) -> float:
        """The error removed by each byte."""
        return self.error / self.bytes


def pareto_front(weights: Sequence[Sequence[FormatOption]]) -> list[Allocation]:
    """Return the lower convex hull of (bytes, error) over all allocations, the smallest first; errors add up.

    Each weight moves along the hull of its own options, and the upgrade with the largest gain is taken next. Every
    allocation on the path minimises error + lambda bytes for some lambda (Shoham and Gersho, 1988).
    """
    allocation = _smallest(weights)
    front = [allocation]
    for upgrade in _upgrades(weights):
        allocation = _upgraded(allocation, upgrade)
        front.append(allocation)
    return front


def allocate(weights: Sequence[Sequence[FormatOption]], max_bytes: float) -> Allocation:
    """Return the allocation with about the least error that fits in `max_bytes`; the smallest where none fits.

    The better of two is taken: the upgrades along the hulls that fit, by falling gain, whose error exceeds the optimum
    by at most what the first omitted upgrade removes, and the optimum for sizes in steps of 1 / `STEPS` of the budget.
    The second matters where a few large weights have most of the bytes: their best option may lie off the hull.
    """
    smallest = _smallest(weights)
    allocation, stopped = smallest, set[int]()
    for upgrade in _upgrades(weights):
        if upgrade.weight in stopped or allocation.bytes + upgrade.bytes > max_bytes:
            stopped.add(upgrade.weight)
        else:
            allocation = _upgraded(allocation, upgrade)
    if max_bytes <= smallest.bytes:
        return smallest
    return min(allocation, _optimum_in_steps(weights, smallest, max_bytes), key=lambda each: each.error)


def _optimum_in_steps(weights: Sequence[Sequence[FormatOption]], smallest: Allocation, max_bytes: float) -> Allocation:
    """Return the allocation of least error if the bytes above the smallest options are rounded up to whole steps.

    This is the knapsack problem with one option of each weight, solved by dynamic programming over the steps.
    """
    largest = sum(max(option.bytes for option in options) for options in weights)
    step = (min(max_bytes, largest) - smallest.bytes) / STEPS
    steps = [
        [0 if step <= 0 else math.ceil((option.bytes - options[first].bytes) / step - 1e-9) for option in options]
        for options, first in zip(weights, smallest.options, strict=True)
    ]
    least, chosen = np.zeros(STEPS + 1), []
    for options, taken in zip(weights, steps, strict=True):
        errors = np.full((len(options), STEPS + 1), np.inf)
        for number, option in enumerate(options):
            if 0 <= taken[number] <= STEPS:
                errors[number, taken[number] :] = least[: STEPS + 1 - taken[number]] + option.error
        chosen.append(errors.argmin(axis=0))
        least = errors.min(axis=0)
    numbers, left = [], STEPS
    for taken, best in reversed([*zip(steps, chosen, strict=True)]):
        number = int(best[left])
        numbers.append(number)
        left -= taken[number]
    numbers.reverse()
    options_taken = [options[number] for options, number in zip(weights, numbers, strict=True)]
    total, error = sum(option.bytes for option in options_taken), sum(option.error for option in options_taken)
    return Allocation(tuple(numbers), total, error) if total <= max_bytes else smallest


def closed_form(
    bounds: Sequence[float], sizes: Sequence[int], widths: Sequence[Sequence[int]], mean_bits: float
) -> list[int]:
    """Return the bits that ACIQ's rule gives each weight, at most `mean_bits` on average (Banner et al. 2019).

    The rule makes 2^bits proportional to bound^(2/3). This minimises the sum of bound^2 / (3 4^bits) for a fixed sum
    of levels. The bits are then rounded to the nearest of the weight's `widths`, with the largest common factor that
    keeps the mean.

    Args:
        bounds: the clip bound of each weight.
        sizes: the number of elements of each weight.
        widths: the bits that each weight may have.
        mean_bits: the limit of the mean over all elements.
    """
    ideal = np.log2(np.maximum(bounds, np.finfo(np.float64).tiny)) * 2 / 3
    bits = [min(accepted) for accepted in widths]
    for shift in np.sort(_rounding_shifts(ideal, widths)):
        rounded = [_nearest(target, accepted) for target, accepted in zip(ideal + shift, widths, strict=True)]
        if float(np.average(rounded, weights=sizes)) > mean_bits:
            break
        bits = rounded
    return bits


def _rounding_shifts(ideal: NDArray[np.float64], widths: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """Return the shifts of all ideal bits at which the bits of some weight round to its next width."""
    shifts = [
        (low + high) / 2 - target
        for target, accepted in zip(ideal, widths, strict=True)
        for low, high in zip(sorted(accepted), sorted(accepted)[1:], strict=False)
    ]
    return np.array(shifts, np.float64)


def _nearest(bits: float, widths: Sequence[int]) -> int:
    """Return the nearest width, the larger of two that are equally near."""
    return min(sorted(widths, reverse=True), key=lambda width: round(abs(width - bits), 9))


def _smallest(weights: Sequence[Sequence[FormatOption]]) -> Allocation:
    """Return the allocation with the fewest bytes, and of those the one with the least error."""
    numbers = tuple(_smallest_option(options) for options in weights)
    options = [options[number] for options, number in zip(weights, numbers, strict=True)]
    return Allocation(numbers, sum(option.bytes for option in options), sum(option.error for option in options))


def _smallest_option(options: Sequence[FormatOption]) -> int:
    return min(range(len(options)), key=lambda number: (options[number].bytes, options[number].error))


def _upgraded(allocation: Allocation, upgrade: _Upgrade) -> Allocation:
    before, after = allocation.options[: upgrade.weight], allocation.options[upgrade.weight + 1 :]
    options = (*before, upgrade.option, *after)
    return Allocation(options, allocation.bytes + upgrade.bytes, allocation.error - upgrade.error)


def _upgrades(weights: Sequence[Sequence[FormatOption]]) -> list[_Upgrade]:
    """Return the upgrades along every weight's convex hull, by falling gain."""
    upgrades = [upgrade for weight, options in enumerate(weights) for upgrade in _hull(weight, options)]
    # the gains fall along a hull and the sort is stable, so the upgrades of one weight stay in their order
    return sorted(upgrades, key=lambda upgrade: -upgrade.gain)


def _hull(weight: int, options: Sequence[FormatOption]) -> list[_Upgrade]:
    """Return the upgrades along the lower convex hull of one weight's options: each time the steepest descent."""
    current = options[_smallest_option(options)]
    upgrades: list[_Upgrade] = []
    while True:
        candidates = [
            _Upgrade(weight, number, option.bytes - current.bytes, current.error - option.error)
            for number, option in enumerate(options)
            if option.bytes > current.bytes and option.error < current.error
        ]
        if not candidates:
            return upgrades
        upgrades.append(max(candidates, key=lambda upgrade: (upgrade.gain, upgrade.bytes)))
        current = options[upgrades[-1].option]
