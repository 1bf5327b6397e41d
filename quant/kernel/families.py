"""The four distribution families, one row at a time; the NumPy reference is `quant.methods.distributions`.

A row is the tuple `Row`: the family's code, location, scale, shape, the log of the density's constant factor and the
constant of the first moment. Z = (X - location) / scale is the unit variable, which is symmetric about 0.
"""

import math

from quant.kernel.compile import inner
from quant.kernel.dispatch import FAMILIES
from quant.kernel.special import betainc, gammaincc, gammainccinv, log_beta_half, ndtri, stdtrit

GAUSSIAN, LAPLACE, STUDENT_T, GENERALIZED_GAUSSIAN = range(len(FAMILIES))
Row = tuple[int, float, float, float, float, float]
ROOT_2PI, ROOT_HALF = math.sqrt(2 * math.pi), math.sqrt(0.5)


@inner
def prepared(code: int, location: float, scale: float, shape: float) -> Row:
    """Return the distribution of a row with its constants computed."""
    factor, first = 0.0, 0.0
    if code == STUDENT_T:
        factor = log_beta_half(shape / 2) - math.log(shape * math.pi) / 2
    elif code == GENERALIZED_GAUSSIAN:
        base = math.lgamma(1 / shape)
        factor = math.log(shape / 2) - base
        first = math.exp(math.lgamma(2 / shape) - base) / 2
    return code, location, scale, shape, factor, first


@inner
def unit_pdf(row: Row, t: float) -> float:
    """Return the density of Z at t >= 0."""
    code, shape, factor = row[0], row[3], row[4]
    if code == GAUSSIAN:
        return math.exp(-t * t / 2) / ROOT_2PI
    if code == LAPLACE:
        return math.exp(-t) / 2
    if code == STUDENT_T:
        return math.exp(factor - (shape + 1) / 2 * math.log1p(t * t / shape))
    return math.exp(factor - t**shape)


@inner
def unit_sf(row: Row, t: float) -> float:
    """Return P(Z > t) for t >= 0."""
    code, shape = row[0], row[3]
    if code == GAUSSIAN:
        return math.erfc(t * ROOT_HALF) / 2
    if code == LAPLACE:
        return math.exp(-t) / 2
    if code == STUDENT_T:
        return betainc(shape / 2, 0.5, shape / (shape + t * t), 0) / 2
    return gammaincc(1 / shape, t**shape, 0) / 2


@inner
def unit_first(row: Row, t: float) -> float:
    """Return E[Z; Z > t] for t >= 0."""
    code, shape, factor = row[0], row[3], row[4]
    if code == GAUSSIAN:
        return math.exp(-t * t / 2) / ROOT_2PI
    if code == LAPLACE:
        return (t + 1) * math.exp(-t) / 2
    if code == STUDENT_T:
        if shape <= 1:
            return math.inf
        return math.exp(factor - (shape - 1) / 2 * math.log1p(t * t / shape)) * shape / (shape - 1)
    return row[5] * gammaincc(2 / shape, t**shape, 0)


@inner
def unit_second(row: Row, t: float) -> float:
    """Return E[Z^2; Z > t] for t >= 0."""
    code, shape = row[0], row[3]
    if code == GAUSSIAN:
        return unit_sf(row, t) + t * unit_first(row, t)
    if code == LAPLACE:
        return (t * t / 2 + t + 1) * math.exp(-t)
    if code == GENERALIZED_GAUSSIAN:
        return unit_variance(row) / 2 * gammaincc(3 / shape, t**shape, 0)
    if shape <= 2:
        return math.inf
    inner_t2 = t * t * (shape - 2) / shape
    inner_tail = betainc((shape - 2) / 2, 0.5, (shape - 2) / (shape - 2 + inner_t2), 0) / 2
    return shape * ((shape - 1) / (shape - 2) * inner_tail - unit_sf(row, t))


@inner
def unit_variance(row: Row) -> float:
    """Return E[Z^2]; infinite for a Student t with at most 2 degrees of freedom."""
    code, shape = row[0], row[3]
    if code == GAUSSIAN:
        return 1.0
    if code == LAPLACE:
        return 2.0
    if code == STUDENT_T:
        return shape / (shape - 2) if shape > 2 else math.inf
    return math.exp(math.lgamma(3 / shape) - math.lgamma(1 / shape))


@inner
def finest(row: Row) -> float:
    """Return the length, in units of the scale, over which the density changes most; cusps are not considered."""
    if row[0] == STUDENT_T:
        return min(math.sqrt(row[3]), 1.0)
    return 1 / max(row[3], 1.0) if row[0] == GENERALIZED_GAUSSIAN else 1.0


@inner
def unit_isf(row: Row, tail: float) -> float:
    """Return the t at which P(Z > t) equals `tail`, for a tail of at most 1/2."""
    code, shape = row[0], row[3]
    if code == GAUSSIAN:
        return -ndtri(tail, 0)
    if code == LAPLACE:
        return -math.log(2 * tail)
    if code == STUDENT_T:
        return -stdtrit(shape, tail, 0)
    return gammainccinv(1 / shape, 2 * tail, 0) ** (1 / shape)


@inner
def pdf(row: Row, x: float) -> float:
    """Return the density of X at x."""
    return unit_pdf(row, abs(x - row[1]) / row[2]) / row[2]


@inner
def sf(row: Row, x: float) -> float:
    """Return P(X > x), without cancellation for large x."""
    t = (x - row[1]) / row[2]
    tail = unit_sf(row, abs(t))
    return tail if t >= 0 else 1 - tail


@inner
def cdf(row: Row, x: float) -> float:
    """Return P(X <= x), without cancellation for small x."""
    t = (x - row[1]) / row[2]
    tail = unit_sf(row, abs(t))
    return tail if t <= 0 else 1 - tail


@inner
def tail(row: Row, bound: float) -> float:
    """Return P(|X| > bound)."""
    return sf(row, bound) + cdf(row, -bound)


@inner
def density(row: Row, bound: float) -> float:
    """Return the density of |X| at `bound`."""
    return pdf(row, bound) + pdf(row, -bound)


@inner
def tail_and_moment(row: Row, bound: float) -> tuple[float, float]:
    """Return P(|X| > bound) and E[|X|; |X| > bound]."""
    probability, moment = 0.0, 0.0
    for side in (1, -1):
        t = (bound - side * row[1]) / row[2]
        above = unit_sf(row, abs(t))
        above = above if t >= 0 else 1 - above
        probability += above
        moment += side * row[1] * above + row[2] * unit_first(row, abs(t))
    return probability, moment


@inner
def quantile_of_magnitude(row: Row, share: float) -> float:
    """Return an approximate bound with P(|X| > bound) = share; exact if the location is zero."""
    return row[2] * unit_isf(row, share / 2) + abs(row[1])
