"""Location-scale families: location, tails of |X|, and selection of rows."""

import numpy as np
import pytest
from scipy import integrate, stats

from quant.methods.distributions.fitted import concatenate_rows
from quant.methods.distributions.gaussian import FittedGaussian
from quant.methods.distributions.student_t import FittedStudentT

GAUSSIAN = FittedGaussian(np.array([0.3, -2.0]), np.array([1.5, 0.1]))


def test_location_and_scale_move_and_stretch_the_unit_variable():
    x = np.array([[-1.0, 0.3, 5.0], [-2.3, -2.0, -1.9]])
    reference = stats.norm(GAUSSIAN.location[:, None], GAUSSIAN.scale[:, None])
    np.testing.assert_allclose(GAUSSIAN.pdf(x), reference.pdf(x))
    np.testing.assert_allclose(GAUSSIAN.sf(x), reference.sf(x))


@pytest.mark.parametrize("bound", [0.0, 0.2, 2.5])
def test_tails_of_the_magnitude_are_those_of_quadrature(bound):
    reference = stats.norm(0.3, 1.5)

    def magnitude(power):
        function = lambda x: x**power * (reference.pdf(x) + reference.pdf(-x))  # noqa: E731
        return integrate.quad(function, bound, np.inf)[0]

    bounds = np.full(2, bound)
    assert GAUSSIAN.tail(bounds)[0] == pytest.approx(magnitude(0))
    assert GAUSSIAN.tail_moment(bounds)[0] == pytest.approx(magnitude(1))
    assert GAUSSIAN.abs_pdf(bounds)[0] == pytest.approx(reference.pdf(bound) + reference.pdf(-bound))


def test_partial_moments_beyond_the_ends_are_all_or_nothing():
    tail, first, second = GAUSSIAN.partial_moments(np.array([[-np.inf, np.inf]] * 2))
    np.testing.assert_allclose(tail, [[1, 0]] * 2)
    np.testing.assert_allclose(first[:, 0], GAUSSIAN.location)
    np.testing.assert_allclose(second[:, 0], GAUSSIAN.location**2 + GAUSSIAN.scale**2)
    assert not first[:, 1].any()
    assert not second[:, 1].any()


def test_rows_are_selected_scattered_and_concatenated():
    fitted = FittedStudentT(np.arange(3.0), np.ones(3), np.array([2.0, 3.0, 4.0]))
    parts = [fitted.select_rows(np.array([0])), fitted.select_rows(np.array([False, True, True]))]
    whole = concatenate_rows(parts)
    np.testing.assert_array_equal(whole.location, fitted.location)
    np.testing.assert_array_equal(whole.shape, fitted.shape)
    scattered = fitted.scatter(np.array([True, False, True, True]))
    np.testing.assert_array_equal(scattered.shape, [2, np.nan, 3, 4])
    assert fitted.parameters == 3
    assert GAUSSIAN.parameters == 2
