"""The grid of least squared error on the weights, against scikit-learn's search."""

import numpy as np
import pytest
from scipy import stats
from sklearn.cluster import KMeans as SklearnKMeans

from quant.methods.grids.kmeans import KMeans
from tests.quant.methods.samples import fitted


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_kmeans_is_no_worse_than_a_search_with_restarts(bits):
    rows = stats.t(5).rvs((3, 800), random_state=0).astype(np.float32) * np.float32(0.1)
    statistics, fit = fitted(rows)
    book = KMeans().build(statistics, fit, statistics.max_abs, bits)
    for row, measured in zip(rows, ((book.decode(book.encode(rows)) - rows) ** 2).sum(1), strict=True):
        search = SklearnKMeans(2**bits, n_init=10, random_state=0).fit(row[:, None])
        assert measured <= 1.03 * search.inertia_  # the histogram has 16 bins an octave, the search has the weights


def test_a_row_of_few_different_weights_is_exact():
    rows = np.array([[-0.5, -0.25, 0.25, 0.5] * 8, [1.0, 2.0] * 16], np.float32)
    book = KMeans().build(*fitted(rows), np.ones(2), 2)
    np.testing.assert_allclose(book.decode(book.encode(rows)), rows)


@pytest.mark.parametrize("n", [64, 2000])
def test_zeros_are_weights_too(n):
    rows = np.zeros((3, n), np.float32)
    rows[0, 5] = 1  # a row of the identity
    rows[1, ::10] = stats.norm.rvs(size=len(rows[1, ::10]), random_state=0)
    rows[2, ::2] = -np.linspace(0.1, 1, n // 2)
    statistics, fit = fitted(rows)
    book = KMeans().build(statistics, fit, statistics.max_abs, 4)
    decoded = book.decode(book.encode(rows))
    assert abs(decoded[rows == 0]).max() < 1e-2 * np.abs(rows).max()
    assert ((decoded - rows) ** 2).sum() < 0.005 * (rows**2).sum()


def test_a_row_of_one_weight_is_exact():
    rows = np.array([[-0.5], [0.25], [0.0]], np.float32)
    book = KMeans().build(*fitted(rows), np.ones(3), 4)
    np.testing.assert_array_equal(book.decode(book.encode(rows)), rows)
