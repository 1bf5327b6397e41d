"""The range of least mean squared error on the histogram."""

from typing import get_args

import numpy as np
import pytest

from quant.methods.ranges.mse import MseRange
from quant.methods.registry import RangeRule
from tests.quant.methods.ranges.observations import error, observed

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_mse_range_loses_no_more_than_any_other(bits):
    values = RNG.laplace(size=(8, 5000))
    ends = {
        rule.name: rule.range(observed(rule, *values), 2**bits) for rule in (kind() for kind in get_args(RangeRule))
    }
    losses = {name: error(values, target, bits) for name, target in ends.items()}
    assert losses["mse"] <= 1.02 * min(losses.values())


def test_an_outlier_is_clipped_at_few_levels():
    values = np.concatenate([RNG.uniform(-1, 1, 20_000), [40.0]])
    lower, upper = MseRange().range(observed(MseRange(), values), 16)
    assert upper < 12
    assert lower > -1.01
