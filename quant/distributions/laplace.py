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
    """The median (R,) of the non-zero weights, interpolated inside its bin; 0 for an empty row."""
    _, counts = binned(statistics)
    edges = statistics.edges
    lower = np.concatenate([-edges[:0:-1], edges[:-1]])
    width = np.concatenate([np.diff(edges)[::-1], np.diff(edges)])
    reached = counts.cumsum(axis=1)
    half = reached[:, -1] / 2
    at = (reached >= half[:, None]).argmax(axis=1)
    inside = np.take_along_axis(counts, at[:, None], 1)[:, 0]
    before = np.take_along_axis(reached, at[:, None], 1)[:, 0] - inside
    location: Rows = lower[at] + width[at] * (half - before) / np.maximum(inside, 1)
    return location


def absolute_deviation(statistics: RowStatistics, location: Rows) -> Rows:
    """Sum of |w - location| (R,) over the non-zero weights, each taken at its bin's midpoint."""
    points, counts = binned(statistics)
    total: Rows = np.einsum("rk,rk->r", counts, np.abs(points - location[:, None]))
    return total
