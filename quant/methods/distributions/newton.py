"""Damped Newton maximisation of the likelihoods of many rows at once."""

from collections.abc import Callable

import numpy as np

from quant.methods.distributions.fitted import Rows
from quant.methods.distributions.sample import Sample

ITERATIONS = 40
TOLERANCE = 1e-9
"""Gain of a step, in nats a sample, below which a row has converged."""
MIN_DAMPING = 1e-5
"""Damping below which a row is given up at the best parameters reached."""
MAX_STEP = 1.5
"""Largest step of a logarithmic parameter."""

Likelihood = Callable[[Sample, Rows], tuple[Rows, Rows, Rows]]


def maximise(likelihood: Likelihood, sample: Sample, start: Rows, lowest: Rows, highest: Rows) -> Rows:
    """Return the parameters (P, R) of greatest likelihood near `start`, between lowest and highest (P,).

    Where the Hessian is not negative definite, the absolute values of its eigenvalues are used. A step that lowers
    the likelihood is quartered and tried again. Rows that have converged are left out of later iterations.

    Args:
        likelihood: Gives value (R,), gradient (P, R) and Hessian (P, P, R) at parameters (P, R). The first parameter
            is a location, the others are logarithms.
        sample: The R rows.
        start: Parameters (P, R) to start from.
        lowest: Lower limit of each parameter (P,).
        highest: Upper limit of each parameter (P,).
    """
    theta, bounds = start.copy(), (lowest[:, None], highest[:, None])
    active = np.arange(start.shape[1])
    here = np.clip(theta, *bounds)
    value, gradient, hessian = likelihood(sample, here)
    damping = np.ones(len(active))
    for _ in range(ITERATIONS):
        step = _newton_step(gradient, hessian, here, bounds) * damping
        tried = np.clip(here + step, *bounds)
        new_value, new_gradient, new_hessian = likelihood(sample, tried)
        better = new_value >= value
        gain = np.where(better, new_value - value, np.inf)
        here = np.where(better, tried, here)
        value = np.where(better, new_value, value)
        gradient, hessian = np.where(better, new_gradient, gradient), np.where(better, new_hessian, hessian)
        damping = np.where(better, np.minimum(2 * damping, 1), damping / 4)
        theta[:, active] = here
        going = (gain > TOLERANCE) & (damping > MIN_DAMPING)
        if not going.any():
            break
        if going.mean() < 0.7:
            active, damping, value = active[going], damping[going], value[going]
            here, gradient, hessian = here[:, going], gradient[:, going], hessian[:, :, going]
            sample = sample.select_rows(going)
    return theta


def _newton_step(gradient: Rows, hessian: Rows, here: Rows, bounds: tuple[Rows, Rows]) -> Rows:
    """Return Newton's step (P, R) uphill; a parameter that is held back by its limit does not move."""
    held = ((here <= bounds[0]) & (gradient < 0)) | ((here >= bounds[1]) & (gradient > 0))
    free = np.where(held, 0.0, gradient)
    matrix = np.where(held[:, None] | held[None], 0.0, -hessian).transpose(2, 0, 1)
    scale = np.sqrt(np.maximum(np.abs(np.einsum("rpp->rp", matrix)), 1e-12))
    matrix = matrix / (scale[:, :, None] * scale[:, None, :])
    values, vectors = np.linalg.eigh(matrix)
    values = np.maximum(np.abs(values), 1e-3)
    along = np.einsum("rpk,pr->rk", vectors, free / scale.T) / values
    step: Rows = np.einsum("rpk,rk->pr", vectors, along) / scale.T
    longest = np.abs(step[1:]).max(axis=0)  # the whole step is shortened, so that it still leads uphill
    shortened: Rows = step * np.minimum(1, MAX_STEP / np.maximum(longest, MAX_STEP))
    return shortened
