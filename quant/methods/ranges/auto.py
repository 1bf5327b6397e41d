"""The range rule that is chosen by the output of the whole model."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from quant.methods.ranges.base import Evidence, Observed, Range, RangeRuleBase
from quant.methods.ranges.minmax import MinMaxRange
from quant.methods.ranges.mse import MseRange
from quant.methods.ranges.percentile import PercentileRange

PERCENTILE = 99.999
"""Percentile that is tried: on the measured networks, covering the values beyond it costs more by coarser steps than
clipping them."""


class AutoRange(RangeRuleBase):
    """The rule among minmax, percentile (99.999) and mse whose model has the best outputs on held-out samples.

    All tensors take the same rule. A tensor on its own takes the range of mse. See docs/methods.md, 'Activation
    ranges'.
    """

    name: Literal["auto"] = "auto"
    evidence: ClassVar[Evidence] = "histogram"

    @property
    def candidates(self) -> Sequence[RangeRuleBase]:
        """The rules minmax, percentile (99.999) and mse."""
        return MinMaxRange(), PercentileRange(q=PERCENTILE), MseRange()

    def range(self, observed: Observed, levels: int) -> Range:
        """Return the range of least squared error on the histogram."""
        return MseRange().range(observed, levels)
