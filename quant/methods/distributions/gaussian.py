"""The Gaussian family."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy import special

from quant.methods.distributions.fitted import Fitted, Rows
from quant.methods.distributions.statistics import RowStatistics

_ROOT_2PI = np.sqrt(2 * np.pi)


@dataclass(frozen=True)
class FittedGaussian(Fitted):
    family = "gaussian"

    def unit_pdf(self, t: Rows, shape: Rows) -> Rows:
        density: Rows = np.exp(-(t**2) / 2) / _ROOT_2PI
        return density

    def unit_sf(self, t: Rows, shape: Rows) -> Rows:
        tail: Rows = special.erfc(t / np.sqrt(2)) / 2
        return tail

    def unit_partial_moments(self, t: Rows, shape: Rows) -> tuple[Rows, Rows]:
        density = self.unit_pdf(t, shape)
        return density, t * density + self.unit_sf(t, shape)

    def unit_isf(self, tail: Rows, shape: Rows) -> Rows:
        bound: Rows = -special.ndtri(tail)
        return bound

    def companding_quantiles(self, tails: Rows) -> Rows:
        quantiles: Rows = np.sqrt(3) * self.unit_isf(tails, tails)
        return quantiles


class Gaussian(BaseModel):
    """Normal; mean and standard deviation by maximum likelihood."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Literal["gaussian"] = "gaussian"

    def fit(self, statistics: RowStatistics) -> Fitted:
        """Closed form, from the exact sums."""
        n = np.maximum(statistics.nonzero, 1)
        mean = statistics.sum / n
        variance = np.maximum(statistics.sum_sq / n - mean**2, 0)
        return FittedGaussian(mean, np.where(variance > 0, np.sqrt(variance), 1.0))
