"""The range rule of least expected squared error under the fitted distribution."""

import math
from typing import ClassVar, Literal

from quant.methods.clipping.mse import Mse
from quant.methods.ranges.base import Evidence, Observed, Range, RangeRuleBase

MAX_LEVELS = 2**9
"""Levels above which the steps are so fine that clipping gains nothing."""


class AnalyticRange(RangeRuleBase):
    """The bound of least expected squared error under the distribution fitted to a sample of the values.

    It is the bound of the mse clip rule (Lloyd, 1982). Values that are never negative are mirrored at zero for the
    fit, and their bound is that of a grid with one more bit. See docs/methods.md, 'Activation ranges'.
    """

    name: Literal["analytic"] = "analytic"
    evidence: ClassVar[Evidence] = "fit"

    def range(self, observed: Observed, levels: int) -> Range:
        """Return the range -bound .. bound within the extremes; the extremes if all values are zero."""
        lower, upper = observed.extremes
        if observed.statistics is None or observed.fit is None or levels > MAX_LEVELS:
            return lower, upper
        # a mirrored row has 2^(bits + 1) - 1 levels, any other 2^bits - 1
        bits = round(math.log2(levels)) + (1 if observed.one_sided else 0)
        bound = float(Mse().bound(observed.statistics, observed.fit, bits)[0])
        return max(lower, -bound), min(upper, bound)
