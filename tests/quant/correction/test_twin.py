"""Measured corrections and differences, against separate runs of both models."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from quant.calibration.observers import session_with_outputs
from quant.correction.mean_shift import compare_layers
from quant.correction.twin import find_corrections
from quant.data.dataset import Dataset
from quant.errors import ModelError
from quant.graph.inventory import inventory
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.graph.weightless import weightless
from quant.runtime import Session
from quant.search.candidates import assemble
from quant.spec import resolve
from quant.weights.layers import choose_layers, quantize_layers

SAMPLES = np.abs(np.random.default_rng(5).normal(size=(32, 3, 6, 6))).astype(np.float32)


@pytest.fixture
def model():
    """Return convolutions with and without a bias, a depthwise one, MatMul with and without an Add, and a Gemm."""
    random = np.random.default_rng(0)
    shapes = {"w1": (4, 3, 3, 3), "b1": (4,), "w2": (4, 1, 3, 3), "w3": (6, 4, 1, 1), "w4": (36, 10), "b4": (10,),
              "w5": (10, 8), "w6": (60, 5)}  # fmt: skip
    weights = {name: (random.normal(size=shape) + 0.1).astype(np.float32) for name, shape in shapes.items()}
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], "conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], "conv2", group=4, pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["c2", "w3"], ["c3"], "conv3"),
        helper.make_node("Reshape", ["c3", "rows"], ["s"]),
        helper.make_node("MatMul", ["s", "w4"], ["m4"], "matmul4"),
        helper.make_node("Add", ["b4", "m4"], ["a4"]),
        helper.make_node("Relu", ["a4"], ["r4"]),
        helper.make_node("MatMul", ["r4", "w5"], ["m5"], "matmul5"),
        helper.make_node("Reshape", ["r4", "flat"], ["f"]),
        helper.make_node("Gemm", ["f", "w6"], ["y"], "gemm6"),
    ]
    constants = {**weights, "rows": np.array([-1, 6, 36]), "flat": np.array([-1, 60])}
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 6, 6])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("y", "m5")],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )  # fmt: skip
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return normalise(load(proto.SerializeToString()))


@pytest.fixture
def quantized(model):
    """Return a function that adds shifts to the model with one 4-bit scale a tensor, whose own shifts are large."""
    spec = resolve({"preset": "int4-weights", "weights": {"clipping": "minmax", "granularity": "tensor"}})
    work, _ = choose_layers(model, spec)
    layers = quantize_layers(work, {}, spec, lambda *_: None)
    return lambda shifts: assemble(model, layers, {}, shifts, 21)[0]


def measured(measure, model, other, batch):
    data = Dataset({"x": SAMPLES}, None, len(SAMPLES), batch)
    layers = inventory(model)[0]
    return measure(weightless(model), other, layers, data, lambda *_: None)


def differences(float_model, other, layers, data, progress):
    """Return the differences at each layer; no bias is corrected."""
    return compare_layers(float_model, None, other, layers, data, progress).differences


def outputs(model, layers):
    """Return each layer's output as (values, channels), from a run of the model by itself."""
    graph_outputs = {node.name: node.outputs[0].name for node in model.graph}
    names = [graph_outputs[layer.name] for layer in layers]
    values = session_with_outputs(weightless(model), names, fold_weights=True).run({"x": SAMPLES}, names)
    return [np.moveaxis(v, 1 if v.ndim == 4 else -1, -1).reshape(-1, v.shape[1 if v.ndim == 4 else -1]) for v in values]


def read(model, layer, values):
    """Return the values (values, channels) after the Relu that reads a layer."""
    bias = model.graph.initializers["b4"].const_value.numpy() if layer.name == "matmul4" else 0
    return np.maximum(values + bias, 0) if layer.name in ("conv1", "matmul4") else values


def best_bias(x, y, reads):
    """Return the mean of x - y over the values where either is active; elsewhere a Relu hides the difference."""
    active = np.maximum(x, y) > 0 if reads else np.ones(x.shape, bool)
    return (x - y).sum(0) / active.sum(0)


