"""The generalized Gaussian (exponential power) family."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from quant.methods.distributions.compiled import fit_rows
from quant.methods.distributions.fitted import FittedFamily, Rows
from quant.methods.distributions.sample import Sample, fit_sample
from quant.methods.distributions.statistics import RowStatistics
from quant.methods.plug_in import PlugIn

MIN_BETA, MAX_BETA = 0.2, 20.0
"""Limits of the exponent: towards 0 the density at the centre grows without bound; beyond 20 it is nearly uniform."""
ROUNDS, NEWTON_STEPS = 6, 4
"""Rounds of exponent and location in turn, and Newton steps for the exponent in each."""
CUSP_BETA = 1.2
"""Exponent below which points about the median are also tried as the location."""
CENTRAL_SHARES = (0.38, 0.4, 0.42, 0.44, 0.46, 0.48, 0.5, 0.52, 0.54, 0.56, 0.58, 0.6, 0.62)
"""Shares of the weights that lie below these points."""
_MIN_DEVIATION = 1e-4


@dataclass(frozen=True)
class FittedGeneralizedGaussian(FittedFamily):
    """The generalized Gaussian distribution of each of R rows; `shape` is the exponent beta.

    The unit variable Z has, with Q the regularized upper incomplete gamma function,

        f(t)  = beta / (2 Gamma(1/beta)) exp(-|t|^beta),
        S(t)  = Q(1/beta, t^beta) / 2,
        G1(t) = Gamma(2/beta) / (2 Gamma(1/beta)) Q(2/beta, t^beta),
        G2(t) = Gamma(3/beta) / (2 Gamma(1/beta)) Q(3/beta, t^beta).

    beta = 1 is Laplace, beta = 2 Gaussian (Subbotin, 1923). See docs/methods.md, 'Distributions'.
    """

    family = "generalized_gaussian"
    shape_name = "beta"

    def unit_pdf(self, t: Rows, shape: Rows) -> Rows:
        """Return f(t) = beta / (2 Gamma(1/beta)) exp(-t^beta) for t >= 0."""
        density: Rows = np.exp(np.log(shape / 2) - special.gammaln(1 / shape) - _power(t, shape))
        return density

    def unit_sf(self, t: Rows, shape: Rows) -> Rows:
        """Return S(t) = Q(1/beta, t^beta) / 2."""
        tail: Rows = special.gammaincc(1 / shape, _power(t, shape)) / 2
        return tail

    def unit_partial_moments(self, t: Rows, shape: Rows) -> tuple[Rows, Rows]:
        """Return Gk(t) = Gamma((k+1)/beta) / (2 Gamma(1/beta)) Q((k+1)/beta, t^beta) for k = 1 and 2."""
        power, base = _power(t, shape), special.gammaln(1 / shape)
        first = np.exp(special.gammaln(2 / shape) - base) / 2 * special.gammaincc(2 / shape, power)
        second = np.exp(special.gammaln(3 / shape) - base) / 2 * special.gammaincc(3 / shape, power)
        return first, second

    def unit_isf(self, tail: Rows, shape: Rows) -> Rows:
        """Return the t with Q(1/beta, t^beta) = 2 tail."""
        bound: Rows = special.gammainccinv(1 / shape, 2 * tail) ** (1 / shape)
        return bound

    def companding_quantiles(self, tails: Rows) -> Rows:
        """Return the quantiles under f^(1/3), the same family with scale 3^(1/beta)."""
        beta = self.shape_for(tails)
        return 3 ** (1 / beta) * self.unit_isf(tails, beta)


class GeneralizedGaussian(PlugIn):
    """Generalized Gaussian distribution with location, scale and exponent by maximum likelihood."""

    name: Literal["generalized_gaussian"] = "generalized_gaussian"

    def fit(self, statistics: RowStatistics) -> FittedFamily:
        """Return the fit to the non-zero weights.

        Exponent (Newton on its profile likelihood) and location (a reweighted mean) are improved in turn. The start
        for the exponent follows from the kurtosis-like ratio E[x^2] / E[|x|]^2, which is 2 for beta = 1 and pi/2 for
        beta = 2.
        """
        if statistics.compiled:
            return FittedGeneralizedGaussian(*fit_rows("generalized_gaussian", statistics))
        sample = fit_sample(statistics)
        location = sample.quantile(0.5)
        deviation = np.maximum(sample.mean(np.abs(sample.points - location[:, None])), 1e-12)
        square = sample.mean((sample.points - location[:, None]) ** 2)
        beta = np.clip(2.0 / np.maximum(square / deviation**2 - 0.57, 0.3), 0.5, 4.0)
        for _ in range(ROUNDS):
            logs = _log_deviation(sample, location, deviation)
            beta = _improve_exponent(sample, logs, beta)
            location = _improve_location(sample, location, logs, beta, deviation)
        logs = _log_deviation(sample, location, deviation)
        scale = deviation * (beta * sample.mean(np.exp(beta[:, None] * logs))) ** (1 / beta)
        return FittedGeneralizedGaussian(location * sample.unit, scale * sample.unit, beta)


def _power(t: Rows, shape: Rows) -> Rows:
    """Return t^shape; an overflow to infinity is harmless, because every tail is then zero."""
    with np.errstate(over="ignore"):
        power: Rows = t**shape
    return power


def _log_deviation(sample: Sample, location: Rows, unit: Rows) -> Rows:
    """Return log(|x - location| / unit) of the points (R, M), with |x - location| / unit at least 1e-4."""
    deviation = np.abs(sample.points - location[:, None]) / unit[:, None]
    return np.log(np.maximum(deviation, _MIN_DEVIATION))


def _improve_exponent(sample: Sample, logs: Rows, beta: Rows) -> Rows:
    """Return beta (R,) after Newton steps in log beta on the profile likelihood.

    The mean log-likelihood with the scale s at its optimum is

        log(beta / 2) - log Gamma(1/beta) - log s - 1/beta,    s^beta = beta mean |x|^beta,

    where x are the deviations from the location, whose logarithms (R, M) are `logs`.
    """
    for _ in range(NEWTON_STEPS):
        power = np.exp(beta[:, None] * logs)
        m0, m1, m2 = sample.mean(power), sample.mean(power * logs), sample.mean(power * logs**2)
        ratio = m1 / m0
        slope = 1 / beta + (np.log(beta * m0) + special.digamma(1 / beta)) / beta**2 - ratio / beta
        curvature = (
            -1 / beta**2
            + (1 / beta + ratio) / beta**2
            - 2 * (np.log(beta * m0) + special.digamma(1 / beta)) / beta**3
            - special.polygamma(1, 1 / beta) / beta**4
            - (m2 / m0 - ratio**2) / beta
            + ratio / beta**2
        )
        in_log = beta**2 * curvature + beta * slope
        step = np.where(in_log < 0, -beta * slope / np.minimum(in_log, -1e-9), np.sign(slope))
        beta = np.clip(beta * np.exp(np.clip(step, -1, 1)), MIN_BETA, MAX_BETA)
    return beta


def _improve_location(sample: Sample, location: Rows, logs: Rows, beta: Rows, unit: Rows) -> Rows:
    """Return the location (R,) after one reweighted mean, which never lowers the likelihood for beta <= 2.

    For larger beta the step is shortened. For beta near 1 or below, the likelihood has a cusp at each weight: points
    about the median are tried too.
    """
    weights = np.exp((beta[:, None] - 2) * logs)
    step = sample.mean(weights * (sample.points - location[:, None])) / sample.mean(weights)
    best = location + step / np.maximum(beta - 1, 1)
    cusped = beta < CUSP_BETA
    if cusped.any():
        part = sample.select_rows(cusped)
        tried = np.stack([best[cusped], location[cusped], *(part.point(share) for share in CENTRAL_SHARES)])
        costs = [part.mean(np.exp(beta[cusped, None] * _log_deviation(part, at, unit[cusped]))) for at in tried]
        best[cusped] = np.take_along_axis(tried, np.argmin(costs, axis=0)[None], axis=0)[0]
    return best
