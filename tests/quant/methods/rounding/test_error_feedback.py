"""Second moments, error feedback and the bounds of least output error."""

import itertools
from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from quant.calibration.input_moments import InputSample, MomentObserver, SecondMoments
from quant.calibration.observers import observe
from quant.data.dataset import Dataset
from quant.errors import DataRequired
from quant.graph.im2col import from_weight_matrix, input_rows, weight_matrix
from quant.graph.inventory import inventory
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.graph.weightless import weightless
from quant.methods.clipping.mse import Mse
from quant.methods.grids.codebook import Codebook, UniformCodebook
from quant.methods.grids.uniform import Uniform
from quant.methods.rounding.error_feedback import ErrorFeedback
from quant.methods.rounding.nearest import Nearest
from quant.runtime import Session
from quant.spec import require_data, resolve
from quant.weights.granularity import PerBlock, PerChannel, PerTensor
from quant.weights.layer_problem import LayerProblem
from quant.weights.output_error import minimise_output_error
from quant.weights.quantize import fit_weight


def output_error(difference, hessian):
    """dW H dW^T of each output: (G, O) from differences (G, O, K) and moments (G, K, K)."""
    return np.einsum("gok,gkl,gol->go", difference, hessian, difference)


RNG = np.random.default_rng(0)
KINDS = {
    "conv": ("Conv", (6, 3, 3, 3), (3, 7, 8), {"pads": [1, 0, 2, 1], "strides": [2, 1]}),
    "dilated": ("Conv", (4, 3, 3, 2), (3, 9, 9), {"dilations": [2, 3]}),
    "grouped": ("Conv", (6, 2, 3, 3), (4, 6, 6), {"group": 2, "pads": [1, 1, 1, 1]}),
    "depthwise": ("Conv", (5, 1, 3, 3), (5, 6, 6), {"group": 5, "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "one_axis": ("Conv", (4, 3, 5), (3, 20), {}),
    "transposed": ("ConvTranspose", (4, 3, 3, 3), (4, 5, 6), {"group": 2, "strides": [2, 3], "pads": [1, 0, 1, 2]}),
    "gemm": ("Gemm", (7, 5), (7,), {}),
    "gemm_transposed": ("Gemm", (5, 7), (7,), {"transB": 1}),
    "matmul": ("MatMul", (7, 5), (4, 7), {}),
}


@pytest.fixture(params=KINDS)
def built(request):
    """A model of one layer without a bias, and 6 samples."""
    op, weight, sample, attributes = KINDS[request.param]
    return model_of(op, weight, sample, attributes), RNG.normal(size=(6, *sample)).astype(np.float32)


def test_the_weight_matrix_times_the_input_rows_is_the_layer(built):
    model, samples = built
    (layer,), _ = inventory(model)
    output = Session(onnx_bytes(model)).run({"x": samples})[0]
    matrix = weight_matrix(layer, layer.weight)
    products = np.einsum("gnk,gok->ngo", input_rows(layer, samples, 10**9, 0), matrix)
    axis = 1 if "Conv" in layer.op else -1
    expected = np.moveaxis(output, axis, -1).reshape(products.shape)
    np.testing.assert_allclose(products, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(from_weight_matrix(layer, matrix.astype(np.float64)), layer.weight)


def test_the_moments_predict_the_output_error_of_any_change_of_the_weights(built):
    model, samples = built
    (layer,), _ = inventory(model)
    data = Dataset({"x": samples}, None, len(samples), 2)
    moments = moments_of(model, [layer], data)[layer.name]
    change = RNG.normal(size=weight_matrix(layer, layer.weight).shape)
    predicted = output_error(change, moments.square)
    rows = input_rows(layer, samples, 10**9, 0)
    np.testing.assert_allclose(predicted, (np.einsum("gnk,gok->gno", rows, change) ** 2).mean(1), rtol=1e-5)
    np.testing.assert_allclose(moments.mean, rows.mean(axis=1), atol=1e-6)
    shifted = np.einsum("gok,gk->go", change, moments.mean)
    np.testing.assert_allclose(output_error(change, moments.covariance), predicted - shifted**2, rtol=1e-5)


def test_positions_are_drawn_evenly_and_always_the_same():
    layer = inventory(model_of(*KINDS["conv"]))[0][0]
    samples = RNG.normal(size=(20, 3, 7, 8)).astype(np.float32)
    drawn = [input_rows(layer, samples, 50, seed=3) for _ in range(2)]
    assert drawn[0].shape == (1, 50, 27)
    np.testing.assert_array_equal(*drawn)


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


@pytest.mark.parametrize("bits", [3, 4, 8])
def test_the_chosen_bound_costs_no_more_than_minmax_or_the_best_for_the_weights(bits):
    problem, fitted = problem_of(outputs=12, inputs=64)
    for rounding in (Nearest(), ErrorFeedback()):
        bounds = [
            fitted.statistics.max_abs,
            Mse().bound(fitted.statistics, fitted.fit, bits),
            minimise_output_error(problem, fitted, Uniform(), rounding, bits)[0],
        ]
        minmax, mse, best = (
            problem.error(rounding.round(problem, Uniform().build(None, None, bound, bits))) for bound in bounds
        )
        assert (best <= minmax).all()
        assert (best <= mse).all()
        assert (bounds[2] <= fitted.statistics.max_abs * (1 + 1e-9)).all()


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


def test_error_feedback_without_calibration_data_is_refused():
    spec = resolve({"preset": "int4-weights", "layers": [{"match": "*", "weights": {"rounding": "error_feedback"}}]})
    with pytest.raises(DataRequired) as caught:
        require_data(spec, calibration=False, evaluation=False)
    assert caught.value.errors[0].pointer == "/layers/0/weights/rounding"
    require_data(spec, calibration=True, evaluation=False)


def moments_of(model, layers, data):
    observer = MomentObserver(model, [(layer, True) for layer in layers], data)
    observe(weightless(model), data, [observer], lambda *_: None)
    return observer.moments()


def problem_of(outputs, inputs):
    """A MatMul of correlated, non-negative inputs."""
    model = model_of("MatMul", (inputs, outputs), (inputs,), {})
    (layer,), _ = inventory(model)
    random = np.random.default_rng(1)
    mixing = random.normal(size=(inputs, inputs)) + 0.5
    rows = np.maximum(random.normal(size=(4000, inputs)) @ mixing, 0) / np.sqrt(inputs)
    fitted = fit_weight(layer.weight, PerChannel(layer.axis), resolve({"preset": "int4-weights"}).weights)
    return LayerProblem.from_layer(
        layer, PerChannel(1), SecondMoments((rows.T @ rows / len(rows))[None], rows.mean(axis=0)[None])
    ), fitted


def model_of(op, weight, sample, attributes):
    graph = helper.make_graph(
        [helper.make_node(op, ["x", "w"], ["y"], **attributes)], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *sample])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.random.default_rng(2).normal(size=weight).astype(np.float32), "w")],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return normalise(load(made.SerializeToString()))


def onnx_bytes(model):

    return ir.to_proto(model).SerializeToString()


def test_a_sample_of_rows_and_its_moments_tell_the_same_of_a_layers_outputs():
    rows = RNG.normal(size=(3, 200, 7)).astype(np.float32) + np.float32(0.3)
    sums = SecondMoments(rows.swapaxes(1, 2).astype(float) @ rows / 200, rows.mean(axis=1, dtype=float))
    a, b = RNG.normal(size=(2, 3, 5, 7))
    outputs = [np.einsum("gnk,gok->gno", rows, one) for one in (a, b)]
    for known in (InputSample(rows), sums):
        own, mixed = known.energies(a, b)
        np.testing.assert_allclose(own, (outputs[0] ** 2).mean(axis=1), rtol=1e-4)
        np.testing.assert_allclose(mixed, (outputs[0] * outputs[1]).mean(axis=1), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(known.energy(a), own, rtol=1e-6)


@pytest.mark.parametrize("qmax", [1, 7, 127])
def test_rough_errors_of_compiled_loops_are_those_of_numpy(built, qmax):
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
