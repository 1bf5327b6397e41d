"""Error feedback: later weights compensate for the rounding errors of earlier ones."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from quant.calibration.input_moments import SecondMoments
from quant.methods.grids.codebook import Codebook, UniformCodebook
from quant.methods.grids.uniform import Uniform
from quant.methods.rounding.error_feedback import ErrorFeedback
from quant.methods.rounding.nearest import Nearest
from quant.weights.granularity import PerBlock
from quant.weights.layer_problem import LayerProblem
from tests.quant.one_layer import output_error, problem_of

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_error_feedback_is_near_the_best_of_all_roundings(bits):
    problem, _ = problem_of(outputs=8, inputs=5)
    codebook = Uniform().build(None, None, np.abs(problem.matrix[0]).max(axis=1), bits)
    best = np.full(8, np.inf)
    for steps in itertools.product((-1, 0, 1), repeat=5):  # about the nearest levels: the optimum lies there
        moved = np.rint(problem.matrix[0] / codebook.scale[:, None]) + steps
        values = np.clip(moved, -codebook.qmax, codebook.qmax) * codebook.scale[:, None]
        best = np.minimum(best, problem.error(values[None]))
    feedback = problem.error(ErrorFeedback().round(problem, codebook)).sum()
    assert best.sum() <= feedback * (1 + 1e-6)
    assert feedback < 1.2 * best.sum()


@pytest.mark.parametrize("inputs", [40, 200])
@pytest.mark.parametrize("kind", ["uniform", "codebook", "blocks"])
def test_error_feedback_costs_less_than_nearest_on_every_grid(inputs, kind):
    problem, _ = problem_of(outputs=16, inputs=inputs)
    codebook = UniformCodebook(np.full(16, 0.3, np.float32), 7)
    if kind == "codebook":
        codebook = Codebook.from_levels(np.sort(RNG.normal(size=(16, 16)), axis=1))
    elif kind == "blocks":
        problem = LayerProblem.from_layer(problem.layer, PerBlock(0, inputs // 2), problem.moments)
        codebook = UniformCodebook(RNG.uniform(0.2, 0.5, 32).astype(np.float32), 7)
    nearest, feedback = (rounding.round(problem, codebook) for rounding in (Nearest(), ErrorFeedback()))
    errors = [output_error(values - problem.matrix, problem.hessian).sum() for values in (nearest, feedback)]
    assert errors[1] < 0.75 * errors[0]
    on_grid = Nearest().round(problem, codebook)
    np.testing.assert_array_equal(nearest, on_grid)


def test_values_are_on_the_grid_and_independent_inputs_are_rounded_to_nearest():
    problem, _ = problem_of(outputs=4, inputs=30)
    codebook = UniformCodebook(np.array([0.1, 0.2, 0.3, 0.4], np.float32), 7)
    steps = ErrorFeedback().round(problem, codebook)[0] / codebook.scale[:, None]
    np.testing.assert_allclose(steps, np.clip(np.rint(steps), -7, 7), atol=1e-5)
    diagonal = replace(problem, moments=SecondMoments(np.eye(30)[None] * 2, np.zeros((1, 30))))
    np.testing.assert_array_equal(ErrorFeedback().round(diagonal, codebook), Nearest().round(diagonal, codebook))


def test_inputs_that_are_always_zero_are_rounded_to_nearest():
    problem, _ = problem_of(outputs=4, inputs=6)
    hessian = problem.hessian.copy()
    hessian[:, 2] = hessian[:, :, 2] = 0
    dead = replace(problem, moments=SecondMoments(hessian, np.zeros((1, 6))))
    codebook = UniformCodebook(np.full(4, 0.3, np.float32), 7)
    values = ErrorFeedback().round(dead, codebook)
    np.testing.assert_array_equal(values[:, :, 2], Nearest().round(dead, codebook)[:, :, 2])


def test_sweeps_never_raise_the_error():
    problem, _ = problem_of(outputs=8, inputs=60)
    codebook = UniformCodebook(np.full(8, 0.3, np.float32), 7)
    errors = [problem.error(ErrorFeedback(sweeps=sweeps).round(problem, codebook)).sum() for sweeps in range(4)]
    assert errors == sorted(errors, reverse=True)
