"""How many bits each weight gets: the least error that a number of bytes buys."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Option:
    """One width for one item: what it takes in the file, and the error at the model's output that it is charged."""

    bits: int
    bytes: float
    error: float


@dataclass(frozen=True)
class Point:
    """An option for each item, by its number, with the sums of their bytes and errors."""

    chosen: tuple[int, ...]
    bytes: float
    error: float


@dataclass(frozen=True)
class _Step:
    """Item `item` goes on to option `option` for `bytes` more, which takes `error` off."""

    item: int
    option: int
    bytes: float
    error: float

    @property
    def gain(self) -> float:
        return self.error / self.bytes


def pareto_front(items: Sequence[Sequence[Option]]) -> list[Point]:
    """The lower convex hull of (bytes, error) over all choices, from the smallest on; the errors add up.

    Each item walks along its own hull, and of all next steps the one of the largest gain a byte comes first: every
    point on the way minimises error + lambda bytes for some lambda (Shoham and Gersho, 1988).
    """
    point = _smallest(items)
    front = [point]
    for step in _steps(items):
        point = _taken(point, step)
        front.append(point)
    return front


def allocate(items: Sequence[Sequence[Option]], max_bytes: float) -> Point:
    """The steps of the front that still fit, in its order; the smallest choice where none fits.

    Its error is above the optimum's by no more than the error that the first step left out would have taken off.
    """
    point = _smallest(items)
    stopped: set[int] = set()
    for step in _steps(items):
        if step.item in stopped or point.bytes + step.bytes > max_bytes:
            stopped.add(step.item)
        else:
            point = _taken(point, step)
    return point


def closed_form(
    bounds: Sequence[float], sizes: Sequence[int], widths: Sequence[Sequence[int]], mean_bits: float
) -> list[int]:
    """The widths that ACIQ's rule gives items of `sizes` weights with clip bounds `bounds`: `mean_bits` at most.

    2^bits is proportional to bound^(2/3), which minimises the sum of a^2 / (3 4^bits) where the number of levels is
    what is shared out (Banner et al., 2019); the bits are then the nearest of each item's `widths`, and the factor
    is the largest that keeps the mean.
    """
    ideal = np.log2(np.maximum(bounds, np.finfo(np.float64).tiny)) * 2 / 3
    narrowest = [min(own) for own in widths]
    best = narrowest
    for shift in np.sort(_turns(ideal, widths)):
        rounded = [_nearest(bits, own) for bits, own in zip(ideal + shift, widths, strict=True)]
        if float(np.average(rounded, weights=sizes)) > mean_bits:
            break
        best = rounded
    return best


def _turns(ideal: NDArray[np.float64], widths: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """The shifts of all ideal bits at which one of them rounds to its next width."""
    edges = [
        (low + high) / 2 - bits
        for bits, own in zip(ideal, widths, strict=True)
        for low, high in zip(sorted(own), sorted(own)[1:], strict=False)
    ]
    return np.array(edges, np.float64)


def _nearest(bits: float, widths: Sequence[int]) -> int:
    """The nearest width, the larger of two as near."""
    return min(sorted(widths, reverse=True), key=lambda width: round(abs(width - bits), 9))


def _smallest(items: Sequence[Sequence[Option]]) -> Point:
    chosen = [min(range(len(own)), key=lambda number, own=own: (own[number].bytes, own[number].error)) for own in items]  # type: ignore[misc]
    options = [own[number] for own, number in zip(items, chosen, strict=True)]
    return Point(tuple(chosen), sum(one.bytes for one in options), sum(one.error for one in options))


def _taken(point: Point, step: _Step) -> Point:
    chosen = (*point.chosen[: step.item], step.option, *point.chosen[step.item + 1 :])
    return Point(chosen, point.bytes + step.bytes, point.error - step.error)


def _steps(items: Sequence[Sequence[Option]]) -> list[_Step]:
    """The steps along every item's convex hull, by falling gain; those of one item stay in their order."""
    start = _smallest(items).chosen
    steps = [step for item, own in enumerate(items) for step in _hull(item, own, start[item])]
    return sorted(steps, key=lambda step: -step.gain)  # stable, and gains fall along a hull


def _hull(item: int, options: Sequence[Option], start: int) -> list[_Step]:
    """The lower convex hull of one item's options from `start` on: each time the step of the steepest descent."""
    steps: list[_Step] = []
    while True:
        here = options[start]
        onward = [
            _Step(item, number, one.bytes - here.bytes, here.error - one.error)
            for number, one in enumerate(options)
            if one.bytes > here.bytes and one.error < here.error
        ]
        if not onward:
            return steps
        steps.append(max(onward, key=lambda step: (step.gain, step.bytes)))
        start = steps[-1].option
