"""The bound that clips nothing."""

import numpy as np

from quant.methods.clipping.minmax import MinMax
from tests.quant.methods.samples import fitted, sample


def test_the_bound_is_the_largest_magnitude_at_every_width():
    rows = sample("laplace", rows=4, n=50)
    for bits in (2, 4, 8):
        np.testing.assert_array_equal(MinMax().bound(*fitted(rows), bits), np.abs(rows).max(axis=1))
    assert not MinMax.clips
