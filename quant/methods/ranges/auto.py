"""The rule whose ranges serve the whole model best."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from quant.methods.ranges.base import Evidence, Observed, Range, RangeRuleBase
from quant.methods.ranges.minmax import MinMaxRange
from quant.methods.ranges.mse import MseRange
from quant.methods.ranges.percentile import PercentileRange

ALMOST_ALL = 99.999
"""Percent: on the networks that were measured, what lies beyond is dearer as a coarser step than when it is cut."""


class AutoRange(RangeRuleBase):
    """One rule for all tensors: of minmax, percentile (99.999) and mse the one with the closest outputs on samples held
    out of the calibration set, everything else in its place. Where a tensor stands alone, that is mse."""

    name: Literal["auto"] = "auto"
    evidence: ClassVar[Evidence] = "histogram"

    @property
    def candidates(self) -> Sequence[RangeRuleBase]:
        return MinMaxRange(), PercentileRange(q=ALMOST_ALL), MseRange()

    def range(self, observed: Observed, levels: int) -> Range:
        return MseRange().range(observed, levels)
