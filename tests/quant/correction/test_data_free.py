"""Bias correction without data."""

import json
from dataclasses import replace

import numpy as np
import pytest

from quant.calibration.channel_moments import clip_moments
from quant.calibration.inferred_moments import infer_input_moments
from quant.correction.data_free import expected_shifts
from quant.graph.inventory import inventory
from quant.pipeline import Inputs, quantize_model
from quant.spec import resolve
from quant.weights.layers import choose_layers, quantize_layers
from quant.weights.quantize import decoded
from tests.quant.calibration.models import network
from tests.specs import UNTIMED

RNG = np.random.default_rng(0)


def test_the_shift_is_exact_for_the_mean_image_borders_included():
    """A convolution is linear: on the mean image itself the expected shift is the whole of the mean error."""
    model, known = network()
    layers, _ = inventory(model)
    moments = infer_input_moments(model, layers, known)
    assert set(moments) == {"conv1", "conv2", "depthwise"}
    spec = resolve({"preset": "int4-weights", "weights": {"clipping": "minmax"}})
    quantized = quantize_layers(choose_layers(model, spec)[0], {}, spec, lambda *_: None)
    linear = {name: replace(inferred, active_excess=np.zeros(1)) for name, inferred in moments.items()}
    shifts = expected_shifts(quantized, linear)
    conv2 = next(layer for layer in quantized if layer.layer.name == "conv2")
    change = decoded(conv2.quantized) - conv2.layer.weight
    mean = clip_moments(known["c1"], 0, 6).mean.astype(np.float32)
    image = np.broadcast_to(mean.reshape(1, -1, 1, 1), (1, 4, 5, 5))
    padded = np.pad(image, [(0, 0), (0, 0), (1, 1), (1, 1)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))[0]
    error = np.einsum("chwkl,ockl->ohw", windows, change).mean(axis=(1, 2))
    np.testing.assert_allclose(shifts["conv2"], -error, rtol=1e-4, atol=1e-6)
    without_borders = -np.einsum("c,ockl->o", mean, change)
    assert np.abs(without_borders + error).max() > 0.05 * np.abs(error).max()


def test_an_error_that_the_activation_hides_is_not_corrected():
    """For normal outputs, the shift is the mean error over the positions that the Relu lets through."""
    model, known = network()
    layer = next(layer for layer in inventory(model)[0] if layer.name == "conv2")
    moments = infer_input_moments(model, [layer], known)["conv2"]
    spec = resolve({"preset": "ternary", "activations": None, "weights": {"clipping": "minmax"}})
    (quantized,) = quantize_layers([(layer, spec.weights)], {}, spec, lambda *_: None)
    weight, rounded = (w.astype(np.float64).reshape(4, -1) for w in (layer.weight, decoded(quantized.quantized)))
    rows = RNG.multivariate_normal(np.zeros(36), moments.covariance[0], size=400_000)
    deviation = np.sqrt(known["c2"].variance) / (rows @ weight.T).std(axis=0)
    active = rows @ weight.T * deviation + known["c2"].mean > 0
    error = rows @ (rounded - weight).T * deviation + moments.mean[0] @ (rounded - weight).T
    shift = expected_shifts([quantized], {"conv2": moments})["conv2"]
    np.testing.assert_allclose(shift, -(error * active).sum(0) / active.sum(0), rtol=0.01, atol=0.01)


@pytest.mark.data
@pytest.mark.parametrize("name", ["resnet20_cifar10", "vww_mobilenetv1_025"])
def test_correction_without_data_is_ahead_of_minmax_on_real_networks(tmp_path, data, name):
    if "cifar" in name:
        scale = {"mean": np.array([0.485, 0.456, 0.406]), "std": np.array([0.229, 0.224, 0.225])}
        images = np.load(data / "datasets" / "cifar10_test.npz")["images"][:100]
    else:
        scale, images = {}, np.load(data / "datasets" / "vww_test.npz")["images"][200:300]
    np.savez(tmp_path / "evaluation.npz", images=images, **scale)
    model, evaluation = data / "models" / f"{name}.onnx", tmp_path / "evaluation.npz"
    sqnr_db = {}
    for label, spec in {"minmax": {"weights": {"clipping": "minmax"}, "bias_correction": "none"}, "auto": {}}.items():
        inputs = Inputs(model, "m", {**UNTIMED, "preset": "int4-weights", **spec}, None, evaluation)
        sqnr_db[label] = quantize_model(inputs, tmp_path, lambda *_: None).summary.output_sqnr_db
    assert sqnr_db["auto"] > sqnr_db["minmax"] + 1
    assert json.loads((tmp_path / "report.json").read_text())["compared"] is None
