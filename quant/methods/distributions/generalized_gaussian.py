"""The generalized Gaussian (exponential power) family."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy import special

from quant.methods.distributions.compiled import fit_rows
from quant.methods.distributions.fitted import Fitted, Rows
from quant.methods.distributions.sample import Sample, fit_sample
from quant.methods.distributions.statistics import RowStatistics

MIN_BETA, MAX_BETA = 0.2, 20.0
"""Below, the density has no bound at its centre; above, it is the uniform distribution."""
ROUNDS, STEPS = 6, 4
CUSPED, CENTRAL = 1.2, (0.38, 0.4, 0.42, 0.44, 0.46, 0.48, 0.5, 0.52, 0.54, 0.56, 0.58, 0.6, 0.62)
_SMALLEST = 1e-4


@dataclass(frozen=True)
class FittedGeneralizedGaussian(Fitted):
    """Density beta / (2 Gamma(1/beta)) exp(-|t|^beta); `shape` is beta: 1 is Laplace, 2 Gaussian."""

    family = "generalized_gaussian"
    shape_name = "beta"

    def unit_pdf(self, t: Rows, shape: Rows) -> Rows:
        density: Rows = np.exp(np.log(shape / 2) - special.gammaln(1 / shape) - _power(t, shape))
        return density

    def unit_sf(self, t: Rows, shape: Rows) -> Rows:
        tail: Rows = special.gammaincc(1 / shape, _power(t, shape)) / 2
        return tail

    def unit_partial_moments(self, t: Rows, shape: Rows) -> tuple[Rows, Rows]:
        power, base = _power(t, shape), special.gammaln(1 / shape)
        first = np.exp(special.gammaln(2 / shape) - base) / 2 * special.gammaincc(2 / shape, power)
        second = np.exp(special.gammaln(3 / shape) - base) / 2 * special.gammaincc(3 / shape, power)
        return first, second

    def unit_isf(self, tail: Rows, shape: Rows) -> Rows:
        bound: Rows = special.gammainccinv(1 / shape, 2 * tail) ** (1 / shape)
        return bound

    def companding_quantiles(self, tails: Rows) -> Rows:
        beta = self.shape_for(tails)
        return 3 ** (1 / beta) * self.unit_isf(tails, beta)


class GeneralizedGaussian(BaseModel):
    """Generalized Gaussian; location, scale and exponent by maximum likelihood."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Literal["generalized_gaussian"] = "generalized_gaussian"

    def fit(self, statistics: RowStatistics) -> Fitted:
        """In turn the exponent by Newton on its profile likelihood, and the location by reweighted means."""
        if statistics.compiled:
            return FittedGeneralizedGaussian(*fit_rows("generalized_gaussian", statistics))
        sample = fit_sample(statistics)
        location = sample.quantile(0.5)
        deviation = np.maximum(sample.mean(np.abs(sample.points - location[:, None])), 1e-12)
        spread = sample.mean((sample.points - location[:, None]) ** 2)
        beta = np.clip(2.0 / np.maximum(spread / deviation**2 - 0.57, 0.3), 0.5, 4.0)  # 1 at Laplace's 2, 2 at pi/2
        for _ in range(ROUNDS):
            logs = _log_deviation(sample, location, deviation)
            beta = _exponent(sample, logs, beta)
            location = _location(sample, location, logs, beta, deviation)
        logs = _log_deviation(sample, location, deviation)
        scale = deviation * (beta * sample.mean(np.exp(beta[:, None] * logs))) ** (1 / beta)
        return FittedGeneralizedGaussian(location * sample.unit, scale * sample.unit, beta)


def _power(t: Rows, shape: Rows) -> Rows:
    """t^shape, which for shapes up to 20 may leave the range of a double: then every tail is zero anyway."""
    with np.errstate(over="ignore"):
        power: Rows = t**shape
    return power


def _log_deviation(sample: Sample, location: Rows, unit: Rows) -> Rows:
    """log |x - location| (R, M) in units of `unit`, bounded below where the two meet."""
    deviation = np.abs(sample.points - location[:, None]) / unit[:, None]
    return np.log(np.maximum(deviation, _SMALLEST))


def _exponent(sample: Sample, logs: Rows, beta: Rows) -> Rows:
    """Newton in log beta on the profile likelihood log(beta / 2) - log Gamma(1/beta) - log s - 1/beta, with
    s^beta = beta mean |x|^beta."""
    for _ in range(STEPS):
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


def _location(sample: Sample, location: Rows, logs: Rows, beta: Rows, unit: Rows) -> Rows:
    """One reweighted mean, which never lowers the likelihood for beta <= 2; for larger beta the step is shortened.

    Where beta is near 1 or below, the likelihood has a cusp at each weight: points about the median are tried too.
    """
    weights = np.exp((beta[:, None] - 2) * logs)
    step = sample.mean(weights * (sample.points - location[:, None])) / sample.mean(weights)
    best = location + step / np.maximum(beta - 1, 1)
    cusped = beta < CUSPED
    if cusped.any():
        some = sample.take(cusped)
        tried = np.stack([best[cusped], location[cusped], *(some.point(share) for share in CENTRAL)])
        spread = [some.mean(np.exp(beta[cusped, None] * _log_deviation(some, at, unit[cusped]))) for at in tried]
        best[cusped] = np.take_along_axis(tried, np.argmin(spread, axis=0)[None], axis=0)[0]
    return best
