"""The range rule of least mean squared error on the histogram."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from quant.methods.ranges.base import Evidence, Observed, Range, RangeRuleBase

FRACTIONS = np.linspace(1, 0.2, 81)
"""Fractions of the extremes that are tried as the ends of the range."""


class MseRange(RangeRuleBase):
    """The range of least mean squared error, searched by shrinking both ends together, then each end alone.

    The error of a range is sum_k c_k (m_k - Q(m_k))^2 over the bins, with count c_k and midpoint m_k, where Q is the
    uniform quantizer of that range. See docs/methods.md, 'Activation ranges'.
    """

    name: Literal["mse"] = "mse"
    evidence: ClassVar[Evidence] = "histogram"

    def range(self, observed: Observed, levels: int) -> Range:
        """Return the range of least squared error among the fractions of the extremes."""
        lower, upper = observed.extremes
        points, counts = observed.histogram()
        both = [(f * lower, f * upper) for f in FRACTIONS]
        lower, upper = _best(both, points, counts, levels)
        lower, upper = _best([(lower, f * upper) for f in FRACTIONS], points, counts, levels)
        return _best([(f * lower, upper) for f in FRACTIONS], points, counts, levels) if lower else (lower, upper)


def _best(ranges: list[Range], points: NDArray[np.float64], counts: NDArray[np.float64], levels: int) -> Range:
    """Return the first range of least squared error over points (K,) with counts (K,)."""
    errors = []
    for lower, upper in ranges:
        step = (upper - lower) / (levels - 1) or 1.0
        shift = np.rint(-lower / step)
        codes = np.clip(np.rint(points / step) + shift, 0, levels - 1)
        errors.append(float(counts @ (points - (codes - shift) * step) ** 2))
    return ranges[int(np.argmin(errors))]
