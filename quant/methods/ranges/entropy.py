"""The range that loses the least information, by the Kullback-Leibler divergence."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from quant.methods.ranges.base import Evidence, Observed, Range, RangeRuleBase

LEVELS = 128
"""How many levels the histogram is merged to; as in the method's publication, whatever the bits."""


class EntropyRange(RangeRuleBase):
    """The bound of |x| whose 128-level histogram diverges least from the clipped one (Migacz, 2017)."""

    name: Literal["entropy"] = "entropy"
    evidence: ClassVar[Evidence] = "histogram"

    def range(self, observed: Observed, levels: int) -> Range:
        lower, upper = observed.extremes
        _, counts = observed.histogram()
        half = len(counts) // 2
        magnitudes = counts[half:] + counts[:half][::-1]
        used = int(np.flatnonzero(magnitudes)[-1]) + 1 if magnitudes.any() else 0
        kept = range(LEVELS, used + 1, LEVELS // 8)
        if not len(kept):
            return lower, upper
        best = min(kept, key=lambda bins: (_divergence(magnitudes, bins), -bins))
        bound = float(observed.edges[half + best])
        return max(lower, -bound), min(upper, bound)


def _divergence(magnitudes: NDArray[np.float64], bins: int) -> float:
    """KL(P || Q) in nats: P the first `bins` with what lies beyond in the last, Q the same merged to 128 levels."""
    kept = magnitudes[:bins]
    reference = kept.copy()
    reference[-1] += magnitudes[bins:].sum()
    level = np.arange(bins) * LEVELS // bins
    occupied = kept > 0
    share = np.bincount(level, kept, LEVELS) / np.maximum(np.bincount(level, occupied, LEVELS), 1)
    merged = np.where(occupied, share[level], 0)
    p, q = reference / reference.sum(), merged / max(merged.sum(), 1)
    q = np.where((p > 0) & (q == 0), 1e-9, q)  # what was clipped into an empty bin
    seen = p > 0
    return float(np.sum(p[seen] * np.log(p[seen] / q[seen])))
