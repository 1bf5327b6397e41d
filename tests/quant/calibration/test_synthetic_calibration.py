"""Calibration without data: what it brings at the outputs on other inputs, what it does not touch, and its limits."""

import numpy as np
import onnx_ir as ir
import pytest

import quant.calibration.synthetic_calibration as calibration
from quant.calibration.image_range import image_ranges
from quant.calibration.synthetic_calibration import calibrate_synthetically, layers_with_moments
from quant.correction.data_free import agreed, expected_shifts
from quant.graph.inventory import inventory
from quant.graph.weightless import weightless
from quant.spec import resolve
from quant.weights.layers import SYNTHETIC_NOTE, choose_layers, quantize_layers
from quant.weights.quantize import decoded

RANDOM = np.random.default_rng(0)


def network(scale=1.0):
    """Return two convolutions of images, the first with kernels for images whose deviation is `scale`."""
    first, bias = RANDOM.normal(size=216) / 5 / scale, RANDOM.normal(size=8)
    arrays = {"w": first, "b": bias, "v": RANDOM.normal(size=1152) / 9}
    texts = {name: ", ".join(f"{number:.6f}" for number in array) for name, array in arrays.items()}
    return ir.from_onnx_text(f"""<ir_version: 10, opset_import: ["": 21]>
        net (float[N, 3, 16, 16] x) => (float[N, 16, 12, 12] y)
        <float[8, 3, 3, 3] w = {{{texts["w"]}}}, float[8] b = {{{texts["b"]}}},
         float[16, 8, 3, 3] v = {{{texts["v"]}}}> {{
            c = Conv (x, w, b)
            r = Relu (c)
            y = Conv (r, v)
        }}""")


def named(model):
    for number, node in enumerate(model.graph):
        node.name = f"node{number}"
    return model


@pytest.mark.parametrize("scale", [0.25, 1.0, 62.0])
def test_the_range_of_images_follows_from_the_first_convolution(scale):
    model = named(network(scale))
    known = image_ranges(model, weightless(model), inventory(model)[0], seed=0)["x"]
    assert 0.4 * scale <= known.deviation[0] <= 2.5 * scale


def test_rounding_by_synthetic_inputs_costs_less_on_other_images():
    model = named(network())
    layers = inventory(model)[0]
    synthetic = calibrate_synthetically(model, layers, seed=0)
    assert set(synthetic.moments) == {layer.name for layer in layers} == layers_with_moments(model, layers)
    assert synthetic.samples > 0
    assert synthetic.reason is None
    others = calibrate_synthetically(model, layers, seed=5).moments
    errors = []
    for rounding in ("nearest", "auto"):
        spec = resolve({"preset": "int4-weights", "weights": {"rounding": rounding, "clipping": "minmax"}})
        work = choose_layers(model, spec, calibrated=False)[0]
        quantized = quantize_layers(work, synthetic.moments, spec, lambda *_: None)
        last = quantized[-1]
        assert (SYNTHETIC_NOTE in last.notes) == (rounding == "auto")
        change = (decoded(last.quantized) - last.layer.weight).reshape(1, 16, -1)
        errors.append(others[last.layer.name].after_bias_correction().energies_by_kind(change).sum(axis=(1, 2)))
    assert (errors[1] < 0.8 * errors[0]).all()


def test_a_shift_is_what_both_kinds_of_inputs_agree_on():
    shifts = agreed([np.array([1.0, 1.0, 2.0, 0.0, -3.0]), np.array([1.0, -1.0, 6.0, 5.0, -3.0])])
    np.testing.assert_allclose(shifts, [1.0, 0.0, 3.0, 0.0, -3.0])


def test_biases_are_corrected_by_both_kinds():
    model = named(network())
    layers = inventory(model)[0]
    moments = calibrate_synthetically(model, layers, seed=0).moments
    spec = resolve({"preset": "int4-weights", "weights": {"clipping": "minmax", "rounding": "nearest"}})
    quantized = quantize_layers(choose_layers(model, spec)[0], {}, spec, lambda *_: None)
    shifts = expected_shifts(quantized, moments)
    by_kind = [
        expected_shifts(quantized, {name: known.kinds[kind] for name, known in moments.items()}) for kind in (0, 1)
    ]
    for name, shift in shifts.items():
        np.testing.assert_allclose(shift, agreed([each[name] for each in by_kind]))


@pytest.mark.parametrize(
    ("limit", "value", "reason"),
    [("MAX_WEIGHTS", 100, "more than 100 weights"), ("MAX_PRODUCTS", 1000.0, "products for one sample")],
)
def test_a_model_that_is_too_large_is_not_run(limit, value, reason, monkeypatch):
    monkeypatch.setattr(calibration, limit, value)
    model = named(network())
    synthetic = calibrate_synthetically(model, inventory(model)[0], seed=0)
    assert synthetic.moments == {}
    assert reason in synthetic.reason


def test_equal_seeds_give_equal_moments():
    model = named(network())
    first, second = (calibrate_synthetically(model, inventory(model)[0], seed=0).moments for _ in range(2))
    for name, moments in first.items():
        np.testing.assert_array_equal(moments.square, second[name].square)
