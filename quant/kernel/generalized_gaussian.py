"""The maximum-likelihood fit of a generalized Gaussian to one row.

It alternates between Newton's method for the exponent beta and reweighted means for the location. The NumPy reference
is `quant.methods.distributions.generalized_gaussian`.
"""

import math

from quant.kernel.compile import Array, inner
from quant.kernel.sample import Parameters, reaches, spread_about
from quant.kernel.special import psi, trigamma

MIN_BETA, MAX_BETA = 0.2, 20.0
ROUNDS, STEPS = 8, 4
"""The most alternations, and the most Newton steps on the exponent in each."""
LONGEST = 0.55
"""The least divisor of a step of the location: a step is at most 1 / 0.55 of the way to the reweighted mean."""
CUSPED, CENTRAL = 1.2, (0.38, 0.4, 0.42, 0.44, 0.46, 0.48, 0.5, 0.52, 0.54, 0.56, 0.58, 0.6, 0.62)
"""The exponent below which a search over CENTRAL quantiles follows, and these quantiles.

The density has a cusp there, and the likelihood many local maxima.
"""
SMALLEST = 1e-4
"""The least |x - location| in units of the mean deviation; it keeps logarithms and negative powers finite."""
SETTLED, STILL, NEAR, SEARCH_AGAIN = 1e-2, 2e-3, 0.05, 0.02
"""Relative changes: of the exponent and of the location at which the fit ends, of the exponent at which a round of
Newton steps ends, and of the exponent after which central locations are tried again.

The error that is left in the exponent is about the square of its last Newton step.
"""


@inner
def fit_generalized_gaussian(
    points: Array, shares: Array, number: int, median: float, centres: Array, logs: Array
) -> Parameters:
    """Return location, scale and exponent of greatest likelihood; `centres` are the locations to try at a cusp."""
    location = median
    deviation, square = spread_about(points, shares, number, location)
    deviation = max(deviation, 1e-12)
    beta = min(
        max(2 / max(square / deviation**2 - 0.57, 0.3), 0.5), 4.0
    )  # gives 1 for the ratio 2 of a Laplace and 2 for the pi/2 of a Gaussian
    searched = 0.0
    for _ in range(ROUNDS):
        _log_deviations(points, number, location, deviation, logs)
        before = beta
        beta = _exponent(shares, number, logs, beta)
        if beta >= CUSPED:
            moved = _reweighted_mean(points, shares, number, location, logs, beta)
        elif abs(beta - searched) > SEARCH_AGAIN * beta:
            moved = _reweighted_mean(points, shares, number, location, logs, beta)
            moved = _best_centre(points, shares, number, moved, location, centres, beta, deviation)
            searched = beta
        else:
            moved = location
        still = abs(beta - before) < SETTLED * beta and abs(moved - location) < STILL * deviation
        location = moved
        if still:
            break
    _log_deviations(points, number, location, deviation, logs)
    power = 0.0
    for at in range(number):
        power += shares[at] * math.exp(beta * logs[at])
    return location, deviation * (beta * power) ** (1 / beta), beta


@inner
def _log_deviations(points: Array, number: int, location: float, unit: float, logs: Array) -> None:
    """Fill logs with log(|x - location| / unit), at least log(SMALLEST)."""
    for at in range(number):
        logs[at] = math.log(max(abs(points[at] - location) / unit, SMALLEST))


@inner
def _exponent(shares: Array, number: int, logs: Array, beta: float) -> float:
    """Return the exponent of greatest profile likelihood, by Newton's method in log beta.

    The profile likelihood is log(beta / 2) - log Gamma(1 / beta) - log s - 1 / beta, with s^beta = beta mean |x|^beta.
    """
    for _ in range(STEPS):
        m0, m1, m2 = 0.0, 0.0, 0.0
        for at in range(number):
            power = shares[at] * math.exp(beta * logs[at])
            m0 += power
            power *= logs[at]
            m1 += power
            m2 += power * logs[at]
        ratio, common = m1 / m0, math.log(beta * m0) + psi(1 / beta, 0)
        slope = 1 / beta + common / beta**2 - ratio / beta
        curvature = (
            -1 / beta**2
            + (1 / beta + ratio) / beta**2
            - 2 * common / beta**3
            - trigamma(1 / beta) / beta**4
            - (m2 / m0 - ratio**2) / beta
            + ratio / beta**2
        )
        in_log = beta**2 * curvature + beta * slope
        step = -beta * slope / min(in_log, -1e-9) if in_log < 0 else math.copysign(1.0, slope)
        before = beta
        beta = min(max(beta * math.exp(min(max(step, -1.0), 1.0)), MIN_BETA), MAX_BETA)
        if abs(beta - before) < NEAR * before:  # the next round improves it further
            break
    return beta


@inner
def _reweighted_mean(points: Array, shares: Array, number: int, location: float, logs: Array, beta: float) -> float:
    """Return the location after a step towards the mean with weights |x - location|^(beta - 2).

    For beta <= 2 the step goes beyond the mean, which never lowers the likelihood; for larger beta it is shorter.
    """
    total, moment = 0.0, 0.0
    for at in range(number):
        weight = shares[at] * math.exp((beta - 2) * logs[at])
        total += weight
        moment += weight * (points[at] - location)
    return location + moment / total / max(beta - 1, LONGEST)


@inner
def _best_centre(
    points: Array, shares: Array, number: int, first: float, second: float, centres: Array, beta: float, unit: float
) -> float:
    """Return the location at which sum |x - location|^beta is least, out of `first`, `second` and `centres`."""
    best, least = first, math.inf
    for index in range(-2, len(centres)):
        candidate = (first if index == -2 else second) if index < 0 else centres[index]
        total = 0.0
        for at in range(number):
            deviation = max(abs(points[at] - candidate) / unit, SMALLEST)
            total += shares[at] * math.exp(beta * math.log(deviation))
        if total < least:
            best, least = candidate, total
    return best


@inner
def central_points(points: Array, shares: Array, number: int, exact: bool, centres: Array) -> int:
    """Fill centres with locations to try, near the median; return their number.

    They are the points at the quantiles CENTRAL, or, if the points are `exact` weights, all points between these.
    """
    count = 0
    if not exact:
        for share in CENTRAL:
            centres[count] = points[reaches(shares, number, share)[0]]
            count += 1
        return count
    for at in range(number):
        if CENTRAL[0] <= (at + 0.5) / number <= CENTRAL[-1] and count < centres.size:
            centres[count] = points[at]
            count += 1
    return count
