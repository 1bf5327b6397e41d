"""Moments on several kinds of synthetic inputs."""

import numpy as np
import pytest

from quant.calibration.input_moments import SecondMoments
from quant.calibration.synthetic_moments import SyntheticMoments

RANDOM = np.random.default_rng(0)


def kind_of(scale, inputs=4):
    rows = scale * (RANDOM.normal(size=(500, inputs)) @ RANDOM.normal(size=(inputs, inputs)) + 1)
    return SecondMoments((rows.T @ rows / len(rows))[None], rows.mean(axis=0)[None])


def test_each_kind_counts_as_much_whatever_its_scale():
    small, large = kind_of(1.0), kind_of(1000.0)
    pooled = SyntheticMoments.pooled([small, large], 0.0).square
    expected = small.square / small.diagonal.mean() + large.square / large.diagonal.mean()
    np.testing.assert_allclose(pooled / np.trace(pooled[0]), expected / np.trace(expected[0]))


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_correlations_are_shrunk_by_the_independent_share_and_energies_are_not(share):
    kind = kind_of(1.0)
    pooled = SyntheticMoments.pooled([kind], share)
    off = ~np.eye(4, dtype=bool)
    np.testing.assert_allclose(pooled.square[0][off], (1 - share) * kind.square[0][off])
    np.testing.assert_allclose(pooled.diagonal, kind.diagonal)


def test_the_energy_by_kind_is_that_of_the_shrunk_moments():
    kinds, weights = [kind_of(1.0), kind_of(3.0)], RANDOM.normal(size=(1, 5, 4))
    moments = SyntheticMoments.pooled(kinds, 0.3)
    for kind, energy in zip(kinds, moments.energies_by_kind(weights), strict=True):
        np.testing.assert_allclose(energy, SyntheticMoments.pooled([kind], 0.3).energy(weights))


def test_after_a_bias_correction_the_covariance_and_a_part_of_the_mean_remain():
    kind = kind_of(1.0)
    remaining = SyntheticMoments.pooled([kind], 0.0).after_bias_correction()
    mean = kind.mean[:, :, None] * kind.mean[:, None, :]
    np.testing.assert_allclose(remaining.square, kind.covariance + 0.01 * mean)


def test_an_input_that_is_always_zero_is_no_fault():
    zero = SecondMoments(np.zeros((1, 3, 3)), np.zeros((1, 3)))
    assert np.isfinite(SyntheticMoments.pooled([zero, zero], 0.2).square).all()
