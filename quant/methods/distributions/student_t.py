"""Student's t family."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from quant.methods.distributions.compiled import fit_rows
from quant.methods.distributions.fitted import FittedFamily, Rows
from quant.methods.distributions.newton import maximise
from quant.methods.distributions.sample import Sample, fit_sample
from quant.methods.distributions.statistics import RowStatistics
from quant.methods.plug_in import PlugIn

MIN_NU, MAX_NU = 0.3, 1000.0
"""Limits of the degrees of freedom: below 0.3, rows with many equal weights have no maximum of the likelihood; above
1000 the distribution is nearly Gaussian."""
MIN_SCALE = 1e-9
"""Smallest scale, in units of the row's largest |w|."""


@dataclass(frozen=True)
class FittedStudentT(FittedFamily):
    """Student's t distribution of each of R rows; `shape` is the degrees of freedom nu.

    The unit variable Z has, with I the regularized incomplete beta function, S_nu the tail for nu degrees of freedom
    and c(nu) = Gamma((nu+1)/2) / (Gamma(nu/2) sqrt(nu pi)),

        f(t)  = c(nu) (1 + t^2/nu)^(-(nu+1)/2),
        S(t)  = I(nu / (nu + t^2); nu/2, 1/2) / 2,
        G1(t) = c(nu) nu/(nu-1) (1 + t^2/nu)^(-(nu-1)/2)                                   for nu > 1,
        G2(t) = nu ((nu-1)/(nu-2) S_(nu-2)(t sqrt((nu-2)/nu)) - S_nu(t))                   for nu > 2.

    G1 is infinite for nu <= 1, G2 for nu <= 2. See docs/methods.md, 'Distributions'.
    """

    family = "student_t"
    shape_name = "nu"

    def unit_pdf(self, t: Rows, shape: Rows) -> Rows:
        """Return f(t) = c(nu) (1 + t^2/nu)^(-(nu+1)/2)."""
        density: Rows = np.exp(_log_norm(shape) - (shape + 1) / 2 * np.log1p(t**2 / shape))
        return density

    def unit_sf(self, t: Rows, shape: Rows) -> Rows:
        """Return S(t) = I(nu / (nu + t^2); nu/2, 1/2) / 2."""
        tail: Rows = special.betainc(shape / 2, 0.5, shape / (shape + t**2)) / 2
        return tail

    def unit_partial_moments(self, t: Rows, shape: Rows) -> tuple[Rows, Rows]:
        """Return G1(t), infinite for nu <= 1, and G2(t), infinite for nu <= 2."""
        nu = np.maximum(shape, 1.0 + 1e-9)
        first = np.exp(_log_norm(nu) - (nu - 1) / 2 * np.log1p(t**2 / nu)) * nu / (nu - 1)
        nu = np.maximum(shape, 2.0 + 1e-9)
        inner = self.unit_sf(t * np.sqrt((nu - 2) / nu), nu - 2)
        second = nu * ((nu - 1) / (nu - 2) * inner - self.unit_sf(t, nu))
        return np.where(shape > 1, first, np.inf), np.where(shape > 2, second, np.inf)

    def unit_isf(self, tail: Rows, shape: Rows) -> Rows:
        """Return the negative of the t quantile of the tail."""
        bound: Rows = -special.stdtrit(shape, tail)
        return bound

    def companding_quantiles(self, tails: Rows) -> Rows:
        """Return the quantiles under f^(1/3), a t with (nu - 2) / 3 degrees of freedom and scale sqrt(3 nu / (nu - 2)).

        The degrees of freedom are at least MIN_NU, so that they stay above zero.
        """
        nu = self.shape_for(tails)
        narrow = np.maximum((nu - 2) / 3, MIN_NU)
        return np.sqrt(nu / narrow) * self.unit_isf(tails, narrow)


class StudentT(PlugIn):
    """Student's t distribution with location, scale and degrees of freedom by maximum likelihood."""

    name: Literal["student_t"] = "student_t"

    def fit(self, statistics: RowStatistics) -> FittedFamily:
        """Return the fit to the non-zero weights, by damped Newton in (location, log scale, log nu).

        Rows with heavy tails start at nu = 4, others at 20: heavy is a ratio of standard deviation to E|x| above 1.3,
        where a Gaussian has 1.2533.
        """
        if statistics.compiled:
            return FittedStudentT(*fit_rows("student_t", statistics))
        sample = fit_sample(statistics)
        deviation = np.sqrt(np.maximum(sample.mean(sample.points**2) - sample.mean(sample.points) ** 2, MIN_SCALE**2))
        absolute = np.maximum(sample.mean(np.abs(sample.points)), MIN_SCALE)
        heavy = deviation / absolute > 1.3
        nu = np.where(heavy, 4.0, 20.0)
        start = np.stack([sample.quantile(0.5), np.log(deviation * np.where(heavy, 0.7, 0.95)), np.log(nu)])
        lowest = np.array([-np.inf, np.log(MIN_SCALE), np.log(MIN_NU)])
        highest = np.array([np.inf, np.inf, np.log(MAX_NU)])
        location, log_scale, log_nu = maximise(_likelihood, sample, start, lowest, highest)
        return FittedStudentT(location * sample.unit, np.exp(log_scale) * sample.unit, np.exp(log_nu))


def _log_norm(nu: Rows) -> Rows:
    """Return log c(nu), the logarithm of the density at zero."""
    norm: Rows = special.gammaln((nu + 1) / 2) - special.gammaln(nu / 2) - np.log(nu * np.pi) / 2
    return norm


def _likelihood(sample: Sample, theta: Rows) -> tuple[Rows, Rows, Rows]:
    """Return the mean log-likelihood (R,), its gradient (3, R) and its Hessian (3, 3, R).

    `theta` (3, R) is (location, log scale, log nu). Below, z is the standardised deviation and r = 1 / (nu + z^2).
    """
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
