"""Covariances of few rows come closer to the true ones by shrinkage."""

import numpy as np
import pytest

from quant.calibration.input_moments import SecondMoments
from quant.calibration.shrinkage import shrink_covariance
from quant.data.dataset import Dataset
from quant.graph.inventory import inventory
from tests.quant.one_layer import KINDS, model_of, moments_of

INPUTS = 24
TRUE = 0.6 ** np.abs(np.subtract.outer(np.arange(INPUTS), np.arange(INPUTS)))
"""Covariances of inputs that are correlated with their neighbours."""


def measured(count, seed):
    """Return rows (1, count, INPUTS) with a mean of 2, and their moments."""
    random = np.random.default_rng(seed)
    rows = (random.multivariate_normal(np.full(INPUTS, 2.0), TRUE, count)[None]).astype(np.float32)
    return rows, SecondMoments((rows[0].T.astype(float) @ rows[0] / count)[None], rows.mean(axis=1, dtype=np.float64))


@pytest.mark.parametrize("count", [4, 12, 24, 48])
def test_few_rows_come_closer_to_the_true_covariances(count):
    distances = []
    for seed in range(10):
        rows, moments = measured(count, seed)
        shrunk = shrink_covariance(moments, rows)
        distances.append([np.sum((each.covariance[0] - TRUE) ** 2) for each in (moments, shrunk)])
        np.testing.assert_allclose(shrunk.diagonal, moments.diagonal)
        np.testing.assert_array_equal(shrunk.mean, moments.mean)
        assert np.linalg.eigvalsh(shrunk.covariance[0])[0] > 0
    before, after = np.mean(distances, axis=0)
    assert after < 0.9 * before


def test_the_share_is_that_of_the_variances_of_all_products():
    rows, moments = measured(10, 0)
    centred = rows[0] - rows[0].mean(axis=0)
    products = centred[:, :, None] * centred[:, None, :]
    others = ~np.eye(INPUTS, dtype=bool)
    share = products.var(axis=0, ddof=1)[others].sum() / 10 / (moments.covariance[0][others] ** 2).sum()
    expected = moments.covariance[0] * np.where(others, 1 - share, 1)
    np.testing.assert_allclose(shrink_covariance(moments, rows).covariance[0], expected, rtol=1e-4, atol=1e-5)


def test_many_rows_are_hardly_changed_and_constant_inputs_not_at_all():
    rows, moments = measured(5000, 0)
    assert np.abs(shrink_covariance(moments, rows).square - moments.square).max() < 0.02
    constant = np.ones((1, 3, 2), np.float32)
    moments = SecondMoments(np.ones((1, 2, 2)), np.ones((1, 2)))
    np.testing.assert_array_equal(shrink_covariance(moments, constant).square, moments.square)


@pytest.mark.parametrize(("samples", "shrinks"), [(10, True), (20, False)])
def test_layers_with_few_rows_for_their_inputs_get_shrunk_covariances(samples, shrinks):
    model = model_of(*KINDS["gemm"])
    (layer,), _ = inventory(model)
    rows = np.random.default_rng(0).normal(size=(samples, 7)).astype(np.float32)
    moments = moments_of(model, [layer], Dataset({"x": rows}, None, samples, 2))[layer.name]
    measured = SecondMoments((rows.T.astype(float) @ rows / samples)[None], rows.mean(axis=0, dtype=float)[None])
    expected = shrink_covariance(measured, rows[None]) if shrinks else measured
    np.testing.assert_allclose(moments.square, expected.square, rtol=1e-5, atol=1e-6)
