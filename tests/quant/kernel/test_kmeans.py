"""Compiled k-means levels have no more error than those of NumPy."""

import numpy as np
import pytest

from quant.methods.distributions.selection import select
from quant.methods.distributions.statistics import summarise
from quant.methods.grids.kmeans import KMeans
from tests.quant.kernel.rows import LENGTHS, fitted


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("bits", [2, 4])
def test_kmeans_has_no_more_error_than_that_of_numpy(n, bits):
    (plain, fit), (compiled, _) = fitted(n, False), fitted(n, True)
    books = [KMeans().build(one, fit, one.max_abs, bits) for one in (compiled, plain)]
    assert (np.diff(books[0].levels, axis=1) >= 0).all()
    ours, theirs = (((book.decode(book.encode(plain.rows)) - plain.rows) ** 2).mean(axis=1) for book in books)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-12)


@pytest.mark.parametrize("n", LENGTHS)
def test_zeros_are_points_as_in_numpy(n):
    rows = np.random.default_rng(0).normal(size=(8, n)).astype(np.float32)
    rows[np.random.default_rng(1).random(rows.shape) < np.linspace(0, 1, 8)[:, None]] = 0
    compiled, plain = summarise(rows, compiled=True), summarise(rows)
    fit = select(plain, ("gaussian",), "aic")
    books = [KMeans().build(statistics, fit, statistics.max_abs, 4) for statistics in (compiled, plain)]
    ours, theirs = (((book.decode(book.encode(rows)) - rows) ** 2).mean(axis=1) for book in books)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-12)
    assert (ours <= 0.02 * (rows**2).mean(axis=1)).all()
