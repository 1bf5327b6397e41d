"""The rule that takes the best of several bounds."""

import numpy as np
import pytest

from quant.methods.clipping.auto import Auto
from quant.methods.clipping.empirical import EmpiricalMse, measured_error
from quant.methods.clipping.minmax import MinMax
from quant.methods.clipping.mse import Mse
from quant.methods.grids.even_levels import EvenLevels
from tests.quant.methods.samples import fitted, sample


@pytest.mark.parametrize("n", [27, 800])
@pytest.mark.parametrize(("bits", "mid_rise"), [(4, False), (8, False), (2, True)])
def test_auto_is_no_worse_than_any_of_its_candidates(n, bits, mid_rise):
    statistics, fit = fitted(np.concatenate([sample("laplace", 10, n), sample("gaussian", 10, n)]))
    auto, *candidates = (
        measured_error(statistics, rule.bound(statistics, fit, bits, mid_rise=mid_rise), EvenLevels(bits, mid_rise))[1]
        for rule in (Auto(), MinMax(), Mse(), EmpiricalMse())
    )
    np.testing.assert_array_equal(auto, np.min(candidates, axis=0))


def test_auto_competes_with_the_rule_that_clips_nothing():
    assert Auto().rival == MinMax()
    assert Auto.uses_moments
