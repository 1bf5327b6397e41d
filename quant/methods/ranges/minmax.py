"""The extremes themselves, over all batches or as a moving average."""

from typing import Literal

from pydantic import Field

from quant.methods.ranges.base import Observed, Range, RangeRuleBase


class MinMaxRange(RangeRuleBase):
    """The least and the greatest value seen; with `moving`, the average of the batches' extremes.

    `moving` is the weight of a new batch in the average (0 to 1); null takes the extremes of all batches.
    """

    name: Literal["minmax"] = "minmax"
    moving: float | None = Field(default=None, gt=0, le=1)

    @property
    def needs_every_batch(self) -> bool:
        return self.moving is not None

    def range(self, observed: Observed, levels: int) -> Range:
        if self.moving is None:
            return observed.extremes
        lower, upper = observed.batches[0]
        for low, high in observed.batches[1:]:
            lower += self.moving * (low - lower)
            upper += self.moving * (high - upper)
        return min(0.0, float(lower)), max(0.0, float(upper))
