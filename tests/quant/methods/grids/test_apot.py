"""The grid of additive powers of two."""

import numpy as np
import pytest

from quant.methods.grids.apot import Apot


def test_the_four_bit_levels_are_the_published_ones():
    levels = Apot().build(None, None, np.array([1.0]), 4).levels[0]
    sums = [0, 1, 2, 3, 4, 6, 8, 10]  # of one of 0, 8, 4, 1 and one of 0, 2
    np.testing.assert_allclose(levels[7:], np.array(sums) / 10)
    np.testing.assert_allclose(levels, -levels[::-1])


@pytest.mark.parametrize("bits", Apot.widths)
def test_the_levels_reach_the_bound_and_are_denser_near_zero(bits):
    levels = Apot().build(None, None, np.array([3.0]), bits).levels[0]
    assert levels.size == 2**bits - 1
    assert levels[-1] == 3
    gaps = np.diff(levels[levels >= 0])
    assert gaps[0] == pytest.approx(gaps.min())
