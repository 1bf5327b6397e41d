"""The search for the clip bounds of least output error."""

import numpy as np
import pytest

from quant.methods.clipping.mse import Mse
from quant.methods.grids.kmeans import KMeans
from quant.methods.grids.uniform import Uniform
from quant.methods.rounding.error_feedback import ErrorFeedback
from quant.methods.rounding.nearest import Nearest
from quant.weights.output_error import minimise_output_error
from tests.quant.one_layer import problem_of


@pytest.mark.parametrize("bits", [3, 4, 8])
def test_the_chosen_bound_costs_no_more_than_minmax_or_the_best_for_the_weights(bits):
    problem, fitted = problem_of(outputs=12, inputs=64)
    for rounding in (Nearest(), ErrorFeedback()):
        bounds = [
            fitted.statistics.max_abs,
            Mse().bound(fitted.statistics, fitted.fit, bits),
            minimise_output_error(problem, fitted, Uniform(), rounding, bits)[0],
        ]
        grids = [Uniform().build(None, None, bound, bits) for bound in bounds]
        minmax, mse, best = (problem.error(rounding.for_search().round(problem, grid)) for grid in grids)
        assert (best <= minmax).all()
        assert (best <= mse).all()
        minmax, mse, best = (problem.error(rounding.round(problem, grid)).sum() for grid in grids)
        assert best <= min(minmax, mse) * (1 + 1e-6)
        assert (bounds[2] <= fitted.statistics.max_abs * (1 + 1e-6)).all()


def test_a_grid_without_a_bound_gets_the_best_factor_of_its_levels():
    problem, fitted = problem_of(outputs=12, inputs=64)
    _, codebook = minimise_output_error(problem, fitted, KMeans(), Nearest(), 3)
    plain = KMeans().build(fitted.statistics, fitted.fit, fitted.statistics.max_abs, 3)
    assert (problem.error(problem.nearest(codebook)) <= problem.error(problem.nearest(plain)) * (1 + 1e-6)).all()
    factors = (codebook.levels / plain.levels)[:, 0]
    np.testing.assert_allclose(codebook.levels, plain.levels * factors[:, None])
    assert ((factors > 0.69) & (factors < 1.21)).all()


def test_codebooks_that_are_tried_in_several_passes_give_the_same_choice(monkeypatch):
    problem, fitted = problem_of(outputs=8, inputs=20)
    bound, _ = minimise_output_error(problem, fitted, Uniform(), ErrorFeedback(), 4)
    monkeypatch.setattr("quant.weights.output_error.WEIGHTS_AT_ONCE", 3 * problem.matrix.size)
    np.testing.assert_allclose(minimise_output_error(problem, fitted, Uniform(), ErrorFeedback(), 4)[0], bound)
