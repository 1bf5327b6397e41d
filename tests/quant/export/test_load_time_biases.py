"""Biases that are stored as floats: ONNX Runtime makes the same codes of them, and the same kernels run."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from quant.export.load_time_biases import store_biases_as_floats
from quant.runtime import Session, optimised_operators
from tests.quant.export.models import normal
from tests.quant.onnx_text import proto_of

SHAPE = "float[N, 4, 6, 6]"
PADDED = "Conv <pads = [1, 1, 1, 1]>"
NETS = {
    "chain": (f"c = {PADDED} (x, w0, b0) r = Relu (c) d = {PADDED} (r, w1, b1) y = Relu (d)", 2),
    "limited": (f"c = {PADDED} (x, w0, b0) r = Clip (c, zero, six) d = {PADDED} (r, w1, b1) y = Relu (d)", 2),
    "shortcut": (f"c = {PADDED} (x, w0, b0) r = Relu (c) d = {PADDED} (r, w1, b1) s = Add (d, x) y = Relu (s)", 2),
    "two_readers": (f"c = {PADDED} (x, w0, b0) d = {PADDED} (c, w1, b1) y = Add (d, c)", 2),
    "quantized_output": (f"c = {PADDED} (x, w0, b0) r = Relu (c) y = {PADDED} (r, w1, b1)", 2),
    "float_output": (f"c = {PADDED} (x, w0, b0) r = Relu (c) y = {PADDED} (r, w1, b1)", 1),
    "no_bias": (f"c = {PADDED} (x, w0) r = Relu (c) d = {PADDED} (r, w1, b1) y = Relu (d)", 1),
}
"""Networks of two convolutions, the second of `float_output` in float, and how many biases are stored as floats."""


@pytest.mark.parametrize("net", NETS)
def test_the_same_kernels_compute_the_same_outputs_without_the_codes(net, quantize, tmp_path):
    text, floats = NETS[net]
    arrays = {f"w{number}": normal(4, 4, 3, 3) for number in range(2)}
    arrays |= {name: normal(4) for name in ("b0", "b1") if name in text}
    arrays |= {"zero": np.array(0.0), "six": np.array(2.5)} if "zero" in text else {}
    path = tmp_path / "m.onnx"
    path.write_bytes(proto_of(f"net ({SHAPE} x) => ({SHAPE} y) {{ {text} }}", **arrays))
    np.savez(tmp_path / "calibration.npz", x=normal(16, 4, 6, 6))
    rules = [{"match": "conv2", "skip": True}] if net == "float_output" else []
    spec = {"preset": "int8", "keep_float": "none", "layers": rules}
    codes, _ = quantize(spec, path, tmp_path / "calibration.npz")
    model = ir.from_proto(onnx.load_from_string(codes))
    before = len(list(model.graph)), len(model.graph.initializers)
    store_biases_as_floats(model)
    assert before == (len(list(model.graph)) + floats, len(model.graph.initializers) + floats)
    smaller = ir.to_proto(model).SerializeToString()
    assert optimised_operators(smaller) == optimised_operators(codes)
    feeds = {"x": normal(8, 4, 6, 6)}
    np.testing.assert_array_equal(Session(smaller).run(feeds)[0], Session(codes).run(feeds)[0])


def test_codes_stay_where_the_output_is_not_quantized():
    model = ir.from_proto(
        onnx.parser.parse_model("""<ir_version: 10, opset_import: ["": 21]> net (float[1, 1, 2, 2] x) => (float y)
        <float s = {0.5}, uint8 z = {0}, int8[1, 1, 1, 1] w = {3}, int32[1] b = {7}> {
            q = QuantizeLinear (x, s, z) d = DequantizeLinear (q, s, z) v = DequantizeLinear (w, s)
            c = DequantizeLinear (b, s) y = Conv (d, v, c)
        }""")
    )
    before = ir.to_proto(model)
    store_biases_as_floats(model)
    assert ir.to_proto(model) == before