@pytest.mark.parametrize("batch", [8, 32])
def test_differences_are_those_of_two_separate_runs(model, quantized, batch):
    layers, _ = inventory(model)
    other = quantized({})
    compared = measured(differences, model, other, batch)
    assert list(compared) == ["conv1", "conv2", "conv3", "matmul4", "matmul5", "gemm6"]
    for layer, x, y in zip(layers, outputs(model, layers), outputs(other, layers), strict=True):
        difference = compared[layer.name]
        shift = (read(model, layer, y) - read(model, layer, x)).mean(0)
        np.testing.assert_allclose(difference.shift, shift, rtol=1e-3, atol=1e-4)
        assert difference.sqnr_db == pytest.approx(10 * np.log10((x**2).sum() / ((x - y) ** 2).sum()), abs=0.01)
        assert difference.cosine == pytest.approx((x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum()), abs=1e-4)


def test_one_run_finds_the_corrections_of_a_run_for_each_layer(model, quantized):
    layers, _ = inventory(model)
    expected = outputs(model, layers)
    shifts = {}
    for number, layer in enumerate(layers):
        sides = [read(model, layer, side[number]) for side in (expected, outputs(quantized(shifts), layers))]
        shifts[layer.name] = best_bias(*sides, layer.name in ("conv1", "matmul4"))
    corrections = measured(find_corrections, model, quantized({}), len(SAMPLES))
    for name, correction in corrections.items():
        np.testing.assert_allclose(correction.correction, shifts[name], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("batch", [4, 32])
def test_the_corrected_model_has_almost_no_shift_left(model, quantized, batch):
    before = measured(find_corrections, model, quantized({}), batch)
    corrected = quantized({name: correction.correction for name, correction in before.items()})
    after = measured(differences, model, corrected, 32)
    final = {name: (np.abs(measured(differences, model, quantized({}), 32)[name].shift).mean(),
                    np.abs(after[name].shift).mean()) for name in ("conv1", "conv2", "conv3", "gemm6")}  # fmt: skip
    for name, (uncorrected, left) in final.items():
        assert left < 0.3 * uncorrected, name
    floats, uncorrected, repaired = (
        Session(ir.to_proto(m).SerializeToString(), fold_weights=True).run({"x": SAMPLES})[0]
        for m in (model, quantized({}), corrected)
    )
    assert np.abs((repaired - floats).mean(0)).max() < 0.2 * np.abs((uncorrected - floats).mean(0)).max()


def block(shrunk):
    """Return a residual block that is seldom active, and a reader; `shrunk` is the factor of the block's weights."""
    random = np.random.default_rng(2)
    weights = {"w": (random.normal(size=(3, 3, 3, 3)) - 0.3) * shrunk, "b": np.zeros(3), "v": np.ones((1, 3, 1, 1))}
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["x", "c"], ["a"], "add"),
        helper.make_node("Relu", ["a"], ["r"], "relu"),
        helper.make_node("Conv", ["r", "v"], ["y"], "reader"),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", c, 6, 6]) for name, c in (("x", 3), ("y", 1))]
    arrays = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], arrays)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return normalise(load(proto.SerializeToString()))


def test_a_difference_that_a_relu_behind_a_shortcut_hides_is_not_corrected():
    reference, other = block(1.0), block(0.9)
    shortcut, difference = (
        session_with_outputs(weightless(m), ["c", "a"]).run({"x": SAMPLES}, ["c", "a"]) for m in (reference, other)
    )
    sides = [np.moveaxis(values[1], 1, -1).reshape(-1, 3) for values in (shortcut, difference)]
    correction = measured(find_corrections, reference, other, len(SAMPLES))["conv"].correction
    np.testing.assert_allclose(correction, best_bias(*(np.maximum(side, 0) for side in sides), reads=True), rtol=1e-3)
    errors = []
    for bias in (correction, 0, (sides[0] - sides[1]).mean(0)):  # the last is the shift of the convolution itself
        errors.append(((np.maximum(sides[0], 0) - np.maximum(sides[1] + bias, 0)) ** 2).sum())
    assert errors[0] < errors[1] < errors[2]


def test_an_output_that_is_not_finite_is_refused(model, quantized):
    data = Dataset({"x": np.minimum(SAMPLES, 3) * np.float32(1e38)}, None, len(SAMPLES), 8)
    with pytest.raises(ModelError, match="becomes NaN or infinite"):
        find_corrections(weightless(model), quantized({}), inventory(model)[0], data, lambda *_: None)
