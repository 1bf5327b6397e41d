"""The Gaussian family."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy import special

from quant.distributions.fitted import Fitted, Rows
from quant.statistics import RowStatistics

_ROOT_2PI = np.sqrt(2 * np.pi)


@dataclass(frozen=True)
class FittedGaussian(Fitted):
    family = "gaussian"

    def unit_pdf(self, t: Rows) -> Rows:
        density: Rows = np.exp(-(t**2) / 2) / _ROOT_2PI
        return density

    def unit_sf(self, t: Rows) -> Rows:
        return special.erfc(t / np.sqrt(2)) / 2  # type: ignore[no-any-return]

    def unit_partial_moments(self, t: Rows) -> tuple[Rows, Rows]:
        density = self.unit_pdf(t)
        return density, t * density + self.unit_sf(t)

    def unit_isf(self, tail: Rows) -> Rows:
        return -special.ndtri(tail)  # type: ignore[no-any-return]

    def log_likelihood(self, statistics: RowStatistics) -> Rows:
        n = statistics.nonzero
        squares = statistics.sum_sq - 2 * self.location * statistics.sum + n * self.location**2
        likelihood: Rows = -n * np.log(self.scale * _ROOT_2PI) - squares / (2 * self.scale**2)
        return likelihood


class Gaussian(BaseModel):
    """Normal; mean and standard deviation by maximum likelihood."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Literal["gaussian"] = "gaussian"

    def fit(self, statistics: RowStatistics) -> Fitted:
        n = np.maximum(statistics.nonzero, 1)
        mean = statistics.sum / n
        variance = np.maximum(statistics.sum_sq / n - mean**2, 0)
        return FittedGaussian(mean, np.where(variance > 0, np.sqrt(variance), 1.0))
