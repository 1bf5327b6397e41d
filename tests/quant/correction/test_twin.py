"""The twin graph, and the bias corrections that it measures."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from quant.calibration.observers import session_with_outputs
from quant.correction.twin import compare_layers, find_corrections
from quant.data.dataset import Dataset
from quant.errors import DataRequired
from quant.graph.biases import add_to_biases
from quant.graph.inventory import inventory
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.graph.weightless import weightless
from quant.runtime import Session
from quant.search.candidates import assemble
from quant.spec import require_data, resolve
from quant.weights.layers import choose_layers, quantize_layers

SAMPLES = np.abs(np.random.default_rng(5).normal(size=(32, 3, 6, 6))).astype(np.float32)


@pytest.fixture
def model():
    """Convolutions with and without a bias, a depthwise one, MatMul with and without an Add behind it, a Gemm."""
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
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return normalise(load(made.SerializeToString()))


@pytest.fixture
def quantized(model):
    """The model with its layers at 4 bits, tensor by tensor: its shifts are large."""
    spec = resolve({"preset": "int4-weights", "weights": {"clipping": "minmax", "granularity": "tensor"}})
    work, _ = choose_layers(model, spec)
    layers = quantize_layers(work, {}, spec, lambda *_: None)
    return lambda shifts: assemble(model, layers, {}, shifts, 21)[0]


def seen(measure, model, other, batch):
    data = Dataset({"x": SAMPLES}, None, len(SAMPLES), batch)
    layers = inventory(model)[0]
    return measure(weightless(model), other, layers, data, lambda *_: None)


def outputs(model, layers):
    """Each layer's output as (values, channels), from a run of the model by itself."""
    graph_outputs = {node.name: node.outputs[0].name for node in model.graph}
    names = [graph_outputs[layer.name] for layer in layers]
    values = session_with_outputs(weightless(model), names, fold_weights=True).run({"x": SAMPLES}, names)
    return [np.moveaxis(v, 1 if v.ndim == 4 else -1, -1).reshape(-1, v.shape[1 if v.ndim == 4 else -1]) for v in values]


def read(model, layer, values):
    """What comes behind the Relu that reads a layer (values, channels)."""
    bias = model.graph.initializers["b4"].const_value.numpy() if layer.name == "matmul4" else 0
    return np.maximum(values + bias, 0) if layer.name in ("conv1", "matmul4") else values


def best_bias(x, y, reads):
    """The mean of x - y over the values where either is active, to which it is no difference where both are not."""
    active = np.maximum(x, y) > 0 if reads else np.ones(x.shape, bool)
    return (x - y).sum(0) / active.sum(0)


@pytest.mark.parametrize("batch", [8, 32])
def test_without_feedback_it_measures_what_two_separate_runs_show(model, quantized, batch):
    layers, _ = inventory(model)
    other = quantized({})
    found = seen(compare_layers, model, other, batch)
    assert list(found) == ["conv1", "conv2", "conv3", "matmul4", "matmul5", "gemm6"]
    for layer, x, y in zip(layers, outputs(model, layers), outputs(other, layers), strict=True):
        one = found[layer.name]
        shift = (read(model, layer, y) - read(model, layer, x)).mean(0)
        np.testing.assert_allclose(one.shift, shift, rtol=1e-3, atol=1e-4)
        assert one.sqnr_db == pytest.approx(10 * np.log10((x**2).sum() / ((x - y) ** 2).sum()), abs=0.01)
        assert one.cosine == pytest.approx((x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum()), abs=1e-4)


