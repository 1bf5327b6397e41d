"""Bias correction and bounds without data: what BatchNormalization promises of every layer's input."""

import json
from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from quant.calibration.batchnorm_moments import (
    Normal,
    batchnorm_moments,
    clipped_normal,
    expected_moments,
    expected_tensors,
)
from quant.correction.data_free import expected_shifts
from quant.graph.inventory import inventory
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.pipeline import Inputs, quantize_model
from quant.spec import require_data, resolve
from quant.weights.layers import choose_layers, quantize_layers
from quant.weights.quantize import decoded

# mean and variance of min(max(N(mu, s^2), a), b), from the reference table (Monte Carlo of 4 million agrees)
CLIPPED = [
    (0.3, 1.2, 0.0, np.inf, 0.64361364, 0.64098269),
    (-1.0, 0.5, 0.0, np.inf, 0.00424535, 0.00142416),
    (2.0, 3.0, 0.0, 6.0, 2.32617360, 4.38481771),
    (0.1, 0.8, -0.2, 0.7, 0.18640147, 0.14068131),
]


@pytest.mark.parametrize(("mean", "deviation", "lower", "upper", "expected", "variance"), CLIPPED)
def test_moments_of_a_clipped_normal(mean, deviation, lower, upper, expected, variance):
    found = clipped_normal(Normal(np.array([mean]), np.array([deviation**2])), lower, upper)
    assert found.mean[0] == pytest.approx(expected, abs=2e-8)
    assert found.variance[0] == pytest.approx(variance, abs=2e-8)


def test_extreme_normals_stay_finite():
    found = clipped_normal(Normal(np.array([-1e3, 1e3, 0.0, 5.0]), np.array([1.0, 1.0, 0.0, 0.0])), 0, 6)
    np.testing.assert_allclose(found.mean, [0, 6, 0, 5], atol=1e-9)
    np.testing.assert_allclose(found.variance, 0, atol=1e-9)


def test_the_shift_is_exact_for_the_mean_image_borders_included():
    """A convolution is linear: on the mean image itself the promised shift is the whole of the mean error."""
    model, promises = network()
    layers, _ = inventory(model)
    moments = expected_moments(model, layers, promises)
    assert set(moments) == {"conv1", "conv2", "depthwise"}
    spec = resolve({"preset": "int4-weights", "weights": {"clipping": "minmax"}})
    done = {one.layer.name: one for one in quantize_layers(choose_layers(model, spec)[0], {}, spec, lambda *_: None)}
    unhidden = {name: replace(one, above=np.zeros(1)) for name, one in moments.items()}
    shifts = expected_shifts(list(done.values()), unhidden)
    mean = clipped_normal(promises["c1"], 0, 6).mean.astype(np.float32)
    image = np.broadcast_to(mean.reshape(1, -1, 1, 1), (1, 4, 5, 5))
    weight, quantized = done["conv2"].layer.weight, decoded(done["conv2"].quantized)
    padded = np.pad(image, [(0, 0), (0, 0), (1, 1), (1, 1)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))[0]
    error = np.einsum("chwkl,ockl->ohw", windows, quantized - weight).mean(axis=(1, 2))
    np.testing.assert_allclose(shifts["conv2"], -error, rtol=1e-4, atol=1e-6)
    plain = -np.einsum("c,ockl->o", mean, quantized - weight)
    assert np.abs(plain + error).max() > 0.05 * np.abs(error).max()  # what the borders are worth on a map of 5 by 5


def test_the_moments_agree_with_a_normal_input():
    model, promises = network()
    moments = expected_moments(model, inventory(model)[0], promises)["depthwise"]
    promise = promises["c2"]
    draws = (
        np.random.default_rng(0).normal(size=(200_000, promise.mean.size)) * np.sqrt(promise.variance) + promise.mean
    )
    relu = np.maximum(draws, 0)
    np.testing.assert_allclose(moments.mean[:, 0], relu.mean(0), rtol=0.03, atol=1e-3)
    np.testing.assert_allclose(moments.square[:, 0, 0], (relu**2).mean(0), rtol=0.03, atol=1e-3)


