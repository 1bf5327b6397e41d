"""Inputs that are outputs too are passed on exactly, also where a layer reads them quantized."""

import json

import numpy as np
import onnx
import pytest

from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session
from tests.field.conftest import signature
from tests.quant.onnx_text import proto_of
from tests.specs import UNTIMED

RNG = np.random.default_rng(0)
MODELS = {
    "an image, first": ("(float[N,4,8,8] x) => (float[N,4,8,8] x, float[N,6,8,8] y) {y = Conv<pads=[1,1,1,1]>(x, w)}",
                        (6, 4, 3, 3), np.float32),
    "read twice": ("(float[N,16] x) => (float[N,8] y, float[N,16] x) {r = Relu(x) h = MatMul(r, w) g = MatMul(x, w) "
                   "y = Add(h, g)}", (16, 8), np.float32),
    "half precision": ("(float16[N,16] x) => (float16[N,8] y, float16[N,16] x) "
                       "{c = Cast<to=1>(x) h = MatMul(c, w) y = Cast<to=10>(h)}", (16, 8), np.float16),
}  # fmt: skip


@pytest.mark.parametrize("preset", ["int8", "int8-weights", "codebook4", "ternary"])
@pytest.mark.parametrize("kind", MODELS)
def test_an_input_that_is_an_output_is_passed_on(kind, preset, tmp_path):
    text, shape, dtype = MODELS[kind]
    uploaded = proto_of(f"net {text}", w=RNG.normal(size=shape) / 4)
    (tmp_path / "m.onnx").write_bytes(uploaded)
    x = RNG.normal(size=(16, *((4, 8, 8) if len(shape) == 4 else (16,)))).astype(dtype)
    np.savez(tmp_path / "c.npz", x=x)
    data = {"calibration": tmp_path / "c.npz", "evaluation": tmp_path / "c.npz"}
    quantize_model(
        Inputs(tmp_path / "m.onnx", "m.onnx", {**UNTIMED, "preset": preset}, **data), tmp_path, lambda *_: None
    )
    exported = (tmp_path / "model.onnx").read_bytes()
    assert signature(onnx.load_from_string(exported)) == signature(onnx.load_from_string(uploaded))
    names = [value.name for value in onnx.load_from_string(uploaded).graph.output]
    outputs = dict(zip(names, Session(exported).run({"x": x}), strict=True))
    np.testing.assert_array_equal(outputs["x"], x)
    assert json.loads((tmp_path / "report.json").read_text())["summary"]["output_sqnr_db"] > 5
