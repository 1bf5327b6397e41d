"""The Laplace family."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from quant.distributions.fitted import Fitted, Rows
from quant.statistics import RowStatistics, binned


@dataclass(frozen=True)
class FittedLaplace(Fitted):
    family = "laplace"

    def unit_pdf(self, t: Rows) -> Rows:
        return np.exp(-t) / 2

    def unit_sf(self, t: Rows) -> Rows:
        return np.exp(-t) / 2

    def unit_partial_moments(self, t: Rows) -> tuple[Rows, Rows]:
        half = np.exp(-t) / 2
        return (t + 1) * half, (t**2 + 2 * t + 2) * half

    def unit_isf(self, tail: Rows) -> Rows:
        return -np.log(2 * tail)

    def log_likelihood(self, statistics: RowStatistics) -> Rows:
        n = statistics.nonzero
        return -n * np.log(2 * self.scale) - absolute_deviation(statistics, self.location) / self.scale


class Laplace(BaseModel):
    """Laplace; median and mean absolute deviation by maximum likelihood."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Literal["laplace"] = "laplace"

    def fit(self, statistics: RowStatistics) -> Fitted:
        location = median(statistics)
        deviation = absolute_deviation(statistics, location) / np.maximum(statistics.nonzero, 1)
        return FittedLaplace(location, np.where(deviation > 0, deviation, 1.0))


def median(statistics: RowStatistics) -> Rows:
    """The midpoint (R,) of the bin that holds the median of the non-zero weights; 0 for an empty row."""
    points, counts = binned(statistics)
    reached = counts.cumsum(axis=1) >= counts.sum(axis=1, keepdims=True) / 2
    return np.where(statistics.nonzero > 0, points[reached.argmax(axis=1)], 0.0)


def absolute_deviation(statistics: RowStatistics, location: Rows) -> Rows:
    """Sum of |w - location| (R,) over the non-zero weights, each taken at its bin's midpoint."""
    points, counts = binned(statistics)
    total: Rows = np.einsum("rk,rk->r", counts, np.abs(points - location[:, None]))
    return total
