"""The accuracy of MatMul in weight-only models: float inputs, or inputs that ONNX Runtime rounds."""

import json

import numpy as np
import pytest

from quant.pipeline import Inputs, quantize_model
from quant.runtime import optimised_operators
from tests.quant.onnx_text import proto_of

RNG = np.random.default_rng(0)
N = 512


def quantized(tmp_path, accuracy, preset="int8-weights", outliers=1.0, profile="ort-cpu", *, data=True):
    """Return the report's entry, the notes of the layer and the operators of the executed graph."""
    factor = np.ones(N, np.float32)
    factor[::32] = outliers
    arrays = {"s": factor, "w": (RNG.normal(size=(N, N)) / N**0.5).astype(np.float32) / factor[:, None]}
    text = f"net (float[B, {N}] x) => (float[B, {N}] y) {{ h = Mul (x, s) y = MatMul (h, w) }}"
    (tmp_path / "m.onnx").write_bytes(proto_of(text, **arrays))
    np.savez(tmp_path / "c.npz", x=RNG.normal(size=(32, N)).astype(np.float32))
    spec = {
        "preset": preset,
        "smoothing": "none",
        "export": {"matmul_accuracy": accuracy, "profile": profile},
        "measure": {"latency": False},
    }
    calibration = tmp_path / "c.npz" if data else None
    quantize_model(Inputs(tmp_path / "m.onnx", "m.onnx", spec, calibration), tmp_path, lambda *_: None)
    report = json.loads((tmp_path / "report.json").read_text())
    operators = optimised_operators((tmp_path / "model.onnx").read_bytes())
    return report["matmul_accuracy"], report["layers"][0]["notes"], operators


@pytest.mark.parametrize("preset", ["int8-weights", "int4-weights"])
@pytest.mark.parametrize("profile", ["ort-cpu", "generic"])
def test_float_gives_float_inputs_in_a_stock_session(tmp_path, preset, profile):
    _, _, operators = quantized(tmp_path, "float", preset, profile=profile)
    products = operators["MatMul"] + operators["Gemm"]  # with a corrected bias, a product becomes a Gemm
    assert (products, operators["MatMulNBits"], operators["DequantizeLinear"]) == (1, 0, 0)


def test_int8_is_as_the_spec_says(tmp_path):
    entry, notes, operators = quantized(tmp_path, "int8", outliers=400.0)
    assert (operators["MatMulNBits"], entry["used"], entry["output_sqnr_db"]) == (1, "int8", None)
    assert any("rounds the inputs to 8 bits" in note for note in notes)


@pytest.mark.parametrize(("outliers", "used"), [(1.0, "int8"), (400.0, "float")])
def test_auto_decides_by_the_measured_output_error(tmp_path, outliers, used):
    entry, notes, operators = quantized(tmp_path, "auto", outliers=outliers)
    assert (entry["requested"], entry["used"]) == ("auto", used)
    loss = entry["output_sqnr_db"]["float"] - entry["output_sqnr_db"]["int8"]
    assert (loss > 3) == (used == "float")
    assert operators["MatMulNBits"] == (used == "int8")
    assert any("rounds the inputs" in note for note in notes) == (used == "int8")


def test_without_data_the_assumption_is_said(tmp_path):
    entry, notes, _ = quantized(tmp_path, "auto", data=False)
    assert (entry["used"], entry["output_sqnr_db"]) == ("int8", None)
    assert "without calibration data" in entry["reason"]
    assert any("rounds the inputs" in note for note in notes)
