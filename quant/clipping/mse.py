"""The bound of least expected squared error."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from quant.clipping.root import increasing_root
from quant.fit import Fit
from quant.statistics import RowStatistics


class Mse(BaseModel):
    """The bound of least mean squared error under the fitted distribution, at most the largest |w|."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Literal["mse"] = "mse"

    def bound(self, statistics: RowStatistics, fit: Fit, bits: int) -> NDArray[np.float64]:
        """The bound (R,) in the weight's unit; 0 for a row of zeros.

        The step D solves D sum_k k^2 P_k = sum_k k M_k, with P_k the mass and M_k the first moment of |X| in the
        cell of level k: the derivative of the exact expected error (the linear case of Lloyd, 1982).
        """
        steps = 2 ** (bits - 1) - 1
        k = np.arange(1, steps + 1, dtype=np.float64)

        def slope(step: NDArray[np.float64]) -> NDArray[np.float64]:
            edges = step[:, None] * (k - 0.5)
            mass, moment, _ = fit.partial_moments(edges)
            low_mass, low_moment, _ = fit.partial_moments(-edges)
            mean = fit.partial_moments(np.full_like(step, -np.inf))[1][:, None]
            beyond, first = mass + 1 - low_mass, moment + low_moment - mean
            weight = np.concatenate([k[:1], np.diff(k**2)])  # cells telescope: k^2 P_k sums (2k-1) T(edge_k)
            difference: NDArray[np.float64] = step * (weight * beyond).sum(axis=1) - first.sum(axis=1)
            return difference

        start = fit.bound(1 / (4 * steps)) / steps
        bound: NDArray[np.float64] = np.minimum(
            steps * increasing_root(slope, start / 8, start * 4), statistics.max_abs
        )
        return bound