def test_with_feedback_it_corrects_layer_after_layer_as_a_run_for_each_layer_would(model, quantized):
    layers, _ = inventory(model)
    expected = outputs(model, layers)
    shifts = {}
    for number, layer in enumerate(layers):  # the slow way
        sides = [read(model, layer, one[number]) for one in (expected, outputs(quantized(shifts), layers))]
        shifts[layer.name] = best_bias(*sides, layer.name in ("conv1", "matmul4"))
    found = seen(find_corrections, model, quantized({}), len(SAMPLES))
    for name, one in found.items():
        np.testing.assert_allclose(one.correction, shifts[name], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("batch", [4, 32])
def test_the_corrected_model_has_almost_no_shift_left(model, quantized, batch):
    before = seen(find_corrections, model, quantized({}), batch)
    corrected = quantized({name: one.correction for name, one in before.items()})
    after = seen(compare_layers, model, corrected, 32)
    final = {name: (np.abs(seen(compare_layers, model, quantized({}), 32)[name].shift).mean(),
                    np.abs(after[name].shift).mean()) for name in ("conv1", "conv2", "conv3", "gemm6")}  # fmt: skip
    for name, (uncorrected, left) in final.items():
        assert left < 0.3 * uncorrected, name
    floats, uncorrected, repaired = (
        Session(ir.to_proto(m).SerializeToString(), fold_weights=True).run({"x": SAMPLES})[0]
        for m in (model, quantized({}), corrected)
    )
    assert np.abs((repaired - floats).mean(0)).max() < 0.2 * np.abs((uncorrected - floats).mean(0)).max()


def block(shrunk):
    """A residual block that is seldom active, and a reader; `shrunk` is the factor of the block's weights."""
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
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return normalise(load(made.SerializeToString()))


def test_what_a_relu_behind_a_shortcut_hides_is_not_corrected():
    reference, other = block(1.0), block(0.9)
    shortcut, difference = (
        session_with_outputs(weightless(m), ["c", "a"]).run({"x": SAMPLES}, ["c", "a"]) for m in (reference, other)
    )
    sides = [np.moveaxis(one[1], 1, -1).reshape(-1, 3) for one in (shortcut, difference)]
    found = seen(find_corrections, reference, other, len(SAMPLES))["conv"].correction
    np.testing.assert_allclose(found, best_bias(*(np.maximum(one, 0) for one in sides), reads=True), rtol=1e-3)
    errors = []
    for bias in (found, 0, (sides[0] - sides[1]).mean(0)):  # the last is what the convolution's own means are off by
        errors.append(((np.maximum(sides[0], 0) - np.maximum(sides[1] + bias, 0)) ** 2).sum())
    assert errors[0] < errors[1] < errors[2]


def test_a_shift_reaches_the_output_whatever_form_the_bias_has(model):
    random = np.random.default_rng(3)
    for name in ("conv1", "conv2", "matmul4", "matmul5", "gemm6"):
        copy = model.clone()
        layer = next(one for one in inventory(copy)[0] if one.name == name)
        channels = layer.weight.shape[layer.axis]
        shift = random.normal(size=channels)
        behind = {"conv1": "c1", "conv2": "c2", "matmul4": "a4", "matmul5": "m5", "gemm6": "y"}[name]
        add_to_biases([layer], {name: shift})
        old, new = (
            session_with_outputs(weightless(m), [behind]).run({"x": SAMPLES}, [behind])[0] for m in (model, copy)
        )
        shaped = shift.reshape(1, -1, 1, 1) if old.ndim == 4 else shift
        np.testing.assert_allclose(new, old + shaped, rtol=1e-4, atol=1e-3)


def test_every_fourth_batch_is_held_out():
    data = Dataset({"x": SAMPLES}, None, 30, 8)
    fitting, held = data.split(4)
    assert (fitting.used, held.used) == (24, 6)
    np.testing.assert_array_equal(np.concatenate([b["x"] for b in held.batches()]), SAMPLES[24:30])
    few = Dataset({"x": SAMPLES}, None, 9, 4)
    assert few.split(4) == (few, few)


def test_calibrated_bias_correction_needs_data():
    spec = resolve({"preset": "int4-weights", "bias_correction": "calibrated"})
    with pytest.raises(DataRequired) as caught:
        require_data(spec, calibration=False, evaluation=False)
    assert caught.value.errors[0].pointer == "/bias_correction"
