"""Biases as int32 codes, and the scales that make them fit."""

import numpy as np
import pytest

from quant.calibration.activation_ranges import ActivationRange
from quant.evaluation.sqnr import sqnr_db
from quant.export.bias import MAX_BIAS_CODE, widen_scales_for_bias
from quant.export.qdq import ExportedWeight, export_qdq
from quant.runtime import Session, optimised_operators
from quant.spec import resolve
from quant.weights.layers import choose_layers, quantize_layers
from tests.quant.export.models import matrices, normal, save
from tests.quant.onnx_text import model_of, node_of


@pytest.mark.parametrize("shape", [["N", 40], [2, 3, 40]])
def test_a_matmul_and_its_bias_run_as_one_integer_gemm(quantize, tmp_path, shape):
    nodes, weights, _ = matrices("MatMulAdd")
    path = save(tmp_path, nodes, weights, shape)
    samples = normal(*([16, 40] if len(shape) == 2 else [16, 2, 3, 40]))
    np.savez(tmp_path / "calibration.npz", x=samples)
    data, report = quantize({"preset": "int8", "activations": {"mode": "static"}}, path, tmp_path / "calibration.npz")
    operators = optimised_operators(data)
    assert (operators["QGemm"], operators["DequantizeLinear"]) == (1, 0)
    assert report["warnings"] == []
    feeds = {"x": samples[:3] if len(shape) == 2 else samples[0]}
    expected, actual = (Session(model).run(feeds)[0] for model in (path.read_bytes(), data))
    assert sqnr_db(float((expected**2).sum()), float(((actual - expected) ** 2).sum())) > 35


RANGES = {"x": ActivationRange(-1.0, 1.0)}
CONV = "net (float[N, 2, 4, 4] x) => (float[N, 3, 4, 4] y) { y = Conv (x, w, b) }"


def convolution(bias, spec):
    """Return a model of one Conv whose second channel has tiny weights, and the quantized layer."""
    weight = normal(3, 2, 1, 1)
    weight[1] *= 1e-6
    model = model_of(CONV, w=weight, b=np.asarray(bias))
    resolved = resolve(spec)
    (quantized,) = quantize_layers(choose_layers(model, resolved)[0], {}, resolved, lambda *_: None)
    return model, quantized


def test_only_the_channel_with_a_large_bias_gets_a_wider_scale():
    _, quantized = convolution([0.1, 50.0, -0.2], {"preset": "int8", "weights": {"clipping": "minmax"}})
    widened = widen_scales_for_bias(quantized, RANGES)
    before, after = quantized.quantized, widened.quantized
    np.testing.assert_array_equal(after.scale[[0, 2]], before.scale[[0, 2]])
    np.testing.assert_array_equal(after.codes[[0, 2]], before.codes[[0, 2]])
    code = 50.0 / (float(RANGES["x"].scale) * float(after.scale[1]))
    assert code == pytest.approx(MAX_BIAS_CODE, rel=1e-6)
    assert widened.notes == ("the scale of 1 rows was widened so that their bias fits int32",)


@pytest.mark.parametrize("preset", ["codebook4", "ternary"])
def test_a_grid_of_any_levels_is_widened_too(preset):
    _, quantized = convolution([0.1, 1e9, -0.2], {"preset": preset})
    widened = widen_scales_for_bias(quantized, RANGES)
    assert widened.quantized.scale[1] == pytest.approx(1e9 / (RANGES["x"].scale * MAX_BIAS_CODE))
    assert widened.notes[-1] == "the scale of 1 rows was widened so that their bias fits int32"


@pytest.mark.parametrize("ranges", [{}, {"x": ActivationRange(-1.0, 1.0, 16)}])
def test_a_bias_that_stays_in_float_needs_no_wider_scale(ranges):
    model, quantized = convolution([0.1, 50.0, -0.2], {"preset": "int8", "weights": {"clipping": "minmax"}})
    assert widen_scales_for_bias(quantized, ranges) is quantized
    export_qdq(model, [ExportedWeight(quantized.layer, quantized.quantized, quantized.form)], ranges, 21)
    assert node_of(model, "Conv").inputs[2].name == "b"


def test_the_codes_of_a_bias_have_the_scale_of_input_times_weight():
    bias = np.array([0.1, 50.0, -0.2])
    model, quantized = convolution(bias, {"preset": "int8", "weights": {"clipping": "minmax"}})
    layer = widen_scales_for_bias(quantized, RANGES)
    export_qdq(model, [ExportedWeight(layer.layer, layer.quantized, layer.form)], RANGES, 21)
    dequantize = node_of(model, "Conv").inputs[2].producer()
    codes, scale = (value.const_value.numpy() for value in dequantize.inputs)
    assert codes.dtype == np.int32
    np.testing.assert_array_equal(scale, RANGES["x"].scale * layer.quantized.scale)
    np.testing.assert_allclose(codes * scale, bias, rtol=1e-6, atol=scale.max())
