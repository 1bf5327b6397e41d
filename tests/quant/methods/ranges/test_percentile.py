"""The range of percentiles."""

import numpy as np
import pytest

from quant.calibration.histogram import HALF
from quant.methods.ranges.percentile import PercentileRange
from tests.quant.methods.ranges.observations import observed

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("q", [90.0, 99.0, 99.9])
def test_the_percentile_is_that_of_the_sorted_values(q):
    values = RNG.normal(size=(8, 5000))
    rule = PercentileRange(q=q)
    lower, upper = rule.range(observed(rule, *values), 256)
    bin_width = 2.0 ** np.ceil(np.log2(np.abs(values).max())) / HALF
    tail = (100 - q) / 2
    np.testing.assert_allclose((lower, upper), np.percentile(values, [tail, 100 - tail]), atol=0.02 + bin_width)


def test_values_that_are_never_negative_lose_one_tail_only():
    values = np.abs(RNG.normal(size=(8, 5000)))
    lower, upper = PercentileRange(q=99.0).range(observed(PercentileRange(), *values), 256)
    assert lower == 0
    assert upper == pytest.approx(np.percentile(values, 99), abs=0.05)
