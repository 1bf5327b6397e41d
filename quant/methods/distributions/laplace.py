"""The Laplace family."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from quant.methods.distributions.compiled import fit_rows
from quant.methods.distributions.fitted import FittedFamily, Rows
from quant.methods.distributions.sample import fit_sample
from quant.methods.distributions.statistics import RowStatistics
from quant.methods.plug_in import PlugIn

_MIN_SCALE = 1e-12


@dataclass(frozen=True)
class FittedLaplace(FittedFamily):
    """The Laplace distribution of each of R rows.

    The unit variable Z has

        f(t)  = exp(-|t|) / 2,
        S(t)  = exp(-t) / 2,
        G1(t) = (t + 1) exp(-t) / 2,
        G2(t) = (t^2 + 2 t + 2) exp(-t) / 2.

    See docs/methods.md, 'Distributions'.
    """

    family = "laplace"

    def unit_pdf(self, t: Rows, shape: Rows) -> Rows:
        """Return f(t) = exp(-t) / 2 for t >= 0."""
        return np.exp(-t) / 2

    def unit_sf(self, t: Rows, shape: Rows) -> Rows:
        """Return S(t) = exp(-t) / 2."""
        return np.exp(-t) / 2

    def unit_partial_moments(self, t: Rows, shape: Rows) -> tuple[Rows, Rows]:
        """Return G1(t) = (t + 1) exp(-t) / 2 and G2(t) = (t^2 + 2 t + 2) exp(-t) / 2."""
        half = np.exp(-t) / 2
        return (t + 1) * half, (t**2 + 2 * t + 2) * half

    def unit_isf(self, tail: Rows, shape: Rows) -> Rows:
        """Return -log(2 tail)."""
        return -np.log(2 * tail)

    def companding_quantiles(self, tails: Rows) -> Rows:
        """Return the quantiles under f^(1/3), a Laplace distribution of scale 3."""
        return 3 * self.unit_isf(tails, tails)


class Laplace(PlugIn):
    """Laplace distribution with median and mean absolute deviation by maximum likelihood."""

    name: Literal["laplace"] = "laplace"

    def fit(self, statistics: RowStatistics) -> FittedFamily:
        """Return the fit to the non-zero weights in closed form; the median is interpolated inside its bin."""
        if statistics.compiled:
            return FittedLaplace(*fit_rows("laplace", statistics)[:2])
        sample = fit_sample(statistics)
        location = sample.quantile(0.5)
        deviation = sample.mean(np.abs(sample.points - location[:, None]))
        return FittedLaplace(location * sample.unit, np.maximum(deviation, _MIN_SCALE) * sample.unit)
