"""Compiled searches on the weights themselves find bounds as good as those of NumPy."""

import numpy as np
import pytest

from quant.methods.clipping.auto import Auto
from quant.methods.clipping.empirical import EmpiricalMae, EmpiricalMse, measured_error
from quant.methods.grids.even_levels import EvenLevels
from tests.quant.kernel.rows import LENGTHS, fitted


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("even", [EvenLevels(4, False), EvenLevels(8, False), EvenLevels(2, True)], ids=str)
def test_searched_bounds_are_as_good_as_those_of_numpy(n, even):
    (plain, plain_fit), (compiled, compiled_fit) = fitted(n, False), fitted(n, True)
    for rule, index in ((EmpiricalMae(), 0), (EmpiricalMse(), 1), (Auto(), 1)):
        bounds = [
            rule.bound(*rows, even.bits, mid_rise=even.mid_rise)
            for rows in ((compiled, compiled_fit), (plain, plain_fit))
        ]
        ours, theirs = (measured_error(plain, bound, even)[index] for bound in bounds)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4 if rule.name != "auto" else 0.02, err_msg=rule.name)
        np.testing.assert_allclose(measured_error(compiled, bounds[0], even)[index], ours, rtol=1e-5)
