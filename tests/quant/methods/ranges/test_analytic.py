"""The range of least expected squared error under a fit."""

import numpy as np
import pytest

from quant.methods.ranges.analytic import MAX_LEVELS, AnalyticRange
from quant.methods.ranges.mse import MseRange
from tests.quant.methods.ranges.observations import error, observed

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("one_sided", [True, False])
def test_the_analytic_range_is_close_to_the_measured_optimum(one_sided):
    values = RNG.laplace(size=(16, 5000))
    values = np.maximum(values, 0) if one_sided else values
    analytic, mse = (
        error(values, rule.range(observed(rule, *values), 16), 4) for rule in (AnalyticRange(), MseRange())
    )
    assert analytic <= 1.1 * mse


def test_many_levels_and_all_zeros_take_the_extremes():
    values = RNG.laplace(size=1000)
    seen = observed(AnalyticRange(), values)
    assert AnalyticRange().range(seen, MAX_LEVELS * 2) == seen.extremes
    assert AnalyticRange().range(observed(AnalyticRange(), np.zeros(5)), 16) == (0, 0)
