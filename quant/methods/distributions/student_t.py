"""Student's t family."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy import special

from quant.methods.distributions.compiled import fit_rows
from quant.methods.distributions.fitted import Fitted, Rows
from quant.methods.distributions.newton import ascend
from quant.methods.distributions.sample import Sample, fit_sample
from quant.methods.distributions.statistics import RowStatistics

MIN_NU, MAX_NU = 0.3, 1000.0
"""Below, the likelihood of rows with many equal weights has no maximum; above, it is the Gaussian."""

MIN_SCALE = 1e-9
"""In units of the row's largest weight."""


@dataclass(frozen=True)
class FittedStudentT(Fitted):
    """`shape` is the degrees of freedom nu; moments of order k exist for nu > k, and are infinite below."""

    family = "student_t"
    shape_name = "nu"

    def unit_pdf(self, t: Rows, shape: Rows) -> Rows:
        density: Rows = np.exp(_log_norm(shape) - (shape + 1) / 2 * np.log1p(t**2 / shape))
        return density

    def unit_sf(self, t: Rows, shape: Rows) -> Rows:
        tail: Rows = special.betainc(shape / 2, 0.5, shape / (shape + t**2)) / 2
        return tail

    def unit_partial_moments(self, t: Rows, shape: Rows) -> tuple[Rows, Rows]:
        nu = np.maximum(shape, 1.0 + 1e-9)
        first = np.exp(_log_norm(nu) - (nu - 1) / 2 * np.log1p(t**2 / nu)) * nu / (nu - 1)
        nu = np.maximum(shape, 2.0 + 1e-9)
        inner = self.unit_sf(t * np.sqrt((nu - 2) / nu), nu - 2)
        second = nu * ((nu - 1) / (nu - 2) * inner - self.unit_sf(t, nu))
        return np.where(shape > 1, first, np.inf), np.where(shape > 2, second, np.inf)

    def unit_isf(self, tail: Rows, shape: Rows) -> Rows:
        bound: Rows = -special.stdtrit(shape, tail)
        return bound

    def companding_quantiles(self, tails: Rows) -> Rows:
        """f^(1/3) is a t with (nu - 2) / 3 degrees of freedom, which must be above zero."""
        nu = self.shape_for(tails)
        narrow = np.maximum((nu - 2) / 3, MIN_NU)
        return np.sqrt(nu / narrow) * self.unit_isf(tails, narrow)


class StudentT(BaseModel):
    """Student's t; location, scale and degrees of freedom by maximum likelihood."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Literal["student_t"] = "student_t"

    def fit(self, statistics: RowStatistics) -> Fitted:
        """Damped Newton on (location, log scale, log nu), all rows at once, on the binned sample."""
        if statistics.compiled:
            return FittedStudentT(*fit_rows("student_t", statistics))
        sample = fit_sample(statistics)
        spread = np.sqrt(np.maximum(sample.mean(sample.points**2) - sample.mean(sample.points) ** 2, MIN_SCALE**2))
        absolute = np.maximum(sample.mean(np.abs(sample.points)), MIN_SCALE)
        heavy = spread / absolute > 1.3  # beyond a Gaussian's 1.2533: heavy tails
        nu = np.where(heavy, 4.0, 20.0)
        start = np.stack([sample.quantile(0.5), np.log(spread * np.where(heavy, 0.7, 0.95)), np.log(nu)])
        lowest = np.array([-np.inf, np.log(MIN_SCALE), np.log(MIN_NU)])
        highest = np.array([np.inf, np.inf, np.log(MAX_NU)])
        location, log_scale, log_nu = ascend(_likelihood, sample, start, lowest, highest)
        return FittedStudentT(location * sample.unit, np.exp(log_scale) * sample.unit, np.exp(log_nu))


def _log_norm(nu: Rows) -> Rows:
    norm: Rows = special.gammaln((nu + 1) / 2) - special.gammaln(nu / 2) - np.log(nu * np.pi) / 2
    return norm


def _likelihood(sample: Sample, theta: Rows) -> tuple[Rows, Rows, Rows]:
    """Mean log-likelihood (R,), its gradient (3, R) and Hessian (3, 3, R) in (location, log scale, log nu)."""
    location, scale, nu = theta[0], np.exp(theta[1]), np.exp(theta[2])
    z = (sample.points - location[:, None]) / scale[:, None]
    z2, column = z**2, nu[:, None]
    r = 1 / (column + z2)
    log_term = sample.mean(np.log1p(z2 / column))
    zr, z2r, r2 = sample.mean(z * r), sample.mean(z2 * r), r**2
    z2r2, zr2, rr2 = sample.mean(z2 * r2), sample.mean(z * r2), sample.mean(r2)
    value = _log_norm(nu) - np.log(scale) - (nu + 1) / 2 * log_term
    digamma = special.digamma((nu + 1) / 2) - special.digamma(nu / 2)
    trigamma = special.polygamma(1, (nu + 1) / 2) - special.polygamma(1, nu / 2)
    g_mu, g_s = (nu + 1) * zr / scale, (nu + 1) * z2r - 1
    g_nu = nu / 2 * (digamma - 1 / nu - log_term) + (nu + 1) / 2 * z2r
    h_mm = (nu + 1) * (z2r2 - nu * rr2) / scale**2
    h_ms, h_ss = -2 * nu * (nu + 1) * zr2 / scale, -2 * nu * (nu + 1) * z2r2
    cross = z2r - (nu + 1) * z2r2
    h_mn = nu * (zr - (nu + 1) * zr2) / scale
    h_sn = nu * cross
    h_nn = nu / 2 * (digamma - log_term) + nu**2 / 4 * trigamma + nu * z2r / 2 + nu / 2 * cross
    hessian = np.stack([np.stack([h_mm, h_ms, h_mn]), np.stack([h_ms, h_ss, h_sn]), np.stack([h_mn, h_sn, h_nn])])
    return value, np.stack([g_mu, g_s, g_nu]), hessian
