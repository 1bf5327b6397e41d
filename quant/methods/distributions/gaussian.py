"""The Gaussian family."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from quant.methods.distributions.fitted import FittedFamily, Rows
from quant.methods.distributions.statistics import RowStatistics
from quant.methods.plug_in import PlugIn

_ROOT_2PI = np.sqrt(2 * np.pi)


@dataclass(frozen=True)
class FittedGaussian(FittedFamily):
    """The Gaussian distribution of each of R rows.

    The unit variable Z has

        f(t)  = exp(-t^2 / 2) / sqrt(2 pi),
        S(t)  = erfc(t / sqrt(2)) / 2,
        G1(t) = f(t),
        G2(t) = t f(t) + S(t).

    See docs/methods.md, 'Distributions'.
    """

    family = "gaussian"

    def unit_pdf(self, t: Rows, shape: Rows) -> Rows:
        """Return f(t) = exp(-t^2 / 2) / sqrt(2 pi)."""
        density: Rows = np.exp(-(t**2) / 2) / _ROOT_2PI
        return density

    def unit_sf(self, t: Rows, shape: Rows) -> Rows:
        """Return S(t) = erfc(t / sqrt(2)) / 2."""
        tail: Rows = special.erfc(t / np.sqrt(2)) / 2
        return tail

    def unit_partial_moments(self, t: Rows, shape: Rows) -> tuple[Rows, Rows]:
        """Return G1(t) = f(t) and G2(t) = t f(t) + S(t)."""
        density = self.unit_pdf(t, shape)
        return density, t * density + self.unit_sf(t, shape)

    def unit_isf(self, tail: Rows, shape: Rows) -> Rows:
        """Return the negative of the normal quantile of the tail."""
        bound: Rows = -special.ndtri(tail)
        return bound

    def companding_quantiles(self, tails: Rows) -> Rows:
        """Return the quantiles under f^(1/3), a Gaussian of scale sqrt(3)."""
        quantiles: Rows = np.sqrt(3) * self.unit_isf(tails, tails)
        return quantiles


class Gaussian(PlugIn):
    """Gaussian distribution with mean and standard deviation by maximum likelihood."""

    name: Literal["gaussian"] = "gaussian"

    def fit(self, statistics: RowStatistics) -> FittedFamily:
        """Return the fit to the non-zero weights, in closed form from the exact sums; a deviation of 0 becomes 1."""
        n = np.maximum(statistics.nonzero, 1)
        mean = statistics.sum / n
        variance = np.maximum(statistics.sum_sq / n - mean**2, 0)
        return FittedGaussian(mean, np.where(variance > 0, np.sqrt(variance), 1.0))
