"""Compiled k-means levels have no more error than those of NumPy."""

import numpy as np
import pytest

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
