"""Compiled clip bounds of a fit are those of NumPy."""

from dataclasses import replace

import numpy as np
import pytest

from quant.methods.clipping.mae import Mae
from quant.methods.clipping.mse import Mse
from quant.methods.grids.expected_error import expected_error
from quant.methods.grids.uniform import Uniform
from tests.quant.kernel.rows import LENGTHS, UNIT, fitted
from tests.quant.reference import WIDE, unit_fit


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_bounds_and_expected_errors_of_a_fit_are_those_of_numpy(n, bits):
    statistics, compiled = fitted(n, True)
    plain = replace(compiled, compiled=False)
    for rule in (Mae(), Mse()):
        bound = rule.bound(statistics, compiled, bits)
        np.testing.assert_allclose(bound, rule.bound(statistics, plain, bits), rtol=1e-7, err_msg=rule.name)
        book = Uniform().build(statistics, compiled, bound, bits)
        for largest in (None, statistics.unit):
            results = expected_error(compiled, book, largest), expected_error(plain, book, largest)
            for ours, theirs in zip(*results, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-12 * statistics.max_abs.max())


@pytest.mark.parametrize(("family", "shape"), UNIT)
@pytest.mark.parametrize("location", [0.0, 0.013, -0.2])
@pytest.mark.parametrize("bits", [6, 8])
def test_bounds_on_fine_grids_in_closed_form_are_those_from_every_cell(family, shape, location, bits):
    fit = unit_fit(family, shape)
    fit.candidates[0].fitted.location[:] = location
    for rule in (Mae(), Mse()):
        ours, exact = (rule.bound(WIDE, replace(fit, compiled=compiled), bits) for compiled in (True, False))
        np.testing.assert_allclose(ours, exact, rtol=2e-7, err_msg=rule.name)
