"""Compiled searches on the weights themselves find bounds as good as those of NumPy."""

import numpy as np
import pytest

from quant.methods.clipping.auto import Auto
from quant.methods.clipping.empirical import EmpiricalMae, EmpiricalMse, measured_error
from tests.quant.kernel.rows import LENGTHS, fitted


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("bits", [4, 8])
def test_searched_bounds_are_as_good_as_those_of_numpy(n, bits):
    (plain, plain_fit), (compiled, compiled_fit) = fitted(n, False), fitted(n, True)
    for rule, index in ((EmpiricalMae(), 0), (EmpiricalMse(), 1), (Auto(), 1)):
        bounds = rule.bound(compiled, compiled_fit, bits), rule.bound(plain, plain_fit, bits)
        ours, theirs = (measured_error(plain, bound, bits)[index] for bound in bounds)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4 if rule.name != "auto" else 0.02, err_msg=rule.name)
        np.testing.assert_allclose(measured_error(compiled, bounds[0], bits)[index], ours, rtol=1e-5)
