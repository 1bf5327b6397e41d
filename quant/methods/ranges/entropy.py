"""The range rule of least Kullback-Leibler divergence."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from quant.methods.ranges.base import Evidence, Observed, Range, RangeRuleBase

LEVELS = 128
"""Levels that the histogram is merged to: the published method uses 128 for every width."""


class EntropyRange(RangeRuleBase):
    """The bound of |x| whose histogram, merged to 128 levels, diverges least from the clipped one (Migacz, 2017).

    The bound minimises KL(P || Q) = sum_k p_k log(p_k / q_k), where P is the histogram of |x| with the values beyond
    the bound counted in its last bin, and Q the histogram within the bound, merged to 128 levels and spread again over
    the occupied bins. See docs/methods.md, 'Activation ranges'.
    """

    name: Literal["entropy"] = "entropy"
    evidence: ClassVar[Evidence] = "histogram"

    def range(self, observed: Observed, levels: int) -> Range:
        """Return the range -bound .. bound within the extremes; the extremes if fewer than 128 bins are in use."""
        lower, upper = observed.extremes
        _, counts = observed.histogram()
        half = len(counts) // 2
        magnitudes = counts[half:] + counts[:half][::-1]
        used = int(np.flatnonzero(magnitudes)[-1]) + 1 if magnitudes.any() else 0
        tried = range(LEVELS, used + 1, LEVELS // 8)
        if not len(tried):
            return lower, upper
        best = min(tried, key=lambda bins: (_divergence(magnitudes, bins), -bins))
        bound = float(observed.edges[half + best])
        return max(lower, -bound), min(upper, bound)


def _divergence(magnitudes: NDArray[np.float64], bins: int) -> float:
    """Return KL(P || Q) in nats for a bound at the upper edge of bin `bins` of the histogram of |x|."""
    inside = magnitudes[:bins]
    reference = inside.copy()
    reference[-1] += magnitudes[bins:].sum()
    level = np.arange(bins) * LEVELS // bins
    occupied = inside > 0
    share = np.bincount(level, inside, LEVELS) / np.maximum(np.bincount(level, occupied, LEVELS), 1)
    merged = np.where(occupied, share[level], 0)
    p, q = reference / reference.sum(), merged / max(merged.sum(), 1)
    q = np.where((p > 0) & (q == 0), 1e-9, q)  # the last bin may hold clipped values only
    support = p > 0
    return float(np.sum(p[support] * np.log(p[support] / q[support])))
