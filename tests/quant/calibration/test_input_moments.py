"""Moments of a layer's input: second moments, inferred ones, and a sample of rows."""

import numpy as np

from quant.calibration.input_moments import MEAN_UNCERTAINTY, InferredMoments, InputSample, SecondMoments

RNG = np.random.default_rng(0)


def test_a_sample_of_rows_and_its_moments_give_the_same_output_energies():
    rows = RNG.normal(size=(3, 200, 7)).astype(np.float32) + np.float32(0.3)
    sums = SecondMoments(rows.swapaxes(1, 2).astype(float) @ rows / 200, rows.mean(axis=1, dtype=float))
    a, b = RNG.normal(size=(2, 3, 5, 7))
    outputs = [np.einsum("gnk,gok->gno", rows, weights) for weights in (a, b)]
    for moments in (InputSample(rows), sums):
        energy, product = moments.energies(a, b)
        np.testing.assert_allclose(energy, (outputs[0] ** 2).mean(axis=1), rtol=1e-4)
        np.testing.assert_allclose(product, (outputs[0] * outputs[1]).mean(axis=1), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(moments.energy(a), energy, rtol=1e-6)


def test_after_bias_correction_the_uncertainty_of_the_mean_remains():
    mean = RNG.normal(size=(1, 3))
    moments = InferredMoments(np.eye(3)[None] + mean[:, :, None] * mean[:, None, :], mean, np.ones(2))
    remaining = moments.after_bias_correction()
    along_the_mean = remaining.energy(mean[:, None, :] / (mean**2).sum())
    np.testing.assert_allclose(along_the_mean, 1 / (mean**2).sum() + MEAN_UNCERTAINTY**2)
    assert remaining.active_excess is moments.active_excess
