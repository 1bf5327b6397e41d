"""The range that holds a given share of the values."""

from typing import ClassVar, Literal

from pydantic import Field

from quant.methods.ranges.base import Evidence, Observed, Range, RangeRuleBase


class PercentileRange(RangeRuleBase):
    """The range that holds q percent of the non-zero values, the rest in both tails (the upper, if one-sided)."""

    name: Literal["percentile"] = "percentile"
    evidence: ClassVar[Evidence] = "histogram"
    q: float = Field(default=99.99, gt=50, le=100)

    def range(self, observed: Observed, levels: int) -> Range:
        lower, upper = observed.extremes
        tail = observed.counts.sum() * (1 - self.q / 100) / (1 if observed.one_sided else 2)
        above = observed.counts[::-1].cumsum()[::-1]  # values in this bin and beyond
        below = observed.counts.cumsum()
        high = observed.edges[1:][above > tail]
        low = observed.edges[:-1][below > tail]
        if high.size:
            upper = min(upper, max(0.0, float(high[-1])))
        if low.size and not observed.one_sided:
            lower = max(lower, min(0.0, float(low[0])))
        return lower, upper
