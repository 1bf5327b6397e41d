"""The range rule of the extremes, over all batches or as a moving average."""

from typing import Literal

from pydantic import Field

from quant.methods.ranges.base import Observed, Range, RangeRuleBase


class MinMaxRange(RangeRuleBase):
    """The smallest and the largest value; with `moving`, a moving average of the batches' extremes.

    For the extremes x_b of batch b, the average is a_1 = x_1 and a_b = a_(b-1) + moving (x_b - a_(b-1)) (Jacob et al.,
    2018, section 3.1). See docs/methods.md, 'Activation ranges'.
    """

    name: Literal["minmax"] = "minmax"
    moving: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="weight of a new batch in the moving average; null takes the extremes of all batches",
    )

    @property
    def needs_every_batch(self) -> bool:
        """True if the moving average is taken."""
        return self.moving is not None

    def range(self, observed: Observed, levels: int) -> Range:
        """Return the extremes or their moving average, widened to include zero."""
        if self.moving is None:
            return observed.extremes
        lower, upper = observed.batches[0]
        for low, high in observed.batches[1:]:
            lower += self.moving * (low - lower)
            upper += self.moving * (high - upper)
        return min(0.0, float(lower)), max(0.0, float(upper))
