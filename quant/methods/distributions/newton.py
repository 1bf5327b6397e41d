"""Damped Newton ascent of many small likelihoods at once."""

from collections.abc import Callable

import numpy as np

from quant.methods.distributions.fitted import Rows
from quant.methods.distributions.sample import Sample

ITERATIONS = 40
GAIN = 1e-9
"""A row is done when a step gains less, in nats a sample."""
MAX_STEP = 1.5

Likelihood = Callable[[Sample, Rows], tuple[Rows, Rows, Rows]]


def ascend(likelihood: Likelihood, sample: Sample, start: Rows, lowest: Rows, highest: Rows) -> Rows:
    """The parameters (P, R) near `start` of greatest likelihood, kept between lowest and highest (P,).

    The likelihood gives value (R,), gradient (P, R) and Hessian (P, P, R). Where the Hessian is not negative
    definite its eigenvalues are turned; where a step loses, it is halved and tried again.
    """
    theta, bounds = start.copy(), (lowest[:, None], highest[:, None])
    active = np.arange(start.shape[1])
    here = np.clip(theta, *bounds)
    value, gradient, hessian = likelihood(sample, here)
    damping = np.ones(len(active))
    for _ in range(ITERATIONS):
        step = _direction(gradient, hessian, here, bounds) * damping
        tried = np.clip(here + step, *bounds)
        new_value, new_gradient, new_hessian = likelihood(sample, tried)
        better = new_value >= value
        gain = np.where(better, new_value - value, np.inf)
        here = np.where(better, tried, here)
        value = np.where(better, new_value, value)
        gradient, hessian = np.where(better, new_gradient, gradient), np.where(better, new_hessian, hessian)
        damping = np.where(better, np.minimum(2 * damping, 1), damping / 4)
        theta[:, active] = here
        going = (gain > GAIN) & (damping > 1e-5)
        if not going.any():
            break
        if going.mean() < 0.7:
            active, damping, value = active[going], damping[going], value[going]
            here, gradient, hessian = here[:, going], gradient[:, going], hessian[:, :, going]
            sample = sample.take(going)
    return theta


def _direction(gradient: Rows, hessian: Rows, here: Rows, bounds: tuple[Rows, Rows]) -> Rows:
    """Newton's step (P, R) uphill; a parameter that its bound holds back does not move."""
    held = ((here <= bounds[0]) & (gradient < 0)) | ((here >= bounds[1]) & (gradient > 0))
    free = np.where(held, 0.0, gradient)
    matrix = np.where(held[:, None] | held[None], 0.0, -hessian).transpose(2, 0, 1)
    scale = np.sqrt(np.maximum(np.abs(np.einsum("rpp->rp", matrix)), 1e-12))
    matrix = matrix / (scale[:, :, None] * scale[:, None, :])
    values, vectors = np.linalg.eigh(matrix)
    values = np.maximum(np.abs(values), 1e-3)
    along = np.einsum("rpk,pr->rk", vectors, free / scale.T) / values
    step: Rows = np.einsum("rpk,rk->pr", vectors, along) / scale.T
    longest = np.abs(step[1:]).max(axis=0)  # of the logarithms; shortened as a whole, it still leads uphill
    shortened: Rows = step * np.minimum(1, MAX_STEP / np.maximum(longest, MAX_STEP))
    return shortened
