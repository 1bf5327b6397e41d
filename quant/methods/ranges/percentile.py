"""The range rule of percentiles."""

from typing import ClassVar, Literal

from pydantic import Field

from quant.methods.ranges.base import Evidence, Observed, Range, RangeRuleBase


class PercentileRange(RangeRuleBase):
    """The range that holds q percent of the non-zero values; both tails lose the same share.

    Values that are never negative lose all of it in the upper tail. See docs/methods.md, 'Activation ranges'.
    """

    name: Literal["percentile"] = "percentile"
    evidence: ClassVar[Evidence] = "histogram"
    q: float = Field(default=99.99, gt=50, le=100, description="percent of the non-zero values that are not clipped")

    def range(self, observed: Observed, levels: int) -> Range:
        """Return the outer edges of the bins in which the two percentiles lie."""
        lower, upper = observed.extremes
        tail = observed.counts.sum() * (1 - self.q / 100) / (1 if observed.one_sided else 2)
        above = observed.counts[::-1].cumsum()[::-1]  # values in this bin and above
        below = observed.counts.cumsum()
        high = observed.edges[1:][above > tail]
        low = observed.edges[:-1][below > tail]
        if high.size:
            upper = min(upper, max(0.0, float(high[-1])))
        if low.size and not observed.one_sided:
            lower = max(lower, min(0.0, float(low[0])))
        return lower, upper
