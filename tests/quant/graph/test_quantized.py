"""A layer that is quantized already is refused by name, or left as it is where the spec skips it."""

import json

import numpy as np
import pytest
from onnxruntime import quantization

from quant.errors import AlreadyQuantized
from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session, optimised_operators

FORMS = ["int8", "int4", "codebook4", "ternary", "int4-weights"]
SKIP = {"Conv": [{"match": {"op": "Conv"}, "skip": True}], "Gemm": [{"match": {"op": "Gemm"}, "skip": True}]}


@pytest.fixture
def quantize(tmp_path, examples):
    def run(spec, model=None):
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        calibration = None if spec["preset"].endswith("weights") else examples / "digits_calibration.npz"
        inputs = Inputs(model or examples / "digits.onnx", "m.onnx", spec, calibration)
        quantize_model(inputs, out, lambda *_: None)
        return out / "model.onnx", json.loads((out / "report.json").read_text())

    return run


@pytest.mark.parametrize("preset", FORMS)
def test_what_was_exported_is_refused(quantize, tmp_path, preset):
    once = quantize({"preset": preset})[0].rename(tmp_path / "once.onnx")
    with pytest.raises(AlreadyQuantized, match=r"already quantized.*accepted: the float model, or layer rules"):
        quantize({"preset": "int8-weights"}, once)


def test_what_others_make_of_integer_operators_is_refused(quantize, tmp_path, examples):
    quantization.quantize_dynamic(examples / "digits.onnx", tmp_path / "dynamic.onnx")
    with pytest.raises(AlreadyQuantized, match="computes with integers already"):
        quantize({"preset": "int8-weights"}, tmp_path / "dynamic.onnx")


def test_the_rest_is_quantized_where_the_spec_skips_them(quantize, tmp_path, examples):
    once = quantize({"preset": "int8", "layers": SKIP["Gemm"]})[0].rename(tmp_path / "once.onnx")
    with pytest.raises(AlreadyQuantized, match="5 layers"):
        quantize({"preset": "int4-weights"}, once)
    twice, report = quantize({"preset": "int4-weights", "layers": SKIP["Conv"]}, once)
    assert [layer["op"] for layer in report["layers"]] == ["Gemm", "Gemm"]
    assert {one["reason"] for one in report["skipped"]} == {"its weight is quantized already"}
    assert optimised_operators(twice.read_bytes())["QLinearConv"] == 5
    with np.load(examples / "digits_calibration.npz") as data:
        feeds = {name: data[name][:8] for name in data.files}
    expected, actual = (Session(path.read_bytes()).run(feeds)[0] for path in (once, twice))
    assert ((actual - expected) ** 2).sum() < 0.05 * (expected**2).sum()
