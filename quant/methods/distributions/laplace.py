"""The Laplace family."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from quant.methods.distributions.compiled import fit_rows
from quant.methods.distributions.fitted import Fitted, Rows
from quant.methods.distributions.sample import fit_sample
from quant.methods.distributions.statistics import RowStatistics

_LEAST = 1e-12


@dataclass(frozen=True)
class FittedLaplace(Fitted):
    family = "laplace"

    def unit_pdf(self, t: Rows, shape: Rows) -> Rows:
        return np.exp(-t) / 2

    def unit_sf(self, t: Rows, shape: Rows) -> Rows:
        return np.exp(-t) / 2

    def unit_partial_moments(self, t: Rows, shape: Rows) -> tuple[Rows, Rows]:
        half = np.exp(-t) / 2
        return (t + 1) * half, (t**2 + 2 * t + 2) * half

    def unit_isf(self, tail: Rows, shape: Rows) -> Rows:
        return -np.log(2 * tail)

    def companding_quantiles(self, tails: Rows) -> Rows:
        return 3 * self.unit_isf(tails, tails)


class Laplace(BaseModel):
    """Laplace; median and mean absolute deviation by maximum likelihood."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Literal["laplace"] = "laplace"

    def fit(self, statistics: RowStatistics) -> Fitted:
        """Closed form, the median interpolated inside its bin."""
        if statistics.compiled:
            return FittedLaplace(*fit_rows("laplace", statistics)[:2])
        sample = fit_sample(statistics)
        location = sample.quantile(0.5)
        deviation = sample.mean(np.abs(sample.points - location[:, None]))
        return FittedLaplace(location * sample.unit, np.maximum(deviation, _LEAST) * sample.unit)
