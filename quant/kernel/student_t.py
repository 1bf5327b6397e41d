"""The maximum-likelihood fit of Student's t to one row.

It is damped Newton on the location, the log of the scale and the log of the degrees of freedom nu. The NumPy reference
is `quant.methods.distributions.student_t`.
"""

import math

from quant.kernel.compile import Array, inner
from quant.kernel.sample import Parameters, spread_about
from quant.kernel.special import log_beta_half, psi, trigamma

Gradient = tuple[float, float, float]
Hessian = tuple[float, float, float, float, float, float]
MIN_NU, MAX_NU = 0.3, 1000.0
MIN_SCALE = 1e-9
ITERATIONS, MAX_STEP = 40, 1.5
GAIN = 1e-8
"""The fit ends when the next step would gain less, in nats per sample."""


@inner
def fit_student_t(points: Array, shares: Array, number: int, median: float) -> Parameters:
    """Return location, scale and degrees of freedom of greatest likelihood."""
    location = median
    absolute, square = spread_about(points, shares, number, location)
    absolute = max(absolute, MIN_SCALE)
    # the ratio is pi/2 for a Gaussian; 1.67, 1.85 and 2.47 for 10, 5 and 3 degrees of freedom
    nu = min(max(2.2 + 0.78 / max(square / absolute**2 - math.pi / 2, 2e-3), 1.5), MAX_NU)
    scale = absolute * math.sqrt(math.pi / nu) * (nu - 1) / 2 / math.exp(log_beta_half(nu / 2))
    damping = 1.0
    value, gradient, hessian = _likelihood(points, shares, number, location, scale, nu)
    for _ in range(ITERATIONS):
        step, gain = _uphill(gradient, hessian, scale, nu)
        if gain < GAIN:
            break
        longest = max(abs(step[1]), abs(step[2]))
        share = damping * min(1.0, MAX_STEP / max(longest, MAX_STEP))
        tried = location + share * step[0]
        tried_scale = max(scale * math.exp(share * step[1]), MIN_SCALE)
        tried_nu = min(max(nu * math.exp(share * step[2]), MIN_NU), MAX_NU)
        new, new_gradient, new_hessian = _likelihood(points, shares, number, tried, tried_scale, tried_nu)
        if new >= value:
            location, scale, nu = tried, tried_scale, tried_nu
            gained = new - value
            value, gradient, hessian = new, new_gradient, new_hessian
            damping = min(2 * damping, 1.0)
            if gained < GAIN / 10:
                break
        else:
            damping /= 4
            if damping < 1e-5:
                break
    return location, scale, nu


@inner
def _likelihood(
    points: Array, shares: Array, number: int, location: float, scale: float, nu: float
) -> tuple[float, Gradient, Hessian]:
    """Return the mean log-likelihood, its gradient and its Hessian.

    The variables are location m, log scale s and log nu n; the Hessian is (mm, ms, mn, ss, sn, nn).
    """
    logs, zr, z2r, z2r2, zr2, rr2 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for at in range(number):
        z = (points[at] - location) / scale
        z2 = z * z
        r = 1 / (nu + z2)
        logs -= shares[at] * math.log(r)
        p = shares[at] * r
        zr += p * z
        z2r += p * z2
        p *= r
        rr2 += p
        zr2 += p * z
        z2r2 += p * z2
    logs -= math.log(nu)
    value = log_beta_half(nu / 2) - math.log(nu * math.pi) / 2 - math.log(scale) - (nu + 1) / 2 * logs
    digamma = psi((nu + 1) / 2, 0) - psi(nu / 2, 0)
    cross = z2r - (nu + 1) * z2r2
    gradient = (
        (nu + 1) * zr / scale,
        (nu + 1) * z2r - 1,
        nu / 2 * (digamma - 1 / nu - logs) + (nu + 1) / 2 * z2r,
    )
    curve = nu / 2 * (digamma - logs) + nu * nu / 4 * (trigamma((nu + 1) / 2) - trigamma(nu / 2))
    hessian = (
        (nu + 1) * (z2r2 - nu * rr2) / scale**2,
        -2 * nu * (nu + 1) * zr2 / scale,
        nu * (zr - (nu + 1) * zr2) / scale,
        -2 * nu * (nu + 1) * z2r2,
        nu * cross,
        curve + nu * z2r / 2 + nu / 2 * cross,
    )
    return value, gradient, hessian


@inner
def _uphill(gradient: Gradient, hessian: Hessian, scale: float, nu: float) -> tuple[Gradient, float]:
    """Return Newton's step and its gain in the quadratic model of the likelihood.

    A parameter at its bound stays there if the gradient points outwards. The parameters are scaled so that the diagonal
    of the Hessian is 1; then its diagonal is raised until the quadratic model has a maximum.
    """
    g0, g1, g2 = gradient
    a00, a01, a02, a11, a12, a22 = hessian
    if scale <= MIN_SCALE and g1 < 0:
        g1, a01, a12 = 0.0, 0.0, 0.0
    if (nu <= MIN_NU and g2 < 0) or (nu >= MAX_NU and g2 > 0):
        g2, a02, a12 = 0.0, 0.0, 0.0
    d0, d1, d2 = math.sqrt(max(abs(a00), 1e-12)), math.sqrt(max(abs(a11), 1e-12)), math.sqrt(max(abs(a22), 1e-12))
    g0, g1, g2 = g0 / d0, g1 / d1, g2 / d2
    b00, b11, b22 = -a00 / d0**2, -a11 / d1**2, -a22 / d2**2
    b01, b02, b12 = -a01 / (d0 * d1), -a02 / (d0 * d2), -a12 / (d1 * d2)
    raised = 0.0
    for _ in range(12):
        # Cholesky factor, row by row
        l00 = b00 + raised
        if l00 > 1e-3:
            l10, l20 = b01 / l00, b02 / l00
            l11 = b11 + raised - l10 * b01
            if l11 > 1e-3:
                l21 = (b12 - l20 * b01) / l11
                l22 = b22 + raised - l20 * b02 - l21 * l21 * l11
                if l22 > 1e-3:
                    y1 = g1 - l10 * g0
                    y2 = g2 - l20 * g0 - l21 * y1
                    x2 = y2 / l22
                    x1 = y1 / l11 - l21 * x2
                    x0 = g0 / l00 - l10 * x1 - l20 * x2
                    gain = (g0 * x0 + g1 * x1 + g2 * x2) / 2
                    return (x0 / d0, x1 / d1, x2 / d2), gain
        raised = 2 * raised + 0.05
    return (g0 / d0, g1 / d1, g2 / d2), 1.0