def test_what_an_activation_hides_is_not_corrected():
    """The error of rounded weights and what they make, as normal as promised: its mean where a Relu lets it through."""
    model, promises = network()
    layer = next(one for one in inventory(model)[0] if one.name == "conv2")
    known = expected_moments(model, [layer], promises)["conv2"]
    spec = resolve({"preset": "ternary", "activations": None, "weights": {"clipping": "minmax"}})
    (done,) = quantize_layers([(layer, spec.weights)], {}, spec, lambda *_: None)
    matrix, rounded = (one.astype(np.float64).reshape(4, -1) for one in (layer.weight, decoded(done.quantized)))
    rows = np.random.default_rng(0).multivariate_normal(np.zeros(36), known.covariance[0], size=400_000)
    deviation = np.sqrt(promises["c2"].variance) / (rows @ matrix.T).std(axis=0)
    through = rows @ matrix.T * deviation + promises["c2"].mean > 0
    error = rows @ (rounded - matrix).T * deviation + known.mean[0] @ (rounded - matrix).T
    found = expected_shifts([done], {"conv2": known})["conv2"]
    np.testing.assert_allclose(found, -(error * through).sum(0) / through.sum(0), rtol=0.01, atol=0.01)


def test_feedback_by_promised_inputs_needs_no_data_and_costs_less_than_nearest():
    model, promises = network()
    layers, _ = inventory(model)
    moments = expected_moments(model, layers, promises)
    errors = []
    for rounding in ("nearest", "expected_feedback"):
        spec = resolve({"preset": "int4-weights", "bias_correction": "none", "weights": {"rounding": rounding}})
        require_data(spec, calibration=False, evaluation=False)
        done = quantize_layers(choose_layers(model, spec)[0], moments, spec, lambda *_: None)
        changes = {one.layer.name: decoded(one.quantized) - one.layer.weight for one in done}
        change = changes["conv2"].reshape(1, 4, -1).astype(np.float64)
        errors.append(moments["conv2"].energy(change).sum())
    assert errors[1] < 0.7 * errors[0]


@pytest.mark.data
@pytest.mark.parametrize("name", ["resnet20_cifar10", "vww_mobilenetv1_025"])
def test_correction_without_data_is_ahead_of_minmax_on_real_networks(tmp_path, data, name):
    if "cifar" in name:
        scale = {"mean": np.array([0.485, 0.456, 0.406]), "std": np.array([0.229, 0.224, 0.225])}
        images = np.load(data / "datasets" / "cifar10_test.npz")["images"][:300]
    else:
        scale, images = {}, np.load(data / "datasets" / "vww_test.npz")["images"][200:400]
    np.savez(tmp_path / "evaluation.npz", images=images, **scale)
    found = {}
    for label, spec in {"minmax": {"weights": {"clipping": "minmax"}, "bias_correction": "none"}, "auto": {}}.items():
        inputs = Inputs(
            data / "models" / f"{name}.onnx", "m", {"preset": "int4-weights", **spec}, None, tmp_path / "evaluation.npz"
        )
        found[label] = quantize_model(inputs, tmp_path, lambda *_: None).summary.output_sqnr_db
    assert found["auto"] > found["minmax"] + 1
    assert json.loads((tmp_path / "report.json").read_text())["compared"] is None


def test_the_mean_of_the_input_follows_from_what_the_first_norm_keeps():
    model, _ = padded_network(np.random.default_rng(0))
    found = batchnorm_moments(model)["x"]
    np.testing.assert_allclose(found.mean, [0.5, -1.0, 2.0], atol=1e-5)
    assert found.variance[0] == pytest.approx(4.0, rel=1e-4)


