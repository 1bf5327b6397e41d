"""The rounding problem of a layer: its errors, the refitted scale, and its rows."""

import numpy as np
import pytest

from quant.calibration.input_moments import SecondMoments
from quant.data.dataset import Dataset
from quant.graph.inventory import inventory
from quant.methods.grids.codebook import UniformCodebook
from quant.methods.rounding.nearest import Nearest
from quant.weights.granularity import PerBlock, PerChannel, PerTensor
from quant.weights.layer_problem import LayerProblem
from tests.quant.one_layer import KINDS, model_of, moments_of, output_error, problem_of

RNG = np.random.default_rng(0)


@pytest.fixture(params=KINDS)
def built(request):
    """A model of one layer, and 6 samples."""
    op, weight, sample, attributes = KINDS[request.param]
    return model_of(op, weight, sample, attributes), RNG.normal(size=(6, *sample)).astype(np.float32)


def test_refitting_the_scale_lowers_the_output_error():
    problem, _ = problem_of(outputs=12, inputs=64)
    codebook = UniformCodebook(np.full(12, 0.7, np.float32), 3)
    values = Nearest().round(problem, codebook)
    gain = problem.gain(values)
    assert (problem.error(values * gain[None, :, None]) <= problem.error(values) + 1e-12).all()
    for factor in (0.99, 1.01):
        assert (
            problem.error(values * gain[None, :, None]) <= problem.error(values * factor * gain[None, :, None])
        ).all()


@pytest.mark.parametrize("qmax", [1, 7, 127])
def test_errors_for_independent_inputs_are_the_same_from_compiled_loops(built, qmax):
    model, samples = built
    (layer,), _ = inventory(model)
    moments = moments_of(model, [layer], Dataset({"x": samples}, None, len(samples), 2))[layer.name]
    inputs = layer.shape[layer.reduced_axis or 0]
    granularities = [PerChannel(layer.axis), PerTensor()]
    if layer.op in ("Gemm", "MatMul"):
        granularities.append(PerBlock(layer.reduced_axis, inputs))
    for granularity in granularities:
        problem = LayerProblem.from_layer(layer, granularity, moments)
        count = int(problem.rows.max()) + 1
        books = [UniformCodebook(RNG.uniform(0.5, 3, count).astype(np.float32) / qmax, qmax) for _ in range(3)]
        ours, theirs = (problem.independent_errors(books, compiled=compiled) for compiled in (True, False))
        assert ours.shape == (3, count)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-7)


def test_errors_for_independent_inputs_are_exact_if_inputs_are_independent():
    problem, _ = problem_of(outputs=6, inputs=20)
    mean, variance = RNG.normal(size=(1, 20)), RNG.uniform(0.1, 2, size=(1, 20))
    square = mean[:, :, None] * mean[:, None, :] + variance[:, None, :] * np.eye(20)
    independent = LayerProblem.from_layer(problem.layer, problem.granularity, SecondMoments(square, mean))
    book = UniformCodebook(np.full(6, 0.4, np.float32), 7)
    exact = independent.error(independent.nearest(book))
    np.testing.assert_allclose(independent.independent_errors([book], compiled=False)[0], exact, rtol=1e-9)


@pytest.mark.parametrize("granularity", [PerTensor(), PerChannel(1), PerBlock(0, 4), PerBlock(0, 5)])
def test_the_errors_of_the_rows_add_up_to_those_of_their_outputs(granularity):
    problem, _ = problem_of(outputs=6, inputs=12)
    problem = LayerProblem.from_layer(problem.layer, granularity, problem.moments)
    book = UniformCodebook(np.full(int(problem.rows.max()) + 1, 0.4, np.float32), 7)
    values = Nearest().round(problem, book)
    errors, outputs = problem.error(values), output_error(values - problem.matrix, problem.hessian)
    blocks = -(-12 // granularity.size) if isinstance(granularity, PerBlock) else 1
    assert errors.sum() == pytest.approx(blocks * outputs.sum())  # a block has the whole error of its output
    np.testing.assert_array_equal(problem.restore(problem.matrix), granularity.rows(problem.layer.weight))


def test_a_repeated_problem_rounds_each_copy_with_its_own_rows():
    problem, _ = problem_of(outputs=4, inputs=9)
    books = [UniformCodebook(np.full(4, scale, np.float32), 7) for scale in (0.2, 0.5)]
    together = UniformCodebook(np.concatenate([book.scale for book in books]), 7)
    repeated = problem.repeat(2)
    to_grid = repeated.to_grid(together)
    for k in range(9):
        rounded = to_grid(repeated.matrix[:, :, k], k)
        alone = [problem.to_grid(book)(problem.matrix[:, :, k], k) for book in books]
        np.testing.assert_array_equal(rounded, np.concatenate(alone, axis=1))
