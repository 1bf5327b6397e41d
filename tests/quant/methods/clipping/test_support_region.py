"""The bound of the Laplacian support region."""

import numpy as np
import pytest

from quant.methods.clipping.support_region import SupportRegion, support
from tests.quant.methods.samples import fitted, sample


@pytest.mark.parametrize(
    ("bits", "bound"), [(2, 2.1747854), (3, 2.9237327), (4, 3.6879629), (5, 4.4798168), (8, 7.0200753)]
)
def test_the_support_region_is_the_published_one(bits, bound):
    assert support(bits) / np.sqrt(2) == pytest.approx(bound, rel=1e-7)  # published for unit variance


def test_all_rows_of_a_layer_share_one_bound_unless_their_weights_are_smaller():
    rows = sample("laplace", rows=3, n=500)
    rows[2] *= np.float32(0.01)
    statistics, fit = fitted(rows)
    bound = SupportRegion().bound(statistics, fit, 2)
    assert bound[0] == bound[1] < statistics.max_abs[:2].min()
    assert bound[2] == statistics.max_abs[2]
