"""Newton's method inside a bracket, for many functions at once."""

import numpy as np

from quant.methods.clipping.root import increasing_root


def test_roots_are_found_where_newton_alone_would_leave_the_bracket():
    targets = np.array([1e-6, 0.5, 2.0, 40.0])

    def function(x, rows):
        return np.arctan(20 * (x - targets[rows])), 20 / (1 + (20 * (x - targets[rows])) ** 2)

    low, high = np.full(4, 1e-9), np.full(4, 1e3)
    np.testing.assert_allclose(increasing_root(function, low, high, np.full(4, 10.0)), targets, rtol=1e-8)


def test_a_function_below_zero_gives_the_upper_end_of_its_bracket():
    roots = increasing_root(lambda x, rows: (x - 5, np.ones_like(x)), np.ones(2), np.array([3.0, 9.0]), np.ones(2) * 2)
    np.testing.assert_allclose(roots, [3, 5])
