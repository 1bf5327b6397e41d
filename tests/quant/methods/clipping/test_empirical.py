"""The bounds of least error measured on the weights."""

import numpy as np
import pytest

from quant.methods.clipping.empirical import EmpiricalMae, EmpiricalMse, histogram_error, measured_error
from quant.methods.grids.even_levels import EvenLevels
from quant.methods.grids.mid_rise import MidRise
from quant.methods.grids.uniform import Uniform
from tests.quant.methods.samples import fitted, sample


@pytest.mark.parametrize(("grid", "bits"), [*((Uniform(), bits) for bits in (3, 4, 8)), (MidRise(), 2), (MidRise(), 4)])
@pytest.mark.parametrize("family", ["gaussian", "laplace"])
def test_the_error_from_the_histogram_is_that_of_the_weights(family, grid, bits):
    rows = sample(family, rows=4, n=5000)
    statistics, fit = fitted(rows)
    bounds = statistics.max_abs[:, None] * np.array([0.3, 0.5, 0.8, 1.0])
    mae, mse = histogram_error(statistics, bounds, EvenLevels(bits, grid.mid_rise))
    for column, bound in enumerate(bounds.T):
        book = grid.build(statistics, fit, bound, bits)
        error = book.decode(book.encode(rows)).astype(np.float64) - rows
        np.testing.assert_allclose(mae[:, column], np.abs(error).mean(1), rtol=0.04)
        # at 8 bits one outlier in a wide bin makes much of the squared error
        np.testing.assert_allclose(mse[:, column], (error**2).mean(1), rtol=0.2 if bits == 8 else 0.06)


@pytest.mark.parametrize("n", [40, 600, 5000])
@pytest.mark.parametrize(("grid", "bits"), [(Uniform(), 4), (Uniform(), 8), (MidRise(), 2), (MidRise(), 3)])
def test_the_empirical_bound_is_as_good_as_an_exhaustive_search(n, grid, bits):
    rows = sample("laplace", rows=20, n=n)
    statistics, fit = fitted(rows)

    def error(bound):
        book = grid.build(statistics, fit, bound, bits)
        return ((book.decode(book.encode(rows)) - rows) ** 2).mean(1)

    best = np.min([error(statistics.max_abs * ratio) for ratio in np.linspace(0.1, 1, 400)], axis=0)
    assert np.mean(error(EmpiricalMse().bound(statistics, fit, bits, mid_rise=grid.mid_rise)) / best) < 1.05


def test_each_rule_is_the_better_one_by_its_own_error():
    statistics, fit = fitted(sample("laplace", rows=20, n=600))
    mae, mse = (
        [np.mean(error) for error in measured_error(statistics, rule.bound(statistics, fit, 4), EvenLevels(4, False))]
        for rule in (EmpiricalMae(), EmpiricalMse())
    )
    assert mae[0] < mse[0]
    assert mse[1] < mae[1]
