"""The clip rule that clips a fixed share of the weights."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from quant.methods.clipping.base import ClipRuleBase
from quant.methods.distributions.fit import Fit
from quant.methods.distributions.sample import magnitude_shares
from quant.methods.distributions.statistics import RowStatistics


class Percentile(ClipRuleBase):
    """The bound that q percent of the row's non-zero weights lie within.

    The bound is the q-th percentile of |w|, interpolated inside its bin. See docs/methods.md, 'Clip bounds'.
    """

    name: Literal["percentile"] = "percentile"
    q: float = Field(default=99.99, ge=50, le=100, description="percent of the weights that are not clipped")

    def bound(self, statistics: RowStatistics, fit: Fit, bits: int, *, mid_rise: bool = False) -> NDArray[np.float64]:
        """Return the q-th percentile (R,) of |w|, in the weight's unit; 0 for a row of zeros."""
        edges, shares = magnitude_shares(statistics)
        cumulative = np.pad(shares.cumsum(axis=1), ((0, 0), (1, 0)))
        share = self.q / 100
        at = np.clip((cumulative < share).sum(axis=1) - 1, 0, shares.shape[1] - 1)
        rows = np.arange(len(at))
        inside = np.maximum(shares[rows, at], np.finfo(np.float64).tiny)
        part = np.clip((share - cumulative[rows, at]) / inside, 0, 1)
        bound: NDArray[np.float64] = edges[rows, at] + part * (edges[rows, at + 1] - edges[rows, at])
        return np.minimum(bound, statistics.max_abs)
