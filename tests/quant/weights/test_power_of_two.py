"""Scales that are powers of two."""

import numpy as np
import pytest

from quant.calibration.activation_ranges import ActivationRange
from quant.evaluation.sqnr import sqnr_db
from quant.spec import resolve
from quant.weights.layers import choose_layers, quantize_layers
from quant.weights.quantize import decoded
from tests.quant.onnx_text import model_of

TEXT = "net (float[N, 64] x) => (float[N, 8] y) { y = MatMul (x, w) }"


@pytest.mark.parametrize(
    "weights",
    [
        {},
        {"granularity": "tensor"},
        {"bits": 4},
        {"bits": 4, "grid": "kmeans"},
        {"bits": 2, "grid": "ternary_twn"},
        {"bits": 2, "grid": "mid_rise"},
    ],
)
def test_all_scales_are_powers_of_two(weights):
    array = np.random.default_rng(0).normal(size=(64, 8)) * np.logspace(-2, 1, 8)
    errors = []
    for scale in ("any", "power_of_two"):
        spec = resolve({"weights": {"scale": scale, **weights}})
        model = model_of(TEXT, w=array)
        (layer,) = quantize_layers(choose_layers(model, spec)[0], {}, spec, lambda *_: None)
        noise = float(((decoded(layer.quantized) - layer.layer.weight) ** 2).sum())
        errors.append(sqnr_db(float((layer.layer.weight**2).sum()), noise))
        assert layer.quantized.error.mse == pytest.approx(noise / array.size, rel=1e-4)
    assert (np.frexp(layer.quantized.scale)[0] == 0.5).all()
    assert errors[1] > errors[0] - 7


@pytest.mark.parametrize("symmetric", [True, False])
def test_activation_scales_grow_to_the_next_power_of_two(symmetric):
    plain = ActivationRange(-1.0, 3.0, 8, symmetric)
    rounded = ActivationRange(-1.0, 3.0, 8, symmetric, power_of_two=True)
    assert np.frexp(rounded.scale)[0] == 0.5
    assert plain.scale <= rounded.scale < 2 * plain.scale
    assert rounded.representable[0] <= -1.0
    assert rounded.representable[1] >= 3.0


@pytest.mark.parametrize(("symmetric", "sign", "dtype", "zero"), [
    (False, "auto", np.uint8, 64), (False, "signed", np.int8, -64), (True, "auto", np.int8, 0),
    (True, "unsigned", np.uint8, 128),
])  # fmt: skip
def test_the_sign_moves_the_codes_and_not_the_values(symmetric, sign, dtype, zero):
    activation = ActivationRange(-1.0, 3.0, 8, symmetric, sign)
    assert (activation.dtype, int(activation.zero_point)) == (dtype, zero)
    assert activation.scale == ActivationRange(-1.0, 3.0, 8, symmetric).scale
    assert activation.representable == pytest.approx(ActivationRange(-1.0, 3.0, 8, symmetric).representable)
