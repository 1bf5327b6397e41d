"""The range of least mean squared error on the histogram."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from quant.methods.ranges.base import Evidence, Observed, Range, RangeRuleBase

FRACTIONS = np.linspace(1, 0.2, 81)


class MseRange(RangeRuleBase):
    """The range of least mean squared error: both ends shrunk together, then each by itself."""

    name: Literal["mse"] = "mse"
    evidence: ClassVar[Evidence] = "histogram"

    def range(self, observed: Observed, levels: int) -> Range:
        lower, upper = observed.extremes
        points, counts = observed.histogram()
        both = [(f * lower, f * upper) for f in FRACTIONS]
        lower, upper = _best(both, points, counts, levels)
        lower, upper = _best([(lower, f * upper) for f in FRACTIONS], points, counts, levels)
        return _best([(f * lower, upper) for f in FRACTIONS], points, counts, levels) if lower else (lower, upper)


def _best(ranges: list[Range], points: NDArray[np.float64], counts: NDArray[np.float64], levels: int) -> Range:
    """The first range of least squared error over points (K,) with counts (K,)."""
    errors = []
    for lower, upper in ranges:
        step = (upper - lower) / (levels - 1) or 1.0
        shift = np.rint(-lower / step)
        codes = np.clip(np.rint(points / step) + shift, 0, levels - 1)
        errors.append(float(counts @ (points - (codes - shift) * step) ** 2))
    return ranges[int(np.argmin(errors))]
