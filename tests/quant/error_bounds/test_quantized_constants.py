"""Constants of the quantized model are dequantized, and biases are found wherever they were written."""

import numpy as np
import pytest

from quant.error_bounds.quantized_constants import QuantizedConstants
from quant.graph.biases import add_to_biases
from quant.graph.inventory import inventory
from tests.quant.onnx_text import model_of

W, BIAS, SHIFT = np.random.default_rng(0).normal(size=(4, 3)), np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.0, -1.0])


@pytest.mark.parametrize(("layer", "arrays"), [
    ("y = Gemm (x, w, b)", {"b": BIAS}), ("y = Gemm (x, w)", {}), ("y = MatMul (x, w)", {}),
])  # fmt: skip
def test_a_corrected_bias_is_found_with_its_change(layer, arrays):
    float_model, quantized = (
        model_of(f"net (float[N, 4] x) => (float[N, 3] y) {{ {layer} }}", w=W, **arrays) for _ in range(2)
    )
    (original,), _ = inventory(float_model)
    add_to_biases(inventory(quantized)[0], {original.name: SHIFT})
    bias, change = QuantizedConstants(quantized).biases(original, 3)
    np.testing.assert_allclose(bias, BIAS if arrays else np.zeros(3))
    np.testing.assert_allclose(change, SHIFT)


def test_codes_are_dequantized():
    text = "net (float[N, 3] x) => (float[N, 3] y) { d = DequantizeLinear (codes, scale) y = Add (x, d) }"
    quantized = model_of(text, codes=np.array([-2, 0, 3], np.int32), scale=np.array(0.5))
    constants = QuantizedConstants(quantized)
    np.testing.assert_array_equal(constants.operand("add1", 1), [-1, 0, 1.5])
    assert constants.operand("add1", 0) is constants.operand("add1", 2) is constants.operand("other", 0) is None


def test_a_bias_that_is_computed_is_none():
    text = "net (float[N, 4, 5] x, float[3] b) => (float[N, 3, 5] y) { y = Conv (x, w, b) }"
    model = model_of(text, w=W.T[:, :, None])
    assert QuantizedConstants(model).biases(inventory(model)[0][0], 3) is None
