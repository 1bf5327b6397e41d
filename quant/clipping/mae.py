"""The bound of least expected absolute error."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from quant.clipping.root import increasing_root
from quant.fit import Fit
from quant.statistics import RowStatistics


class Mae(BaseModel):
    """The bound of least mean absolute error under the fitted distribution, at most the largest |w|."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Literal["mae"] = "mae"

    def bound(self, statistics: RowStatistics, fit: Fit, bits: int) -> NDArray[np.float64]:
        """The bound (R,) in the weight's unit; 0 for a row of zeros.

        The step D solves sum_k k [T((k-1/2)D) + T((k+1/2)D) - 2 T(kD)] = 0 over k = 1..L, T(x) = P(|X| > x) and
        T((L+1/2)D) = 0: the derivative of the exact expected error. It lies near P(|X| > LD) = 1/(4L).
        """
        steps = 2 ** (bits - 1) - 1
        k = np.arange(1, steps + 1, dtype=np.float64)

        def slope(step: NDArray[np.float64]) -> NDArray[np.float64]:
            inner = np.concatenate(
                [fit.tail(step[:, None] * (k[:1] - 0.5)), fit.tail(step[:, None] * (k + 0.5))], axis=1
            )
            inner[:, -1] = 0
            bend = inner[:, :-1] + inner[:, 1:] - 2 * fit.tail(step[:, None] * k)
            derivative: NDArray[np.float64] = (k * bend).sum(axis=1)
            return derivative

        start = fit.bound(1 / (4 * steps)) / steps
        bound: NDArray[np.float64] = np.minimum(
            steps * increasing_root(slope, start / 8, start * 3), statistics.max_abs
        )
        return bound
