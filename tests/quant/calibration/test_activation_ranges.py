"""Activation ranges: their scale, zero point and evidence."""

import numpy as np
import pytest

from quant.calibration.activation_ranges import ActivationRange
from quant.methods.ranges.mse import MseRange
from tests.quant.methods.ranges.observations import observed


def test_zeros_are_left_out_of_the_histogram():
    seen = observed(MseRange(), np.array([0, 0, 1, 2.0]), np.zeros(5))
    assert seen.counts.sum() == 2


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("symmetric", [False, True])
def test_zero_is_exact_and_the_ends_are_reached(bits, symmetric):
    target = ActivationRange(-1.0, 3.0, bits, symmetric)
    lower, upper = target.representable
    assert target.dtype == np.dtype(f"{'int' if symmetric else 'uint'}{bits}")
    assert upper == pytest.approx(3, abs=float(target.scale))
    assert lower <= -1 + float(target.scale)
    assert (int(target.zero_point) == 0) == symmetric
