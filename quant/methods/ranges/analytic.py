"""The range of least expected squared error under the fitted distribution."""

import math
from typing import ClassVar, Literal

from quant.methods.clipping.mse import Mse
from quant.methods.ranges.base import Evidence, Observed, Range, RangeRuleBase

MOST_LEVELS = 2**9


class AnalyticRange(RangeRuleBase):
    """The MSE-optimal bound of the distribution fitted to a sample; what lies behind a Relu is fitted as one-sided."""

    name: Literal["analytic"] = "analytic"
    evidence: ClassVar[Evidence] = "fit"

    def range(self, observed: Observed, levels: int) -> Range:
        lower, upper = observed.extremes
        if observed.statistics is None or observed.fit is None or levels > MOST_LEVELS:
            return lower, upper  # nothing but zeros was seen, or the steps are so fine that clipping gains nothing
        # a mirrored row has one level fewer than twice as many: 2^bits - 1 of them, or 2^(bits + 1) - 1
        bits = round(math.log2(levels)) + (1 if observed.one_sided else 0)
        bound = float(Mse().bound(observed.statistics, observed.fit, bits)[0])
        return max(lower, -bound), min(upper, bound)
