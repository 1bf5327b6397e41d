"""The bound that a share of the weights lies within."""

import numpy as np
import pytest

from quant.methods.clipping.percentile import Percentile
from tests.quant.methods.samples import fitted, sample


@pytest.mark.parametrize("q", [90.0, 99.0, 99.9])
def test_a_percentile_is_numpys(q):
    rows = sample("laplace", rows=3, n=20_000)
    expected = np.percentile(np.abs(rows), q, axis=1)
    np.testing.assert_allclose(Percentile(q=q).bound(*fitted(rows), 8), expected, rtol=0.02)
