"""The grid of equally spaced levels."""

import numpy as np
import pytest

from quant.methods.grids.uniform import Uniform, step


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_outermost_levels_are_the_bound_and_zero_is_a_level(bits):
    book = Uniform().build(None, None, np.array([0.5, 3.0]), bits)
    assert book.levels.shape == (2, 2**bits - 1)
    np.testing.assert_allclose(book.levels[:, -1], [0.5, 3.0], rtol=1e-6)
    np.testing.assert_array_equal(book.levels[:, 2 ** (bits - 1) - 1], 0)


def test_a_bound_of_zero_has_step_one():
    np.testing.assert_array_equal(step(np.array([[0.0, 7.0]]), 4), [[1, 1]])
