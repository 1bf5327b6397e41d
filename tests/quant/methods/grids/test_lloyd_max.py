"""The Lloyd-Max grid against the published quantizers."""

import numpy as np
import pytest
from scipy import stats

from quant.methods.grids.expected_error import expected_error
from quant.methods.grids.lloyd_max import LloydMax
from tests.quant.methods.samples import fitted
from tests.quant.reference import WIDE, table, unit_fit


@pytest.mark.parametrize("row", [row for row in table("methods/grids/lloyd_max.txt") if row[2] <= 64], ids=str)
def test_lloyd_max_is_the_published_quantizer(row):
    family, shape, count, mse = row
    fit = unit_fit(family, shape)
    book = LloydMax().build(WIDE, fit, WIDE.max_abs, int(np.log2(count)))
    assert expected_error(fit, book)[1][0] == pytest.approx(mse, rel=2e-6)


def test_lloyd_max_has_maxs_levels():
    levels = LloydMax().build(WIDE, unit_fit("gaussian"), WIDE.max_abs, 2).levels[0]
    np.testing.assert_allclose(levels[2:], [0.45278003, 1.51041761], rtol=1e-7)  # Max (1960): .4528, 1.510


def test_levels_are_finite_where_the_fitted_distribution_has_no_variance():
    rows = np.stack([stats.t.rvs(df, size=4000, random_state=3).astype(np.float32) for df in (0.8, 1.5, 5)])
    statistics, fit = fitted(rows)
    assert not np.isfinite(fit.partial_moments(np.zeros(3))[2]).all()
    book = LloydMax().build(statistics, fit, statistics.max_abs, 4)
    assert np.isfinite(book.levels).all()
    assert (np.abs(book.levels[:2]) <= statistics.max_abs[:2, None]).all()


@pytest.mark.parametrize("bits", [3, 4])
def test_a_row_with_many_zeros_has_a_level_for_them(bits):
    rows = stats.norm.rvs(size=(3, 600), random_state=0).astype(np.float32)
    rows[0, 30:] = 0
    rows[1, ::4] = 0
    statistics, fit = fitted(rows)
    book = LloydMax().build(statistics, fit, statistics.max_abs, bits)
    errors = ((book.decode(book.encode(rows)) - rows) ** 2).sum(axis=1) / (rows**2).sum(axis=1)
    assert errors.max() == errors[2] < 2.5 * 4.0**-bits
