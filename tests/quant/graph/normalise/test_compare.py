"""Outputs are compared by value within a tolerance, and by shape and type exactly."""

import numpy as np
import pytest

from quant.graph.normalise.compare import TOLERANCE, difference

X = np.array([1.0, -4.0, 2.0], np.float32)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_may_differ_by_a_share_of_the_largest_magnitude(dtype):
    tolerance = TOLERANCE[np.dtype(dtype).name]
    x = X.astype(dtype)
    assert difference([x], [x + dtype(0.9 * 4 * tolerance)]) is None
    assert "output 0 differs by" in difference([x], [x + dtype(1.2 * 4 * tolerance)])


@pytest.mark.parametrize(
    ("expected", "actual", "message"),
    [
        ([X], [X, X], "2 outputs instead of 1"),
        ([X], [X[:2]], "output 0 has the shape [2] instead of [3]"),
        ([X, np.array([1, 2])], [X, np.array([1, 3])], "output 1 differs by 1"),
        ([np.array([True])], [np.array([False])], "output 0 differs by 1"),
        ([np.array(["a"])], [np.array(["b"])], "output 0 differs"),
        ([[X]], [[X + 1]], "output 0 differs"),
        ([X], [np.array([1, np.nan, 2], np.float32)], "output 0 differs"),
    ],
)
def test_the_first_difference_is_described(expected, actual, message):
    assert message in difference(expected, actual)


def test_equal_outputs_do_not_differ():
    special = np.array([np.nan, np.inf, 1], np.float32)
    for outputs in ([X], [special], [np.array([1, 2])], [np.array(["a"])], [[X, X]]):
        assert difference(outputs, outputs) is None
