"""Shares of the output error: they add up to 1, and equal the errors of models with one layer quantized."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from quant.data.dataset import Dataset
from quant.data.read import read_dataset
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.runtime import Session
from quant.search.context import Source, calibrate
from quant.search.decide import choose, quantize_weights
from quant.search.error_shares import MAX_SAMPLES, NO_DATA, NO_ERROR, NOT_ASKED, RANDOM, TOO_FEW, measure_error_shares
from quant.search.variants import Variant
from quant.spec import resolve
from quant.weights.storage_form import StorageForm
from tests.quant.onnx_text import model_of

RNG = np.random.default_rng(0)


def ignore(*_):
    """Ignore progress."""


def shares_of(model, data, spec):
    context = calibrate(Variant("", model, {}), data, resolve(spec), Source(100_000, "0"), ignore)
    choice = choose(context, quantize_weights(context, ignore), ignore)
    session = Session(ir.to_proto(choice.model).SerializeToString(), fold_weights=True)
    return measure_error_shares(choice, session, ignore), choice


@pytest.fixture
def digits(examples):
    model = normalise(load(examples / "digits.onnx"))
    return model, read_dataset(examples / "digits_calibration.npz", model)


def test_the_shares_add_up_to_one(digits):
    shares, choice = shares_of(*digits, {"preset": "int4"})
    assert shares.reason is None
    assert shares.samples == MAX_SAMPLES
    assert set(shares.layers) == {layer.layer.name for layer in choice.layers}
    assert sum(share.value for share in shares.layers.values()) == pytest.approx(1)
    assert all(0 < share.standard_error < 0.5 for share in shares.layers.values())


def test_the_errors_of_weights_and_activations_add_up_to_about_that_of_the_model(digits):
    shares, _ = shares_of(*digits, {"preset": "int4"})
    assert shares.all == pytest.approx(shares.weights + shares.activations, rel=0.5)
    assert shares.activations < shares.weights
    weights_only, _ = shares_of(*digits, {"preset": "int4-weights"})
    assert weights_only.activations is None


def test_a_layer_of_2_bits_among_layers_of_8_has_nearly_all_of_the_error(digits):
    model, data = digits
    spec = {
        "preset": "int8",
        "layers": [{"match": "/classifier/Gemm", "weights": {"bits": 2}}],
    }
    shares, _ = shares_of(model, data, spec)
    assert shares.layers["/classifier/Gemm"].value > 0.9


def test_equal_jobs_have_equal_shares(digits):
    model, data = digits
    first, second = (shares_of(model.clone(), data, {"preset": "int4"})[0] for _ in range(2))
    assert first == second


def test_without_data_or_on_request_nothing_is_measured(digits):
    model, data = digits
    assert shares_of(model.clone(), None, {"preset": "int4-weights"})[0].reason == NO_DATA
    assert shares_of(model.clone(), data, {"preset": "int4", "report": "weights"})[0].reason == NOT_ASKED


def network(nodes, weights):
    """Return a normalised model with an input x (N, 4) and an output y."""
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in weights.items()],
    )  # fmt: skip
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return normalise(load(proto.SerializeToString()))


def samples(count=32):
    return Dataset({"x": RNG.normal(size=(count, 4)).astype(np.float32)}, None, count, 8)


def chain(length):
    return [helper.make_node("MatMul", ["x" if i == 0 else f"h{i}", f"w{i}"], ["y" if i == length - 1 else f"h{i + 1}"],
                             name=f"layer{i}") for i in range(length)]  # fmt: skip


def test_layers_that_share_a_weight_are_changed_one_at_a_time():
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="first"),
        helper.make_node("Tanh", ["h"], ["t"]),
        helper.make_node("MatMul", ["t", "w"], ["y"], name="second"),
    ]
    shares, _ = shares_of(network(nodes, {"w": RNG.normal(size=(4, 4))}), samples(), {"preset": "int4-weights"})
    assert set(shares.layers) == {"first", "second"}
    assert sum(share.value for share in shares.layers.values()) == pytest.approx(1)


def test_weights_that_lose_nothing_have_no_shares():
    weight = np.diag([7.0, -7.0, 7.0, 7.0])
    shares, _ = shares_of(network(chain(1), {"w0": weight}), samples(), {"preset": "int4-weights"})
    assert shares.reason == NO_ERROR
    assert shares.weights == 0


def test_a_deep_network_with_few_samples_has_none():
    weights = {f"w{i}": RNG.normal(size=(4, 4)) / 2 for i in range(200)}
    shares, _ = shares_of(network(chain(200), weights), samples(16), {"preset": "int8-weights"})
    assert shares.reason == TOO_FEW


def test_a_model_with_random_numbers_has_none():
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="layer"),
        helper.make_node("RandomNormalLike", ["h"], ["r"]),
        helper.make_node("Add", ["h", "r"], ["y"]),
    ]
    shares, _ = shares_of(network(nodes, {"w": RNG.normal(size=(4, 4))}), samples(), {"preset": "int8-weights"})
    assert shares.reason == RANDOM


def test_dynamic_ranges_count_as_quantized_activations():
    text = "net (float[B, 16] x) => (float[B, 8] y) { h = MatMul (x, w) r = Relu (h) y = MatMul (r, v) }"
    model = model_of(text, w=RNG.normal(size=(16, 32)), v=RNG.normal(size=(32, 8)))
    data = Dataset({"x": RNG.normal(size=(64, 16)).astype(np.float32)}, None, 64, 8)
    errors = []
    for mode in ("static", "dynamic"):
        shares, choice = shares_of(model, data, {"preset": "int8", "activations": {"mode": mode}})
        assert all((layer.form is StorageForm.DYNAMIC) == (mode == "dynamic") for layer in choice.layers)
        errors.append(shares.activations)
    assert 0.1 * errors[0] < errors[1] < errors[0]