def test_moments_pass_a_plain_conv_a_slice_and_channels_of_zeros():
    model, weight = padded_network(np.random.default_rng(0))
    promises = {"x": batchnorm_moments(model)["x"]}
    found = expected_tensors(normalise(model), promises)
    mean = weight.sum(axis=(2, 3)) @ [0.5, -1.0, 2.0]
    np.testing.assert_allclose(found["c"].mean, mean, rtol=1e-4)
    np.testing.assert_allclose(found["c"].variance, 4 * (weight**2).sum(axis=(1, 2, 3)), rtol=1e-3)
    np.testing.assert_allclose(found["p"].mean, [0, *mean, 0, 0], rtol=1e-4)
    np.testing.assert_allclose(found["p"].variance[[0, -1]], 0)


def test_without_data_promised_layers_keep_their_largest_weights_and_say_so():
    model, promises = network()
    moments = expected_moments(model, inventory(model)[0], promises)
    for bits, clipping in ((4, "minmax"), (2, "auto")):
        spec = resolve({"preset": "int4-weights", "weights": {"bits": bits}, "export": {"opset": 25}})
        made = quantize_layers(choose_layers(model, spec)[0], moments, spec, lambda *_: None)
        assert {one.spec.clipping.name for one in made} == {clipping}
        assert all(("bounds of MinMax" in " ".join(one.notes)) == (bits == 4) for one in made)


def test_a_model_without_batchnorm_promises_nothing():
    model, promises = network()
    assert set(promises) == {"x", "c1", "n1", "c2", "n2"}
    assert batchnorm_moments(model) == {}
    assert expected_moments(model, inventory(model)[0], {}) == {}


def padded_network(random):
    """Conv, BatchNorm (which keeps what its input is like), Slice, Pad; inputs of means 0.5, -1, 2 and deviation 2."""
    weight = random.normal(size=(6, 3, 3, 3)).astype(np.float32)
    arrays = {"w": weight, "g": np.ones(6), "b": np.zeros(6), "m": weight.sum(axis=(2, 3)) @ [0.5, -1.0, 2.0],
              "v": 4 * (weight**2).sum(axis=(1, 2, 3))}  # fmt: skip
    integers = {"from": [0, 0], "to": [9, 9], "axes": [2, 3], "steps": [2, 2], "pads": [0, 1, 0, 0, 0, 2, 0, 0]}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv"),
        helper.make_node("BatchNormalization", ["c", "g", "b", "m", "v"], ["n"]),
        helper.make_node("Slice", ["c", "from", "to", "axes", "steps"], ["s"]),
        helper.make_node("Pad", ["s", "pads"], ["p"]),
    ]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 9, 9])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("n", "p")],
        [*(numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()),
         *(numpy_helper.from_array(np.array(array), name) for name, array in integers.items())],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return load(made.SerializeToString()), weight


def network():
    """Conv, BatchNorm, ReLU6, Conv, BatchNorm, Relu, depthwise Conv on images of 5 by 5; what its norms promise."""
    random = np.random.default_rng(4)
    arrays = {"w1": random.normal(size=(4, 3, 3, 3)), "w2": random.normal(size=(4, 4, 3, 3)) + 0.2,
              "w3": random.normal(size=(4, 1, 1, 1)), "six": np.array(6.0), "zero": np.array(0.0)}  # fmt: skip
    for number in (1, 2):
        arrays[f"g{number}"], arrays[f"v{number}"] = random.uniform(0.5, 2, 4), random.uniform(0.5, 2, 4)
        arrays[f"b{number}"], arrays[f"m{number}"] = random.normal(size=4), random.normal(size=4)
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["c1"], "conv1", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c1", "g1", "b1", "m1", "v1"], ["n1"]),
        helper.make_node("Clip", ["n1", "zero", "six"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], "conv2", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c2", "g2", "b2", "m2", "v2"], ["n2"]),
        helper.make_node("Relu", ["n2"], ["r2"]),
        helper.make_node("Conv", ["r2", "w3"], ["y"], "depthwise", group=4),
    ]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 5, 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model = load(made.SerializeToString())
    promises = batchnorm_moments(model)
    return normalise(model), promises
