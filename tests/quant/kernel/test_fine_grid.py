"""Closed-form errors of fine grids are those of the sum over all cells."""

from dataclasses import replace

import numpy as np
import pytest

from quant.methods.grids.expected_error import expected_error
from quant.methods.grids.uniform import Uniform
from tests.quant.kernel.rows import UNIT
from tests.quant.reference import WIDE, unit_fit


@pytest.mark.parametrize(("family", "shape"), UNIT)
@pytest.mark.parametrize("clip", [1.0, 8.0, 12.0, 60.0])
@pytest.mark.parametrize("location", [0.0, 0.013, 1.01])
def test_errors_of_fine_grids_in_closed_form_are_those_of_their_cells(family, shape, clip, location):
    fit = unit_fit(family, shape)
    fit.candidates[0].fitted.location[:] = location
    book = Uniform().build(WIDE, fit, np.array([clip]), 8)
    for ours, exact in zip(expected_error(replace(fit, compiled=True), book), expected_error(fit, book), strict=True):
        np.testing.assert_allclose(ours, exact, rtol=1e-8)


@pytest.mark.parametrize(("family", "shape"), UNIT)
@pytest.mark.parametrize("clip", [1.0, 8.0])
@pytest.mark.parametrize("beyond", [0.6, 0.05, 1e-4])
@pytest.mark.parametrize("location", [0.0, 0.013, -0.31])
def test_errors_under_a_largest_magnitude_in_closed_form_are_those_of_the_cells(family, shape, clip, beyond, location):
    fit = unit_fit(family, shape)
    fit.candidates[0].fitted.location[:] = location
    book, bound = Uniform().build(WIDE, fit, np.array([clip]), 8), fit.abs_quantile(beyond)
    pairs = zip(expected_error(replace(fit, compiled=True), book, bound), expected_error(fit, book, bound), strict=True)
    for ours, exact in pairs:
        np.testing.assert_allclose(ours, exact, rtol=1e-6, atol=1e-11)  # moments of a t cancel at small values
