"""No observed error exceeds the bounds of the report."""

import json

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session
from tests.specs import UNTIMED

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("spec", [
    {"preset": "int8"},
    {"preset": "int4", "bias_correction": "calibrated"},
    {"preset": "int4-weights"},
    {"preset": "int4-weights", "weights": {"granularity": "block"}, "bias_correction": "calibrated"},
    {"preset": "int8", "equalization": "cross_layer", "activations": {"clipping": "percentile"}},
    {"preset": "codebook4", "budget": {"max_size_ratio": 1.2}},
])  # fmt: skip
def test_no_input_in_the_box_is_further_off_than_the_bounds(tmp_path, spec):
    files = {"model": tmp_path / "m.onnx", "calibration": tmp_path / "c.npy"}
    files["model"].write_bytes(network())
    samples = RANDOM.uniform(-1, 1, size=(64, 3, 8, 8)).astype(np.float32)
    np.save(files["calibration"], samples)
    quantize_model(Inputs(files["model"], "m", {**UNTIMED, **spec}, files["calibration"]), tmp_path, lambda *_: None)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["error_bound"]["reason"] is None
    low, high = (end(axis=(0, 2, 3), keepdims=True) for end in (samples.min, samples.max))
    inside = np.concatenate([samples, np.where(RANDOM.random(samples.shape) < 0.5, low, high)])
    sessions = Session(files["model"]), Session(tmp_path / "model.onnx")
    expected, actual = (session.run({"x": inside.astype(np.float32)})[0] for session in sessions)
    error = np.abs(actual.astype(np.float64) - expected).reshape(len(inside), -1)
    bound = report["error_bound"]["outputs"]["y"]
    assert error.max() <= bound["interval"]["error"] * (1 + 1e-4)
    assert np.linalg.norm(error, axis=1).max() <= bound["operator_norm"]["error"] * (1 + 1e-4)
    assert bound["interval"]["error"] < 1000 * error.max()
    assert all(layer["bound"]["interval"]["error"] > 0 for layer in report["layers"])


def test_a_bound_ends_at_an_operator_that_it_does_not_know_and_says_which(tmp_path):
    report = reported(tmp_path, network(unknown="Sin"), {"preset": "int8"})
    assert report["error_bound"] == {"outputs": {}, "reason": "odd (Sin): no bound is known for this operator"}
    assert [layer["bound"] is None for layer in report["layers"]] == [False, False, False, True]


def test_without_calibration_data_there_is_no_box(tmp_path):
    (tmp_path / "m.onnx").write_bytes(network())
    quantize_model(Inputs(tmp_path / "m.onnx", "m", {"preset": "int8-weights"}), tmp_path, lambda *_: None)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["error_bound"]["outputs"] == {}
    assert report["layers"][0]["bound"] is None


def test_a_wide_bound_is_vacuous_with_its_figure_and_a_narrow_one_is_not(tmp_path):
    fine, coarse = (reported(tmp_path, network(), {"preset": "int8", "weights": {"bits": bits}}) for bits in (8, 2))
    assert not fine["layers"][0]["bound"]["interval"]["vacuous"]
    assert coarse["error_bound"]["outputs"]["y"]["interval"]["vacuous"]
    assert coarse["error_bound"]["outputs"]["y"]["interval"]["error"] > 0


def reported(folder, model, spec):
    (folder / "m.onnx").write_bytes(model)
    np.save(folder / "c.npy", RANDOM.uniform(-1, 1, size=(32, 3, 8, 8)).astype(np.float32))
    quantize_model(Inputs(folder / "m.onnx", "m", {**UNTIMED, **spec}, folder / "c.npy"), folder, lambda *_: None)
    return json.loads((folder / "report.json").read_text())


def network(unknown=None):
    """Two branches that are added and joined, pools, a Pad, ReLU6, a grouped Conv, and a Gemm after a Flatten."""
    random = np.random.default_rng(3)
    arrays = {
        "w1": random.normal(size=(8, 3, 3, 3)) / 4, "b1": random.normal(size=8) / 4,
        "w2": random.normal(size=(8, 1, 3, 3)) / 3, "w3": random.normal(size=(8, 8, 1, 1)) / 3,
        "w4": random.normal(size=(5, 64)) / 8, "b4": random.normal(size=5), "zero": np.array(0.0), "six": np.array(2.0),
    }  # fmt: skip
    pads = numpy_helper.from_array(np.array([0, 0, 1, 1, 0, 0, 1, 1]), "pads")
    nodes = [
        helper.make_node("Pad", ["x", "pads"], ["p"], "pad"),
        helper.make_node("Conv", ["p", "w1", "b1"], ["c1"], "conv1"),
        helper.make_node("Clip", ["c1", "zero", "six"], ["r1"], "relu6"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], "conv2", group=8, pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("MaxPool", ["r1"], ["m1"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["m1", "w3"], ["c3"], "conv3"),
        helper.make_node("Add", ["c2", "c3"], ["a"], "add"),
        helper.make_node("Relu", ["a"], ["r2"], "relu"),
        helper.make_node("Concat", ["r2", "m1"], ["j"], "join", axis=1),
        helper.make_node("AveragePool", ["j"], ["v"], "average", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node(unknown or "Identity", ["v"], ["u"], "odd"),
        helper.make_node("Flatten", ["u"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "w4", "b4"], ["y"], "fc", transB=1),
    ]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [pads, *(numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items())],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


@pytest.mark.data
@pytest.mark.parametrize("name", ["resnet8_mlperftiny", "vww_mobilenetv1_025"])
def test_real_networks_are_bounded_to_their_outputs(tmp_path, data, name):
    images = np.load(data / "datasets" / f"{'vww_test' if 'vww' in name else 'cifar10_calibration'}.npz")["images"]
    scale = {} if "vww" in name else {"mean": np.zeros(3), "std": np.full(3, 1 / 255)}
    np.savez(tmp_path / "c.npz", images=images[:16], **scale)
    spec = {**UNTIMED, "preset": "int8", "weights": {"clipping": "minmax"}}
    inputs = Inputs(data / "models" / f"{name}.onnx", "m", spec, tmp_path / "c.npz")
    quantize_model(inputs, tmp_path, lambda *_: None)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["error_bound"]["reason"] is None
    assert all(layer["bound"] for layer in report["layers"])
    assert report["error_bound"]["outputs"]["logits"]["interval"]["vacuous"]
