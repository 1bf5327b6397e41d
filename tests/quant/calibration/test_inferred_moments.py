"""Inferred moments of layer inputs, against random normal inputs, and what rounding gains by them."""

import numpy as np

from quant.calibration.inferred_moments import infer_input_moments
from quant.graph.inventory import inventory
from quant.spec import require_data, resolve
from quant.weights.layers import choose_layers, quantize_layers
from quant.weights.quantize import decoded
from tests.quant.calibration.models import network

RNG = np.random.default_rng(0)


def test_the_moments_agree_with_a_normal_input():
    model, known = network()
    moments = infer_input_moments(model, inventory(model)[0], known)["depthwise"]
    channels = known["c2"]
    draws = RNG.normal(size=(200_000, channels.mean.size)) * np.sqrt(channels.variance) + channels.mean
    relu = np.maximum(draws, 0)
    np.testing.assert_allclose(moments.mean[:, 0], relu.mean(0), rtol=0.03, atol=1e-3)
    np.testing.assert_allclose(moments.square[:, 0, 0], (relu**2).mean(0), rtol=0.03, atol=1e-3)


def test_the_mean_counts_the_zeros_beyond_the_borders():
    """Each of the 9 kernel positions of a 3 by 3 convolution lies inside a map of 5 by 5 for its share of outputs."""
    model, known = network()
    mean = infer_input_moments(model, inventory(model)[0], known)["conv1"].mean.reshape(3, 3, 3)
    inside = np.array([4 / 5, 1, 4 / 5])
    np.testing.assert_allclose(mean, known["x"].mean[:, None, None] * np.outer(inside, inside), rtol=1e-5)


def test_the_active_excess_is_the_mean_of_the_positions_that_a_relu_lets_through():
    model, known = network()
    excess = infer_input_moments(model, inventory(model)[0], known)["conv2"].active_excess
    channels = known["c2"]
    draws = RNG.normal(size=(1_000_000, channels.mean.size)) * np.sqrt(channels.variance) + channels.mean
    active = [draws[draws[:, c] > 0, c].mean() - channels.mean[c] for c in range(channels.mean.size)]
    np.testing.assert_allclose(excess, active, rtol=0.02, atol=0.01)


def test_without_known_tensors_nothing_is_inferred():
    model, _ = network()
    assert infer_input_moments(model, inventory(model)[0], {}) == {}


def test_feedback_by_inferred_inputs_needs_no_data_and_costs_less_than_nearest():
    model, known = network()
    layers, _ = inventory(model)
    moments = infer_input_moments(model, layers, known)
    errors = []
    for rounding in ("nearest", "expected_feedback"):
        spec = resolve({"preset": "int4-weights", "bias_correction": "none", "weights": {"rounding": rounding}})
        require_data(spec, calibration=False, evaluation=False)
        quantized = quantize_layers(choose_layers(model, spec)[0], moments, spec, lambda *_: None)
        changes = {layer.layer.name: decoded(layer.quantized) - layer.layer.weight for layer in quantized}
        change = changes["conv2"].reshape(1, 4, -1).astype(np.float64)
        errors.append(moments["conv2"].energy(change).sum())
    assert errors[1] < 0.7 * errors[0]


def test_layers_with_inferred_inputs_keep_their_largest_weights_and_say_so():
    model, known = network()
    moments = infer_input_moments(model, inventory(model)[0], known)
    for bits, clipping in ((4, "minmax"), (2, "auto")):
        weights = {"bits": bits, "rounding": "nearest"}
        spec = resolve({"preset": "int4-weights", "weights": weights, "export": {"opset": 25}})
        quantized = quantize_layers(choose_layers(model, spec)[0], moments, spec, lambda *_: None)
        assert {layer.spec.clipping.name for layer in quantized} == {clipping}
        assert all(("bounds of MinMax" in " ".join(layer.notes)) == (bits == 4) for layer in quantized)
