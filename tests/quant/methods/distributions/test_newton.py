"""Damped Newton maximisation."""

import numpy as np

from quant.methods.distributions.newton import maximise
from quant.methods.distributions.sample import Sample


def peaks(sample, theta):
    """Return log-concave functions with their maximum at (points[0], shares[0]) of each row, and a saddle elsewhere."""
    centre = np.stack([sample.points[:, 0], sample.shares[:, 0]])
    offset = theta - centre
    bell = np.exp(-(offset**2).sum(axis=0))
    hessian = 4 * bell * offset[:, None] * offset[None] - 2 * bell * np.eye(2)[:, :, None]
    return bell, -2 * bell * offset, hessian


def test_every_row_reaches_its_own_maximum_from_where_the_hessian_is_indefinite():
    centres = np.random.default_rng(0).normal(size=(2, 50))
    sample = Sample(centres[0][:, None], centres[1][:, None], np.ones(50))
    limits = np.full(2, np.inf)
    np.testing.assert_allclose(maximise(peaks, sample, centres + 0.9, -limits, limits), centres, atol=1e-4)


def test_a_maximum_outside_the_limits_is_replaced_by_the_best_point_inside():
    sample = Sample(np.array([[0.3]]), np.array([[2.0]]), np.ones(1))
    result = maximise(peaks, sample, np.array([[0.0], [0.5]]), np.full(2, -1.0), np.array([1.0, 1.5]))
    np.testing.assert_allclose(result[:, 0], [0.3, 1.5], atol=1e-4)
