"""The exact expected error of a quantizer."""

import numpy as np
import pytest
from scipy import stats

from quant.methods.grids.codebook import Codebook
from quant.methods.grids.expected_error import expected_error
from quant.methods.grids.uniform import Uniform
from tests.quant.reference import WIDE, table, unit_fit

TABLE = table("methods/clipping/clip_bounds.txt")


@pytest.mark.parametrize("row", [row for row in TABLE if row[2] == "M"], ids=str)
def test_errors_of_mid_rise_grids_are_those_of_the_table(row):
    family, shape, _, bits, _, mae_bound, mae, mse_bound, mse = row
    half, fit = 2 ** (int(bits) - 1), unit_fit(family, shape)
    for bound, index, expected in ((mae_bound, 0, mae), (mse_bound, 1, mse)):
        if bound is not None:
            positive = bound / half * (np.arange(half) + 0.5)
            book = Codebook.from_levels(np.concatenate([-positive[::-1], positive])[None])
            assert expected_error(fit, book)[index][0] == pytest.approx(expected, rel=2e-6)


@pytest.mark.parametrize("location", [0.0, 0.3])
@pytest.mark.parametrize(
    ("family", "shape"), [("gaussian", None), ("laplace", None), ("student_t", 5.0), ("generalized_gaussian", 0.8)]
)
def test_expected_error_is_that_of_a_simulation(family, shape, location):
    kinds = {"student_t": stats.t(5), "generalized_gaussian": stats.gennorm(0.8), "laplace": stats.laplace()}
    frozen = kinds.get(family, stats.norm())
    drawn = (frozen.rvs(400_000, random_state=1) + location).astype(np.float32)
    fit = unit_fit(family, shape)
    fit.candidates[0].fitted.location[:] = location
    book = Uniform().build(WIDE, fit, np.array([2.0]), 4)
    error = book.decode(book.encode(drawn[None])).astype(np.float64)[0] - drawn
    for expected, measured in zip(expected_error(fit, book), (np.abs(error), error**2), strict=True):
        assert abs(expected[0] - measured.mean()) < 4 * measured.std() / np.sqrt(measured.size)
